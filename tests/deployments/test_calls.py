"""The clock and the counters around one call."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

import pytest

from configs.schema import ServerConfig, TimeoutsConfig
from deployments.calls import Call
from deployments.errors import RunTimedOut
from deployments.gateway import Route
from deployments.runs import RunInfo
from deployments.services import Services
from pipelines.errors import InvalidInput
from pipelines.tasks.base import TaskRequest
from pipelines.tasks.text_to_speech import TextToSpeechRequest
from tests.deployments.fakes import ListMetrics

TASK = "text-to-speech"
HELLO = TextToSpeechRequest(text="hello")


class NeverEnds:
    """A backend that works for ever and notes that it was stopped."""

    def __init__(self) -> None:
        self.stopped = False

    async def run(self, task: str, request: TaskRequest[Any], info: RunInfo) -> Any:
        try:
            await asyncio.Event().wait()
        finally:
            self.stopped = True

    async def stream(self, task: str, request: TaskRequest[Any], info: RunInfo) -> AsyncGenerator[Any, None]:
        yield await self.run(task, request, info)


class Refuses(NeverEnds):
    """A backend that finds fault with every input."""

    async def run(self, task: str, request: TaskRequest[Any], info: RunInfo) -> Any:
        raise InvalidInput("no", "text")


def call_of(services: Services) -> Call:
    config = ServerConfig(timeouts=TimeoutsConfig(request_s=0.01))
    return Call.of(replace(services, config=config), owner="0")


def to(backend: Any) -> Route:
    return Route("m", (TASK,), backend)


@pytest.mark.parametrize("method", ["run", "stream"])
async def test_the_synchronous_limit_stops_the_work(
    services: Services, metrics: ListMetrics, method: str
) -> None:
    backend = NeverEnds()
    with pytest.raises(RunTimedOut, match=r"did not end within 0\.01 s"):
        await getattr(call_of(services), method)(TASK, HELLO, to(backend))
    assert backend.stopped
    assert metrics.observed == [(TASK, "m", "TimeoutException")]


@pytest.mark.parametrize("method", ["run", "stream"])
async def test_a_refusal_is_counted_under_its_code(
    services: Services, metrics: ListMetrics, method: str
) -> None:
    with pytest.raises(InvalidInput):
        await getattr(call_of(services), method)(TASK, HELLO, to(Refuses()))
    assert metrics.observed == [(TASK, "m", "ArgumentException")]


async def test_a_stream_is_counted_once_at_its_end(services: Services, metrics: ListMetrics) -> None:
    call = Call.of(services, owner="0")
    stream = await call.stream(TASK, HELLO, services.gateway.resolve(TASK))
    assert metrics.observed == []
    assert [event async for event in stream]
    assert metrics.observed == [(TASK, "tone", "ok")]


async def test_a_stream_that_is_closed_early_is_counted_as_disconnected(
    services: Services, metrics: ListMetrics
) -> None:
    route = services.gateway.resolve(TASK)
    stream = await Call.of(services, owner="0").stream(TASK, HELLO, route)
    await anext(stream)
    await stream.aclose()
    assert metrics.observed == [(TASK, "tone", "disconnected")]
