"""One HTTP exchange with an ASGI application, message by message: clients for tests buffer the answer."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from starlette.types import ASGIApp, Message


class Exchange:
    """What the application sends, as it sends it; the client may leave."""

    def __init__(self, body: bytes) -> None:
        self.sent: asyncio.Queue[Message] = asyncio.Queue()
        self._requests = [{"type": "http.request", "body": body, "more_body": False}]
        self._left = asyncio.Event()

    async def receive(self) -> Message:
        """Give the request, then nothing until the client leaves."""
        if self._requests:
            return self._requests.pop()
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def next_body(self) -> bytes:
        """Wait for the next piece of the answer's body."""
        while (message := await self.sent.get())["type"] != "http.response.body":
            pass
        body: bytes = message["body"]
        return body

    def leave(self) -> None:
        """Close the client's end of the connection."""
        self._left.set()


@asynccontextmanager
async def exchange(
    app: ASGIApp, path: str, headers: dict[str, str], body: bytes, method: str = "POST"
) -> AsyncIterator[tuple[Exchange, "asyncio.Task[Any]"]]:
    """Send `body`; the task is the application's run."""
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        "client": ("127.0.0.1", 1),
        "server": ("test", 80),
    }
    talk = Exchange(body)
    run = asyncio.ensure_future(app(scope, talk.receive, talk.sent.put))
    try:
        yield talk, run
    finally:
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)
