"""Answers that begin before the work has ended: bytes as they come, and server-sent events."""

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, aclosing
from typing import Any, TypeAlias, cast

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from deployments.error_bodies import error_response
from deployments.error_log import log_error
from deployments.errors import problem_of

KEEP_ALIVE_S = 15.0
"""Proxies cut a connection that is silent; the usual limits begin at 30 s."""

EVENT_STREAM = "text/event-stream"

Event: TypeAlias = Mapping[str, Any]
"""What one server-sent event carries; it travels as JSON."""

_KEEP_ALIVE = b": keep-alive\n\n"
_END = object()
_LINE_ENDS = {number: f"\\u{number:04x}" for number in (0x85, 0x2028, 0x2029)}
"""They end no line of an event, but some clients split there."""


class StreamedResponse(StreamingResponse):
    """Sends chunks as they come and, however that ends, closes their source.

    A client that leaves is noticed at once, not with the next chunk, so that the work stops. An
    error of the source leaves this response as it is: the server then cuts the connection, and the
    client sees a broken stream instead of a short file.
    """

    def __init__(
        self, chunks: AsyncGenerator[bytes, None], media_type: str, resources: AsyncExitStack | None = None
    ) -> None:
        """Take the source, and what must stay open until the last chunk is sent (the request's uploads)."""
        headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        super().__init__(chunks, media_type=media_type, headers=headers)
        self._chunks = chunks
        self._resources = resources or AsyncExitStack()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send everything, or stop when the client has gone."""
        async with self._resources, aclosing(self._chunks):
            sending = asyncio.create_task(self.stream_response(send))
            leaving = asyncio.create_task(self.listen_for_disconnect(receive))
            try:
                await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
                if sending.done():
                    sending.result()
            finally:
                await _stop(sending, leaving)


async def server_sent_events(
    events: AsyncGenerator[Event, None], scope: Scope, keep_alive_s: float = KEEP_ALIVE_S
) -> AsyncGenerator[bytes, None]:
    """Encode events, with a comment line whenever none came for a while.

    The status line has gone when an error comes, so it is told as a last event named ``error``, in
    the wire format of the request.
    """
    async with aclosing(_with_silences(events, keep_alive_s)) as kept_alive:
        try:
            async for event in kept_alive:
                yield _KEEP_ALIVE if event is None else _data(_json(event))
        except Exception as error:  # noqa: BLE001  # whatever it is, the client is told
            log_error(scope, error)
            yield b"event: error\n" + _data(bytes(error_response(scope, problem_of(error)).body))


def _json(event: Event) -> bytes:
    text = json.dumps(event, ensure_ascii=False, separators=(",", ":"))
    return text.translate(_LINE_ENDS).encode()


def _data(json_line: bytes) -> bytes:
    return b"data: " + json_line + b"\n\n"


async def _with_silences(
    events: AsyncGenerator[Event, None], silence_s: float
) -> AsyncGenerator[Event | None, None]:
    """Yield the events, and None for every `silence_s` without one."""
    async with aclosing(events):
        while True:
            coming = asyncio.ensure_future(anext(events, _END))
            try:
                while not (await asyncio.wait({coming}, timeout=silence_s))[0]:
                    yield None
            finally:
                await _stop(coming)
            if (event := coming.result()) is _END:
                return
            yield cast("Event", event)


async def _stop(*tasks: asyncio.Task[Any]) -> None:
    """Cancel what still runs, and wait until it has cleaned up."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
