import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from starlette.types import Message

from deployments.errors import ReplicaLost
from deployments.streaming import EVENT_STREAM, Event, StreamedResponse, server_sent_events

KEEP_ALIVE = b": keep-alive\n\n"


def scope(path: str) -> dict[str, Any]:
    """Describe a request as the servers do."""
    return {"type": "http", "method": "POST", "path": path, "state": {"request_id": "r"}}


async def one_after(gate: asyncio.Event, closed: asyncio.Event) -> AsyncGenerator[Event, None]:
    try:
        await gate.wait()
        yield {"text": "schön\n"}
    finally:
        closed.set()


async def failing() -> AsyncGenerator[Event, None]:
    yield {"number": 1}
    raise ReplicaLost("The replica died.")


async def test_an_event_is_one_line_of_json() -> None:
    gate = asyncio.Event()
    gate.set()
    chunks = [chunk async for chunk in server_sent_events(one_after(gate, asyncio.Event()), scope("/v1/x"))]
    assert chunks == ['data: {"text":"schön\\n"}\n\n'.encode()]


async def test_silence_is_filled_with_comments_and_loses_nothing() -> None:
    gate, sent = asyncio.Event(), list[bytes]()

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message.get("body", b""))
        if sent.count(KEEP_ALIVE) == 2:
            gate.set()

    chunks = server_sent_events(one_after(gate, asyncio.Event()), scope("/v1/x"))
    answer = StreamedResponse(chunks, EVENT_STREAM, keep_alive_s=0.001)
    await answer(scope("/v1/x"), receive, send)
    assert b"".join(each for each in sent if each != KEEP_ALIVE) == 'data: {"text":"schön\\n"}\n\n'.encode()


async def test_a_client_that_leaves_in_a_silence_closes_the_source() -> None:
    closed, begun = asyncio.Event(), asyncio.Event()

    async def receive() -> Message:
        await begun.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        begun.set()

    chunks = server_sent_events(one_after(asyncio.Event(), closed), scope("/v1/x"))
    await StreamedResponse(chunks, EVENT_STREAM)(scope("/v1/x"), receive, send)
    assert closed.is_set()


@pytest.mark.parametrize(("path", "key"), [("/v1/x", "error"), ("/api/x", "responseStatus")])
async def test_an_error_is_the_last_event_in_the_callers_wire_format(path: str, key: str) -> None:
    first, last = [chunk async for chunk in server_sent_events(failing(), scope(path))]
    assert first == b'data: {"number":1}\n\n'
    name, data = last.decode().rstrip().split("\n")
    assert name == "event: error"
    assert json.loads(data.removeprefix("data: "))[key]["message"] == "The replica died."


def test_proxies_are_told_not_to_hold_the_answer_back() -> None:
    answer = StreamedResponse(server_sent_events(failing(), scope("/v1/x")), "text/event-stream")
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["x-accel-buffering"] == "no"
    assert answer.headers["content-type"].startswith("text/event-stream")
