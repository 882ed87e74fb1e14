import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from time import monotonic
from typing import Any

import pytest
from aiohttp import web

from pipelines.errors import (
    ProviderBusy,
    ProviderDenied,
    ProviderError,
    ProviderFailed,
    ProviderLacks,
    ProviderOverloaded,
    ProviderRefused,
)
from pipelines.providers import http
from pipelines.providers.base import ProviderSettings
from pipelines.providers.faults import Fault, retry_after_s
from pipelines.providers.http import ProviderHttp
from pipelines.providers.openai import read_fault
from tests.vendors.openai import OpenAiVendor
from tests.vendors.server import HTML_ERROR, Asked, BadDay, event_stream, serving

KEY = "sk-very-secret-1234"
BODY = {"messages": [{"role": "user", "content": "Grüße ✓"}]}
PATH = "/chat/completions"


class OddVendor(OpenAiVendor):
    """Answers some paths as no vendor should, and tells who came and when they left."""

    def __init__(self) -> None:
        super().__init__()
        self.arrived, self.ended, self.may_end = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.arrived.set()
        try:
            return await super().handle(request)
        finally:
            self.ended.set()

    async def answer(self, asked: Asked) -> Any:
        match asked.path:
            case "/large":
                return b"[" + b"1," * 15_000_000 + b"1]"
            case "/redirect":
                raise web.HTTPTemporaryRedirect(f"{self.url}/models")
            case "/numbers":
                return event_stream("1", "2", "3")
            case "/late-end":
                return web.Response(body=self._without_end(), content_type="text/event-stream")
            case "/fault-in-pieces":
                return web.Response(body=self._slowly(), status=400, content_type="application/json")
        return await super().answer(asked)

    async def _without_end(self) -> AsyncIterator[bytes]:
        yield b"data: 1\n\ndata: 2\n\n"
        await self.may_end.wait()

    async def _slowly(self) -> AsyncIterator[bytes]:
        body = self.error_body(400)
        for place in range(0, len(body), 20):
            yield body[place : place + 20]
            await asyncio.sleep(0)


@pytest.fixture
async def vendor() -> AsyncIterator[OddVendor]:
    async with serving(OddVendor()) as vendor:
        assert isinstance(vendor, OddVendor)
        yield vendor


@pytest.fixture
async def client(vendor: OddVendor) -> AsyncIterator[ProviderHttp]:
    client = client_of(vendor.url)
    yield client
    await client.close()


def client_of(url: str, **settings: Any) -> ProviderHttp:
    told = ProviderSettings("vendor", url, KEY, "VENDOR_KEY", **settings)
    return ProviderHttp(told, {"Authorization": f"Bearer {KEY}"}, read_fault)


async def events(client: ProviderHttp, path: str = PATH) -> list[bytes]:
    return [event.data async for event in client.events(path, BODY | {"stream": True})]


async def failure(client: ProviderHttp, path: str = PATH) -> ProviderError:
    """Give the error of a request, which a stream must have, too."""
    with pytest.raises(ProviderError) as caught:
        await client.post(path, BODY)
    assert KEY not in f"{caught.value} {caught.value.args!r}"
    return caught.value


async def test_what_is_sent_and_answered(vendor: OddVendor, client: ProviderHttp) -> None:
    answer = json.loads(await client.post(PATH, BODY))
    assert answer["object"] == "chat.completion"
    assert vendor.asked[0].json == BODY
    assert vendor.asked[0].headers["Authorization"] == f"Bearer {KEY}"
    assert vendor.asked[0].headers["Content-Type"] == "application/json"
    assert (await events(client))[-1] == b"[DONE]"
    await client.post(PATH, json.dumps(BODY).encode())
    assert vendor.asked[2].json == BODY


async def test_half_a_surrogate_pair_is_sent_as_it_came(vendor: OddVendor, client: ProviderHttp) -> None:
    await client.post(PATH, {"content": "\ud83c"})
    assert vendor.asked[0].json == {"content": "\ud83c"}


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, ProviderRefused),
        (401, ProviderDenied),
        (402, ProviderDenied),
        (403, ProviderLacks),
        (404, ProviderLacks),
        (408, ProviderBusy),
        (422, ProviderRefused),
        (429, ProviderBusy),
        (500, ProviderFailed),
        (502, ProviderFailed),
        (503, ProviderOverloaded),
        (529, ProviderOverloaded),
    ],
)
async def test_statuses(
    vendor: OddVendor, client: ProviderHttp, status: int, error: type[ProviderError]
) -> None:
    vendor.bad_days.extend([BadDay(status), BadDay(status)])
    assert type(await failure(client)) is error
    with pytest.raises(error):
        await events(client)


