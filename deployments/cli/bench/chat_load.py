"""Some clients that chat as fast as they are answered, and how long each answer took."""

import asyncio
import json
import statistics
import time
from dataclasses import dataclass, field

import aiohttp


class BadAnswer(Exception):
    """A server did not answer as it should; then its speed means nothing."""


@dataclass
class Load:
    """What one run of one server gave."""

    elapsed_s: float = 0.0
    latencies_s: list[float] = field(default_factory=list)
    firsts_s: list[float] = field(default_factory=list)
    """Until the first byte of the answer."""

    @property
    def per_second(self) -> float:
        """Requests per second."""
        return len(self.latencies_s) / self.elapsed_s

    def latency_s(self, percent: int) -> float:
        """Give a percentile of the latencies."""
        return statistics.quantiles(self.latencies_s, n=100)[percent - 1]


@dataclass(frozen=True)
class Side:
    """A server that is measured."""

    name: str
    url: str
    """Up to and with ``/v1``."""
    key: str


def chat(side: Side, *, clients: int, requests: int, stream: bool) -> Load:
    """Let `clients` chat at the same time until `requests` are answered.

    Raises:
        BadAnswer: one of the answers is not as it should be.
    """
    return asyncio.run(_chat(side, clients, requests, stream))


async def _chat(side: Side, clients: int, requests: int, stream: bool) -> Load:
    body = {"model": "bench", "messages": [{"role": "user", "content": "Say hello."}], "stream": stream}
    data = json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {side.key}", "Content-Type": "application/json"}
    load, left = Load(), iter(range(requests))
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), headers=headers) as session:

        async def ask(into: Load) -> None:
            started = time.perf_counter()
            first, answer = 0.0, b""
            async with session.post(f"{side.url}/chat/completions", data=data) as response:
                async for piece in response.content.iter_any():
                    first = first or time.perf_counter() - started
                    answer += piece
            _check(side, response.status, answer, stream)
            into.firsts_s.append(first)
            into.latencies_s.append(time.perf_counter() - started)

        async def client() -> None:
            for _ in left:
                await ask(load)

        for _ in range(3):
            await ask(Load())
        started = time.perf_counter()
        await asyncio.gather(*(client() for _ in range(clients)))
        load.elapsed_s = time.perf_counter() - started
    return load


def _check(side: Side, status: int, answer: bytes, stream: bool) -> None:
    end = b"[DONE]" if stream else b"}"
    if status != 200 or not answer.rstrip().endswith(end) or b"hello" not in answer:
        raise BadAnswer(f"{side.name} answers {status}: {answer[:300]!r}")
