"""A thousand chats through three candidates: one dead, one slow, one well, which is killed in the middle."""

import asyncio
import json
from collections import Counter
from contextlib import AsyncExitStack
from typing import Any

import pytest

from deployments.services import Services
from tests.deployments.chat import ChatServer, chat_server
from tests.vendors.openai import OpenAiVendor
from tests.vendors.server import Asked, BadDay, Vendor, serving

REQUESTS = 1_000
CLIENTS = 32
KILL_AT = 400


class Echo(OpenAiVendor):
    """Says what it was asked; `slow_s` before its first byte."""

    def __init__(self, slow_s: float = 0.0) -> None:
        super().__init__()
        self.slow_s = slow_s

    async def answer(self, asked: Asked) -> Any:
        self.words = (asked.json["messages"][0]["content"],)
        if self.slow_s:
            self.bad_days.append(BadDay(delay_s=self.slow_s))
        return await super().answer(asked)


class Killable(Echo):
    """Is killed at a request: whoever waits then, and whoever comes later, finds nobody."""

    def __init__(self) -> None:
        super().__init__()
        self.kill = asyncio.Event()

    async def answer(self, asked: Asked) -> Any:
        if len(self.asked) >= KILL_AT:
            self.kill.set()
            await asyncio.Event().wait()
        return await super().answer(asked)


async def served_until_killed(vendor: Killable, ready: asyncio.Event) -> None:
    async with serving(vendor):
        ready.set()
        await vendor.kill.wait()


async def ask(server: ChatServer, number: int) -> tuple[str, str]:
    """Chat, every third time as a stream; give what was said, and who said it."""
    stream = number % 3 == 0
    messages = [{"role": "user", "content": f"number {number}"}]
    answer = await server.chat(model="gpt", stream=stream, messages=messages)
    assert answer.status_code == 200, answer.text
    provider = answer.headers["x-served-by"]
    if not stream:
        return answer.json()["choices"][0]["message"]["content"], provider
    *events, end = [line.removeprefix("data: ") for line in answer.text.split("\n\n") if line]
    assert end == "[DONE]"
    deltas = (json.loads(event)["choices"][0]["delta"].get("content") or "" for event in events)
    return "".join(deltas), provider


@pytest.mark.parametrize("priorities", [(2, 1, 0), (0, 0, 0)], ids=["in order", "shared"])
async def test_no_request_fails_and_none_is_answered_twice(
    services: Services, priorities: tuple[int, int, int]
) -> None:
    well, slow = Killable(), Echo(slow_s=0.002)
    async with AsyncExitStack() as stack:
        ready = asyncio.Event()
        running = asyncio.create_task(served_until_killed(well, ready))
        stack.callback(running.cancel)
        await ready.wait()
        vendors: dict[str, Vendor] = {"slow": slow}
        addresses = {"well": f"{well.url}/v1", "dead": "http://127.0.0.1:9/v1"}
        external = [
            {"provider": name, "model": "m", "priority": priority}
            for name, priority in zip(("dead", "well", "slow"), priorities, strict=True)
        ]
        server = await stack.enter_async_context(
            chat_server(
                services,
                vendors,
                models=[{"id": "gpt", "tasks": ["chat"], "external": external}],
                more_providers=[{"id": name, "base_url": url} for name, url in addresses.items()],
            )
        )
        numbers = iter(range(REQUESTS))

        async def client() -> list[tuple[int, tuple[str, str]]]:
            return [(number, await ask(server, number)) for number in numbers]

        answers = [
            each for done in await asyncio.gather(*(client() for _ in range(CLIENTS))) for each in done
        ]
    assert sorted(number for number, _ in answers) == list(range(REQUESTS))
    assert all(said == f"number {number}" for number, (said, _) in answers)
    served = Counter(provider for _, (_, provider) in answers)
    assert served["dead"] == 0
    assert served["slow"] >= REQUESTS - KILL_AT
    ok = Counter(each.provider for each in server.attempts if each.outcome == "ok")
    assert ok == served  # nobody answered what somebody else had answered