async def test_a_refusal_tells_the_field(vendor: OddVendor, client: ProviderHttp) -> None:
    vendor.bad_days.append(BadDay(400))
    refused = await failure(client)
    assert isinstance(refused, ProviderRefused)
    assert (refused.status, refused.field) == (400, "temperature")
    assert "at most 2" in refused.message


async def test_a_fault_may_come_in_pieces(client: ProviderHttp) -> None:
    assert "at most 2" in (await failure(client, "/fault-in-pieces")).message


@pytest.mark.parametrize("status", [401, 403, 429, 500, 400])
async def test_the_key_is_in_no_error(vendor: OddVendor, client: ProviderHttp, status: int) -> None:
    text = json.dumps({"error": {"message": f"You said {KEY}, which is {KEY}"}}).encode()
    vendor.bad_days.append(BadDay(status, body=text))
    error = await failure(client)
    assert ("VENDOR_KEY" in error.message) == (status == 401)


def test_the_key_is_not_in_the_settings_repr() -> None:
    assert KEY not in repr(ProviderSettings("vendor", "https://example.org", KEY, "VENDOR_KEY"))


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After": "7", "retry-after-ms": "1500"}, 1.5),
        ({}, None),
        ({"Retry-After": "soon"}, None),
    ],
)
async def test_a_busy_vendor_says_when(
    vendor: OddVendor, client: ProviderHttp, headers: dict[str, str], seconds: float | None
) -> None:
    vendor.bad_days.append(BadDay(429, headers=headers))
    busy = await failure(client)
    assert isinstance(busy, ProviderBusy)
    assert busy.retry_after_s == seconds


def test_retry_after_may_be_a_date() -> None:
    now = datetime(2026, 11, 25, 4, 0, tzinfo=UTC)

    def read(value: str) -> float | None:
        return retry_after_s({"Retry-After": value}, now.timestamp)

    assert read(format_datetime(now + timedelta(seconds=90), usegmt=True)) == 90.0
    assert read(format_datetime(now - timedelta(seconds=90), usegmt=True)) == 0.0
    assert read("Wed, 25 Nov 2026 04:00:30 -0000") == 30.0
    assert read("-5") is None
    assert read("inf") is None
    assert read("nan") is None
    assert retry_after_s({"retry-after-ms": "x"}) is None


def test_a_vendor_may_say_when_in_the_body() -> None:
    client = client_of("http://127.0.0.1:1")
    told = client.fault_error(Fault(429, "slow down", retry_after_s=3.0))
    assert isinstance(told, ProviderBusy)
    assert told.retry_after_s == 3.0
    header_counts_more = client.fault_error(Fault(429, retry_after_s=3.0), 0.0)
    assert isinstance(header_counts_more, ProviderBusy)
    assert header_counts_more.retry_after_s == 0.0


@pytest.mark.parametrize(
    "day",
    [
        HTML_ERROR,
        BadDay(500, body=b""),
        BadDay(500, body=b"[]"),
        BadDay(500, body=b"3"),
        BadDay(500, body=b'"text"'),
        BadDay(500, body=b"null"),
        BadDay(500, body=b'{"error": null}'),
        BadDay(500, body=b'{"error": [1]}'),
        BadDay(500, body=b"\xff\xfe"),
        BadDay(500, body=b"[" * 200_000),
    ],
)
async def test_errors_of_other_shapes(vendor: OddVendor, client: ProviderHttp, day: BadDay) -> None:
    vendor.bad_days.extend([day, day])
    assert type(await failure(client)) is ProviderFailed
    with pytest.raises(ProviderFailed):
        await events(client)


@pytest.mark.parametrize(
    "body", [b'{"error": {"message": "no"}}', b'{"error": 3}', b'{"error": null}', b"[]", b"no JSON", b""]
)
async def test_a_good_status_without_a_stream_fails(
    vendor: OddVendor, client: ProviderHttp, body: bytes
) -> None:
    vendor.bad_days.append(BadDay(body=body))
    with pytest.raises(ProviderFailed):
        await events(client)


async def test_nobody_is_there() -> None:
    async with serving(OddVendor()) as vendor:
        url = vendor.url
    client = client_of(url)
    assert type(await failure(client)) is ProviderFailed
    await client.close()


async def test_a_name_that_nobody_has() -> None:
    client = client_of("http://nobody.invalid")
    assert type(await failure(client)) is ProviderFailed
    await client.close()


@pytest.mark.parametrize("cut", [0, 1, 300])
async def test_a_connection_that_is_cut(vendor: OddVendor, client: ProviderHttp, cut: int) -> None:
    vendor.bad_days.append(BadDay(cut_after=cut))
    with pytest.raises(ProviderFailed, match="broke off"):
        await events(client)


async def test_a_slow_first_byte(vendor: OddVendor) -> None:
    client = client_of(vendor.url, first_byte_s=0.1)
    vendor.bad_days.append(BadDay(delay_s=60))
    started = monotonic()
    assert "0.1 s" in (await failure(client)).message
    assert monotonic() - started < 5
    await client.close()


