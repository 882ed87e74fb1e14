"""What every fake vendor shares: it listens on a free port, remembers what it was asked, and has bad days."""

import asyncio
import email
import json
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from aiohttp import web

from pipelines.tasks.chat_shapes import json_bytes

MAX_BODY_BYTES = 100 * 1024 * 1024


@dataclass(frozen=True)
class Part:
    """One part of a form."""

    data: bytes
    filename: str | None

    @property
    def text(self) -> str:
        return self.data.decode()


@dataclass(frozen=True)
class Asked:
    """One request that a vendor received."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def form(self) -> dict[str, list[Part]]:
        """The parts of a multipart form by their names, in order."""
        head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
        parts: dict[str, list[Part]] = {}
        for part in email.message_from_bytes(head + self.body).walk():
            if name := part.get_param("name", header="content-disposition"):
                data = part.get_payload(decode=True)
                assert isinstance(data, bytes)
                parts.setdefault(str(name), []).append(Part(data, part.get_filename()))
        return parts


@dataclass
class BadDay:
    """How one request goes wrong; a vendor uses up one for each request, and is well afterwards."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    """Instead of the vendor's own error for `status`."""
    content_type: str = "application/json"
    delay_s: float = 0.0
    """Until the first byte."""
    cut_after: int | None = None
    """A stream is cut after so many bytes; 0 cuts the connection before the answer."""
    hold: asyncio.Event | None = None
    """A stream stands still after its first event until this is set."""
    split: bool = False
    """Every byte of a stream comes in a piece of its own."""


@dataclass(frozen=True)
class Pieces:
    """A file that a vendor sends piece by piece."""

    content_type: str
    pieces: list[bytes]


Answer: TypeAlias = web.StreamResponse | bytes | list[bytes] | Pieces

HTML_ERROR = BadDay(502, body=b"<html><h1>502 Bad Gateway</h1></html>", content_type="text/html")


class Vendor:
    """A fake vendor; subclasses answer in `answer` and write errors in `error_body`."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.bad_days: deque[BadDay] = deque()
        self.url = ""
        self.files: dict[str, bytes] = {}
        """Path -> what lies there, for whoever asks."""
        self.left = asyncio.Event()
        """A client has left a stream before its end."""
        self.peers: set[Any] = set()
        """The connections that requests came on."""
        self.closed_streams = 0
        """Streams whose client left before their end."""

    async def answer(self, asked: Asked) -> Answer:
        """Answer a request: bytes are JSON, a list holds the pieces of an event stream."""
        raise NotImplementedError

    def error_body(self, status: int) -> bytes:
        """Write an error as the vendor documents it."""
        raise NotImplementedError

    async def handle(self, request: web.Request) -> web.StreamResponse:
        asked = Asked(request.method, request.path_qs, dict(request.headers), await request.read())
        self.asked.append(asked)
        if file := self.files.get(asked.path):
            return web.Response(body=file, content_type="application/octet-stream")
        assert request.transport is not None
        self.peers.add(request.transport.get_extra_info("peername"))
        day = self.bad_days.popleft() if self.bad_days else BadDay()
        if day.delay_s:
            await asyncio.sleep(day.delay_s)
        if day.status >= 300:
            body = self.error_body(day.status) if day.body is None else day.body
            return web.Response(
                body=body, status=day.status, headers=dict(day.headers), content_type=day.content_type
            )
        if day.cut_after == 0:
            return self._cut(request)
        if day.body is not None:
            return web.Response(body=day.body, content_type=day.content_type)
        return await self._sent(request, await self.answer(asked), day)

    async def _sent(self, request: web.Request, answer: Answer, day: BadDay) -> web.StreamResponse:
        if isinstance(answer, bytes):
            return web.Response(body=answer, content_type="application/json")
        if isinstance(answer, list):
            answer = Pieces("text/event-stream", answer)
        if isinstance(answer, Pieces):
            return await self._stream(request, answer, day)
        return answer

    async def _stream(self, request: web.Request, answer: Pieces, day: BadDay) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": answer.content_type})
        await response.prepare(request)
        pieces = answer.pieces
        whole = b"".join(pieces)
        if day.split:
            pieces = [whole[place : place + 1] for place in range(len(whole))]
        if day.cut_after is not None:
            pieces = [whole[: day.cut_after]]
        try:
            for piece in pieces:
                await response.write(piece)
                if day.hold is not None and not piece.startswith(b":"):
                    await day.hold.wait()
                elif day.split:
                    await asyncio.sleep(0)
        except (ConnectionError, asyncio.CancelledError):
            self.closed_streams += 1
            self.left.set()
            raise
        if day.cut_after is not None:
            return self._cut(request, response)
        await response.write_eof()
        return response

    def _cut(self, request: web.Request, response: web.StreamResponse | None = None) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.close()  # what was written is sent, but not the end of the body
        return response or web.Response()


@asynccontextmanager
async def serving(vendor: Vendor, port: int = 0) -> AsyncIterator[Vendor]:
    """Let a vendor listen on 127.0.0.1 for the block; its address is in `url`."""
    application = web.Application(client_max_size=MAX_BODY_BYTES)
    application.router.add_route("*", "/{path:.*}", vendor.handle)
    runner = web.AppRunner(application, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    assert site._server is not None
    vendor.url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"  # type: ignore[attr-defined]
    try:
        yield vendor
    finally:
        await runner.cleanup()


def event_stream(*events: Mapping[str, Any] | str, names: bool = False) -> list[bytes]:
    """Write events as a vendor does: objects as JSON, text as it is; `names` takes ``type`` as event name."""
    return [_event(event, names) for event in events]


def _event(event: Mapping[str, Any] | str, names: bool) -> bytes:
    if isinstance(event, str):
        return event.encode() if event.startswith(":") else f"data: {event}\n\n".encode()
    name = f"event: {event['type']}\n" if names else ""
    return name.encode() + b"data: " + json_bytes(event) + b"\n\n"
