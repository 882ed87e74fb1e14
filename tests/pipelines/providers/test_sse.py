from collections.abc import AsyncIterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.providers import sse
from pipelines.providers.sse import EventReader, EventTooLarge, ServerSentEvent, read_events

STREAM = (
    'event: message_start\ndata: {"text": "Grüße ✓ 🎈"}\n\n'
    ": a comment\n\n"
    "data: two\ndata: lines\n\n"
    "id: 7\nretry: 100\ndata:no space\n\n"
    "data\n\n"
    "event: nameless\n\n"
    "data: last\n\n"
    "data: without its end"
).encode()
EVENTS = [
    ServerSentEvent('{"text": "Grüße ✓ 🎈"}'.encode(), "message_start"),
    ServerSentEvent(b"two\nlines"),
    ServerSentEvent(b"no space"),
    ServerSentEvent(b""),
    ServerSentEvent(b"last"),
]


def read(*chunks: bytes) -> list[ServerSentEvent]:
    reader = EventReader()
    return [event for chunk in chunks for event in reader.feed(chunk)]


@pytest.mark.parametrize("ending", [b"\n", b"\r\n"])
@pytest.mark.parametrize("size", [1, 2, 3, 7, 10_000])
def test_events_are_the_same_wherever_the_network_cuts(size: int, ending: bytes) -> None:
    stream = STREAM.replace(b"\n", ending)  # cut inside of characters, and between CR and LF
    assert read(*(stream[place : place + size] for place in range(0, len(stream), size))) == EVENTS


@given(cuts=st.lists(st.integers(0, len(STREAM)), max_size=9))
def test_events_are_the_same_for_any_pieces(cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(STREAM)]
    assert read(*(STREAM[start:end] for start, end in pairwise(places))) == EVENTS


def test_an_event_comes_as_soon_as_it_is_whole() -> None:
    reader = EventReader()
    assert list(reader.feed(b"data: a\n")) == []
    assert list(reader.feed(b"\ndata: b")) == [ServerSentEvent(b"a")]
    assert list(reader.feed(b"\n\n")) == [ServerSentEvent(b"b")]


def test_a_space_too_many_and_colons_belong_to_the_data() -> None:
    assert read(b"data:  a: b\n\n") == [ServerSentEvent(b" a: b")]


def test_a_name_does_not_stay_for_the_next_event() -> None:
    assert [event.name for event in read(b"event: x\ndata: 1\n\ndata: 2\n\n")] == ["x", "message"]


@pytest.mark.parametrize("piece", [b"x" * 10, b"data: x\n", b": ping\n", b"data: x\ny"])
def test_what_does_not_end_is_too_large(monkeypatch: pytest.MonkeyPatch, piece: bytes) -> None:
    monkeypatch.setattr(sse, "MAX_EVENT_BYTES", 1000)
    with pytest.raises(EventTooLarge, match="1000 bytes"):
        read(*[piece] * 1000)


def test_many_events_are_not_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "MAX_EVENT_BYTES", 1000)
    assert len(read(b"data: x\n\n" * 1000, *[b": ping\n\n"] * 1000)) == 1000


async def test_events_of_an_asynchronous_body() -> None:
    async def body() -> AsyncIterator[bytes]:
        for byte in STREAM:
            yield bytes([byte])

    assert [event async for event in read_events(body())] == EVENTS