async def test_the_first_byte_may_take_longer_than_a_silence(vendor: OddVendor) -> None:
    client = client_of(vendor.url, first_byte_s=60, silence_s=0.1)
    vendor.bad_days.append(BadDay(delay_s=0.3))
    assert await client.post(PATH, BODY)
    await client.close()


async def test_a_silence_between_pieces(vendor: OddVendor) -> None:
    client = client_of(vendor.url, silence_s=0.1)
    vendor.bad_days.append(BadDay(hold=asyncio.Event()))
    with pytest.raises(ProviderFailed, match=r"0\.1 s"):
        await events(client)
    await client.close()


async def test_a_redirect_is_not_followed(vendor: OddVendor, client: ProviderHttp) -> None:
    assert type(await failure(client, "/redirect")) is ProviderFailed
    assert [asked.path for asked in vendor.asked] == ["/redirect"]


async def test_a_download_tells_no_key(vendor: OddVendor, client: ProviderHttp) -> None:
    pieces = [piece async for piece in client.download(f"{vendor.url}/models")]
    assert json.loads(b"".join(pieces))
    assert not any("Authorization" in asked.headers for asked in vendor.asked)


async def test_a_download_is_not_led_into_our_own_network(vendor: OddVendor, client: ProviderHttp) -> None:
    with pytest.raises(ProviderFailed, match="sends us elsewhere"):
        [piece async for piece in client.download(f"{vendor.url}/redirect")]
    assert [asked.path for asked in vendor.asked] == ["/redirect"]


@pytest.mark.parametrize("url", ["https://10.0.0.5:8443/a.png", "https://localhost:6443/a.png"])
async def test_an_address_that_an_answer_names_must_be_on_the_internet(vendor: OddVendor, url: str) -> None:
    asked: list[str] = []

    async def refuse(address: str) -> str:
        asked.append(address)
        return "not on the internet"

    client = ProviderHttp(
        ProviderSettings(id="vendor", base_url="https://vendor.test", check_address=refuse), {}, read_fault
    )
    with pytest.raises(ProviderFailed, match="must not go"):
        [piece async for piece in client.download(url)]
    assert asked == [url]
    await client.close()


async def test_a_spent_account_is_not_waited_for(vendor: OddVendor, client: ProviderHttp) -> None:
    spent = {
        "error": {
            "message": "You exceeded your quota.",
            "type": "insufficient_quota",
            "code": "insufficient_quota",
        }
    }
    vendor.bad_days.append(BadDay(429, body=json.dumps(spent).encode()))
    assert type(await failure(client)) is ProviderDenied


async def test_a_large_answer(client: ProviderHttp) -> None:
    assert len(await client.post("/large", {})) == 30_000_003


async def test_an_answer_without_end_is_a_fault(
    client: ProviderHttp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "MAX_ANSWER_BYTES", 1_000_000)
    with pytest.raises(ProviderFailed, match="1000000 bytes"):
        await client.post("/large", {})


async def test_closing_a_stream_closes_the_vendors_connection(
    vendor: OddVendor, client: ProviderHttp
) -> None:
    vendor.bad_days.append(BadDay(hold=asyncio.Event()))
    async with aclosing(client.events("/numbers", BODY)) as stream:
        assert (await anext(stream)).data == b"1"
        assert not vendor.ended.is_set()
    await asyncio.wait_for(vendor.ended.wait(), 5)
    assert vendor.closed_streams == 1


async def test_cancelling_closes_the_vendors_connection(vendor: OddVendor, client: ProviderHttp) -> None:
    vendor.bad_days.append(BadDay(hold=asyncio.Event()))
    task = asyncio.ensure_future(events(client, "/numbers"))
    await asyncio.wait_for(vendor.arrived.wait(), 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.wait_for(vendor.ended.wait(), 5)


async def test_the_end_of_a_stream_may_come_late(vendor: OddVendor, client: ProviderHttp) -> None:
    for _ in range(2):
        vendor.may_end.clear()
        async for event in client.events("/late-end", BODY, is_last=lambda event: event.data == b"2"):
            if event.data == b"2":
                vendor.may_end.set()
    assert len(vendor.peers) == 1


async def test_the_end_of_a_stream_is_not_waited_for(vendor: OddVendor, client: ProviderHttp) -> None:
    stream = client.events("/late-end", BODY, is_last=lambda event: event.data == b"2")
    assert [event.data async for event in stream] == [b"1", b"2"]
    await asyncio.wait_for(vendor.ended.wait(), 5)


async def test_connections_are_used_again(vendor: OddVendor, client: ProviderHttp) -> None:
    for _ in range(3):
        await client.post(PATH, BODY)
        await events(client)
        await client.get("/models")
    assert len(vendor.asked) == 9
    assert len(vendor.peers) == 1
