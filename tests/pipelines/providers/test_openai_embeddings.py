import pytest

from pipelines.errors import ProviderFailed, ProviderRefused
from pipelines.providers.openai import OpenAiProvider
from pipelines.tasks.embedding import EmbeddingRequest, EmbeddingResult
from tests.fakes import FolderWorkspace
from tests.vendors.openai import OpenAiVendor
from tests.vendors.server import HTML_ERROR, BadDay

MODEL = "text-embedding-3-small"


async def test_vectors_come_in_the_order_of_their_texts(
    openai: OpenAiProvider, vendor: OpenAiVendor, workspace: FolderWorkspace
) -> None:
    asked = EmbeddingRequest(model=MODEL, inputs=("a", "b", "c"), dimensions=2)
    result = await openai.run("embedding", asked, workspace)
    assert result.vectors == ((0.0, 0.125), (1.0, 1.125), (2.0, 2.125))
    assert result.usage.prompt_tokens == 8
    assert vendor.asked[0].json == {
        "model": MODEL,
        "input": ["a", "b", "c"],
        "dimensions": 2,
        "encoding_format": "float",
    }


async def test_tokens_go_as_tokens(
    openai: OpenAiProvider, vendor: OpenAiVendor, workspace: FolderWorkspace
) -> None:
    asked = EmbeddingRequest(model=MODEL, inputs=((1, 2), (3,)))
    assert len((await openai.run("embedding", asked, workspace)).vectors) == 2
    assert vendor.asked[0].json["input"] == [[1, 2], [3]]
    assert "dimensions" not in vendor.asked[0].json


async def test_a_stream_gives_the_result(openai: OpenAiProvider, workspace: FolderWorkspace) -> None:
    asked = EmbeddingRequest(model=MODEL, inputs=("a",))
    events = [event async for event in openai.stream("embedding", asked, workspace)]
    assert [type(event) for event in events] == [EmbeddingResult]


@pytest.mark.parametrize(
    ("day", "error"),
    [
        (HTML_ERROR, ProviderFailed),
        (BadDay(400), ProviderRefused),
        (BadDay(body=b'{"data": []}'), ProviderFailed),
        (BadDay(body=b'{"data": [{"index": 0, "embedding": "AAAA"}]}'), ProviderFailed),
        (BadDay(body=b"[]"), ProviderFailed),
        (BadDay(body=b'{"error": {"message": "Provider returned error", "code": 502}}'), ProviderFailed),
    ],
)
async def test_bad_days(
    day: BadDay,
    error: type[Exception],
    openai: OpenAiProvider,
    vendor: OpenAiVendor,
    workspace: FolderWorkspace,
) -> None:
    vendor.bad_days.append(day)
    with pytest.raises(error):
        await openai.run("embedding", EmbeddingRequest(model=MODEL, inputs=("a",)), workspace)
