"""Somebody's web server that hears of jobs, and what delivers to it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from standardwebhooks import Webhook

from cluster.address_guard import AddressGuard
from cluster.jobs.deliveries import Deliveries
from cluster.key_store import KeyStore
from cluster.webhook_sender import WebhookSender
from deployments.webhooks import Webhooks
from tests.deployments.queue import LocalQueue

LOOPBACK = ("127.0.0.0/8",)


@dataclass(frozen=True)
class Heard:
    """One webhook."""

    path: str
    headers: dict[str, str]
    """Names in lower case."""
    raw: bytes

    @property
    def body(self) -> Any:
        return json.loads(self.raw)

    def verified(self, secret: str) -> Any:
        """Check the signature as a receiver does, and give the body."""
        return Webhook(secret).verify(self.raw, self.headers)


@dataclass
class Receiver:
    """Answers each webhook with the next of `answers`, and 200 when there are no more."""

    answers: list[str] = field(default_factory=list)
    """Status lines, and headers behind them."""
    url: str = ""
    heard: "asyncio.Queue[Heard]" = field(default_factory=asyncio.Queue)

    async def next(self) -> Heard:
        """Wait for a webhook."""
        async with asyncio.timeout(10):
            return await self.heard.get()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take one webhook."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in head[1:] if line)}
        raw = await reader.readexactly(int(headers["content-length"]))
        answer = self.answers.pop(0) if self.answers else "200 OK"
        writer.write(f"HTTP/1.1 {answer}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
        await writer.drain()
        writer.close()
        self.heard.put_nowait(Heard(head[0].split()[1], headers, raw))


@asynccontextmanager
async def receiving(*answers: str) -> AsyncIterator[Receiver]:
    """Listen on a port of this machine."""
    receiver = Receiver(list(answers))
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0)
    receiver.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook?id=7"
    async with server:
        yield receiver


@asynccontextmanager
async def delivering(queue: LocalQueue, allow: tuple[str, ...] = LOOPBACK) -> AsyncIterator[None]:
    """Run jobs and deliver their webhooks for the block."""
    database = queue.database
    sender = WebhookSender(AddressGuard(allow), timeout_s=5)
    webhooks = Webhooks(database, Deliveries(database), KeyStore(database), sender)
    async with queue.dispatching():
        running = asyncio.create_task(webhooks.run())
        try:
            yield
        finally:
            running.cancel()
            await asyncio.gather(running, *webhooks._under_way, return_exceptions=True)
            await sender.aclose()
