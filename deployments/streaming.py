"""Answers that begin before the work has ended: bytes as they come, and server-sent events."""

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, aclosing
from typing import Any, TypeAlias

from starlette.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from deployments.error_bodies import error_response
from deployments.error_log import log_error
from deployments.errors import problem_of

KEEP_ALIVE_S = 15.0
"""Proxies cut a connection that is silent; the usual limits begin at 30 s."""

EVENT_STREAM = "text/event-stream"

Event: TypeAlias = Mapping[str, Any]
"""What one server-sent event carries; it travels as JSON."""

_KEEP_ALIVE = b": keep-alive\n\n"
_LINE_ENDS = {number: f"\\u{number:04x}" for number in (0x85, 0x2028, 0x2029)}
"""They end no line of an event, but some clients split there."""


class StreamedResponse(StreamingResponse):
    """Sends chunks as they come and, however that ends, closes their source.

    A client that leaves is noticed at once, not with the next chunk, so that the work stops. An
    error of the source leaves this response as it is: the server then cuts the connection, and the
    client sees a broken stream instead of a short file.
    """

    def __init__(
        self,
        chunks: AsyncGenerator[bytes, None],
        media_type: str,
        resources: AsyncExitStack | None = None,
        keep_alive_s: float = KEEP_ALIVE_S,
    ) -> None:
        """Take the source, and what must stay open until the last chunk is sent (the request's uploads).

        An event stream gets a comment line whenever `keep_alive_s` have passed without a chunk.
        """
        headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        super().__init__(chunks, media_type=media_type, headers=headers)
        self._chunks = chunks
        self._resources = resources or AsyncExitStack()
        self._keep_alive_s = keep_alive_s if media_type == EVENT_STREAM else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send everything, or stop when the client has gone."""
        line = _Line(send)
        async with self._resources, aclosing(self._chunks):
            sending = asyncio.create_task(self.stream_response(line.send))
            others = [asyncio.create_task(self.listen_for_disconnect(receive))]
            if self._keep_alive_s is not None:
                others.append(asyncio.create_task(line.keep_alive(self._keep_alive_s)))
            try:
                await asyncio.wait({sending, *others}, return_when=asyncio.FIRST_COMPLETED)
                if sending.done():
                    sending.result()
            finally:
                await _stop(sending, *others)


class _Line:
    """The way to the client, which must not be silent for long."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._sent = 0

    async def send(self, message: Message) -> None:
        self._sent += 1
        await self._send(message)

    async def keep_alive(self, silence_s: float) -> None:
        """Send a comment whenever nothing else was sent for a while; no chunk has to wait for this."""
        while True:
            before = self._sent
            await asyncio.sleep(silence_s)
            if self._sent == before and before > 0:
                await self._send({"type": "http.response.body", "body": _KEEP_ALIVE, "more_body": True})


async def server_sent_events(
    events: AsyncGenerator[Event, None], scope: Scope
) -> AsyncGenerator[bytes, None]:
    """Encode events.

    The status line has gone when an error comes, so it is told as a last event named ``error``, in
    the wire format of the request.
    """
    async with aclosing(events):
        try:
            async for event in events:
                yield data_line(_json(event))
        except Exception as error:  # noqa: BLE001  # whatever it is, the client is told
            yield b"event: error\n" + data_line(told_error(scope, error))


def _json(event: Event) -> bytes:
    text = json.dumps(event, ensure_ascii=False, separators=(",", ":"))
    return text.translate(_LINE_ENDS).encode()


def told_error(scope: Scope, error: Exception) -> bytes:
    """Log an error that came after the status line, and give its body in the wire format of the request."""
    log_error(scope, error)
    return bytes(error_response(scope, problem_of(error)).body)


def data_line(json_line: bytes) -> bytes:
    """Make an event of one line of JSON."""
    return b"data: " + json_line + b"\n\n"


async def _stop(*tasks: asyncio.Task[Any]) -> None:
    """Cancel what still runs, and wait until it has cleaned up."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
