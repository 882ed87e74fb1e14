import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest
import pytest_asyncio

from pipelines.errors import ProviderFailed
from pipelines.providers.base import ProviderSettings
from pipelines.providers.http import ProviderHttp
from pipelines.providers.openai import read_fault
from tests.vendors.openai import OpenAiVendor
from tests.vendors.server import BadDay, serving

KEY = {"Authorization": "Bearer sk-fake-1234"}


@pytest_asyncio.fixture
async def vendor() -> AsyncIterator[OpenAiVendor]:
    openai = OpenAiVendor()
    async with serving(openai):
        yield openai


@pytest_asyncio.fixture
async def http(vendor: OpenAiVendor) -> AsyncIterator[ProviderHttp]:
    connections = ProviderHttp(ProviderSettings("openai", f"{vendor.url}/v1"), KEY, read_fault)
    yield connections
    await connections.close()


async def test_a_whole_address_of_the_provider_is_asked_with_the_key(
    http: ProviderHttp, vendor: OpenAiVendor
) -> None:
    await http.get(f"{vendor.url}/elsewhere/models")
    assert vendor.asked[0].path == "/elsewhere/models"
    assert vendor.asked[0].headers["Authorization"] == KEY["Authorization"]


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1:1/v1/models",  # another port
        "https://{host}/v1/models",  # another scheme
        "http://localhost:{port}/v1/models",  # another name for the same machine
        "http://{host}@example.org/models",
        "http://{host}.example.org/models",
        "ftp://{host}/models",
        "models",
        "",
    ],
)
async def test_the_key_goes_to_no_other_origin(
    address: str, http: ProviderHttp, vendor: OpenAiVendor
) -> None:
    host = vendor.url.removeprefix("http://")
    with pytest.raises(ProviderFailed):
        await http.get(address.format(host=host, port=host.partition(":")[2]))
    assert not vendor.asked


@pytest.mark.parametrize("address", ["file:///etc/passwd", "ftp://example.org/x", "x.png", "http://[", ""])
async def test_only_the_web_is_downloaded_from(address: str, http: ProviderHttp) -> None:
    with pytest.raises(ProviderFailed):
        await anext(http.download(address))


async def test_a_provider_with_https_is_downloaded_from_with_https() -> None:
    http = ProviderHttp(ProviderSettings("openai", "https://api.openai.com/v1"), KEY, read_fault)
    with pytest.raises(ProviderFailed, match="of the kind http"):
        await anext(http.download("http://example.org/picture.png"))
    await http.close()


async def test_too_large_a_file_is_given_up(http: ProviderHttp, vendor: OpenAiVendor) -> None:
    vendor.files["/large"] = bytes(1_000_000)
    assert sum([len(chunk) async for chunk in http.download(f"{vendor.url}/large", 1_000_000)]) == 1_000_000
    with pytest.raises(ProviderFailed, match="more than 999999 bytes"):
        [len(chunk) async for chunk in http.download(f"{vendor.url}/large", 999_999)]


async def test_silence_is_limited_on_its_own(vendor: OpenAiVendor) -> None:
    settings = ProviderSettings("openai", f"{vendor.url}/v1", first_byte_s=30, silence_s=0.1)
    http = ProviderHttp(settings, KEY, read_fault)
    held = asyncio.Event()
    vendor.bad_days += [BadDay(delay_s=0.3), BadDay(hold=held)]
    await http.get("/models")
    async with aclosing(http.events("/chat/completions", {"stream": True})) as events:
        await anext(events)
        with pytest.raises(ProviderFailed, match=r"within 0\.1 s"):
            await anext(events)
    held.set()
    await http.close()


async def test_headers_of_one_request_do_not_stay(http: ProviderHttp, vendor: OpenAiVendor) -> None:
    body = {"input": ["a"], "model": "m", "encoding_format": "float"}
    await http.post("/embeddings", body, {"Prefer": "wait=1"})
    await http.post("/embeddings", body)
    assert [asked.headers.get("Prefer") for asked in vendor.asked] == ["wait=1", None]
