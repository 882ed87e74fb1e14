"""The clock and the counters around one call, and how it becomes a job."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

import pytest

from cluster.jobs.errors import StoreUnavailable
from cluster.jobs.job import Job, JobFilter, JobState
from deployments.calls import Call, Work
from deployments.errors import Accepted, HandedOver, JobFailed, RunTimedOut, problem_of
from deployments.gateway import Route
from deployments.preferences import NO_WISH, JobWish, Preference
from deployments.runs import RunInfo
from deployments.services import Services
from pipelines.errors import InvalidInput
from pipelines.tasks.base import TaskRequest
from pipelines.tasks.text_to_speech import TextToSpeechRequest, TextToSpeechResult
from tests.deployments.fakes import ListMetrics
from tests.deployments.queue import LocalQueue

TASK = "text-to-speech"
HELLO = TextToSpeechRequest(text="hello")


class NeverEnds:
    """A backend that works for ever and notes that it was stopped."""

    def __init__(self) -> None:
        self.started = asyncio.Event()
        self.stopped = asyncio.Event()

    async def run(self, task: str, request: TaskRequest[Any], info: RunInfo) -> Any:
        self.started.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.stopped.set()

    async def stream(self, task: str, request: TaskRequest[Any], info: RunInfo) -> AsyncGenerator[Any, None]:
        yield await self.run(task, request, info)


class EndsWhenTold(NeverEnds):
    """A backend whose run ends when a test says so."""

    def __init__(self, error: Exception | None = None) -> None:
        super().__init__()
        self.end = asyncio.Event()
        self.runs = 0
        self._error = error

    async def run(self, task: str, request: TaskRequest[Any], info: RunInfo) -> Any:
        self.runs += 1
        await self.end.wait()
        if self._error:
            raise self._error
        return TextToSpeechResult(audio="2026/11/24/0/a.wav", duration_s=1.0, sample_rate=16_000)


class Refuses(NeverEnds):
    """A backend that finds fault with every input."""

    async def run(self, task: str, request: TaskRequest[Any], info: RunInfo) -> Any:
        raise InvalidInput("no", "text")


def call_of(services: Services, limit_s: float | None = 60.0, **fields: Any) -> Call:
    return Call(services, RunInfo(owner="0"), limit_s, "http://here", **fields)


def hello(services: Services, backend: Any = None, wish: JobWish = NO_WISH) -> Work[TextToSpeechResult]:
    route = services.gateway.resolve(TASK)
    return Work(TASK, HELLO, Route("tone", (TASK,), backend) if backend else route, wish=wish)


async def ended(services: Services, job_id: int) -> Job:
    return await services.jobs.wait(await services.jobs.get(job_id, "0"), 5)


async def test_a_run_that_reaches_the_limit_goes_on_as_a_job(
    services: Services, metrics: ListMetrics
) -> None:
    backend = EndsWhenTold()
    with pytest.raises(HandedOver, match=r"did not end within 0\.01 s.* as job 1: .*jobId=1") as caught:
        await call_of(services, 0.01).run(hello(services, backend))
    assert caught.value.ticket["jobState"] == "Started"
    assert caught.value.headers["Location"] == "http://here/jobs/1"
    assert metrics.observed == [(TASK, "tone", "TimeoutException")]
    assert (await services.jobs.get(1, "0")).state == JobState.STARTED
    backend.end.set()
    job = await ended(services, 1)
    assert (job.state, job.attempts) == (JobState.COMPLETED, 1)
    assert backend.runs == 1


async def test_a_run_that_goes_on_as_a_job_may_still_fail(services: Services) -> None:
    backend = EndsWhenTold(InvalidInput("no", "text"))
    with pytest.raises(HandedOver):
        await call_of(services, 0.01).run(hello(services, backend))
    backend.end.set()
    job = await ended(services, 1)
    assert (job.state, job.error_message) == (JobState.FAILED, "no")


async def test_a_job_that_is_cancelled_stops_the_run_that_became_it(services: Services) -> None:
    backend = NeverEnds()
    with pytest.raises(HandedOver):
        await call_of(services, 0.01).run(hello(services, backend))
    await services.jobs.cancel(1, "0")
    await asyncio.wait_for(backend.stopped.wait(), 5)


async def test_without_a_job_store_the_limit_stops_the_work(
    services: Services, queue: LocalQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> Any:
        raise StoreUnavailable("The job store is away.")

    monkeypatch.setattr(services.jobs, "adopt", away)
    backend = NeverEnds()
    with pytest.raises(RunTimedOut, match=r"was stopped: The job store is away") as caught:
        await call_of(services, 0.01).run(hello(services, backend))
    assert not isinstance(caught.value, HandedOver)
    assert backend.stopped.is_set()


async def test_a_client_that_leaves_stops_the_work(services: Services) -> None:
    backend = NeverEnds()
    call = asyncio.create_task(call_of(services).run(hello(services, backend)))
    await backend.started.wait()
    call.cancel()
    await asyncio.wait([call])
    assert backend.stopped.is_set()
    assert await services.jobs.some(JobFilter(), 10) == []


async def test_a_stream_that_does_not_begin_in_time_is_queued(services: Services) -> None:
    backend = NeverEnds()
    with pytest.raises(HandedOver) as caught:
        await call_of(services, 0.01).stream(hello(services, backend))
    assert backend.stopped.is_set()
    assert caught.value.ticket["jobState"] == "Queued"


@pytest.mark.parametrize("method", ["run", "stream"])
async def test_a_client_that_prefers_a_job_gets_one_at_once(services: Services, method: str) -> None:
    call = call_of(services, preference=Preference(respond_async=True))
    with pytest.raises(Accepted) as caught:
        await getattr(call, method)(hello(services))
    assert caught.value.ticket["jobState"] == "Queued"


async def test_a_client_that_waits_a_little_gets_the_answer_if_it_comes(services: Services) -> None:
    call = call_of(services, preference=Preference(respond_async=True, wait_s=30))
    assert (await call.run(hello(services))).result.duration_s > 0


async def test_a_client_that_waited_long_enough_gets_the_running_job(services: Services) -> None:
    call = call_of(services, preference=Preference(wait_s=0.01))
    with pytest.raises(Accepted) as caught:
        await call.run(hello(services, NeverEnds()))
    assert caught.value.ticket["jobState"] == "Started"
    await services.jobs.cancel(1, "0")


async def test_a_call_with_an_idempotency_key_is_done_once(services: Services, queue: LocalQueue) -> None:
    work = hello(services, wish=JobWish(idempotency_key="mine"))
    async with queue.dispatching():
        first = await call_of(services).run(work)
        second = await call_of(services).run(work)
    assert first.result == second.result
    assert len(await services.jobs.some(JobFilter(), 10)) == 1


async def test_the_error_of_a_call_with_an_idempotency_key_keeps_its_status(
    services: Services, queue: LocalQueue
) -> None:
    request = TextToSpeechRequest(text="unspeakable")
    work = replace(hello(services, wish=JobWish(idempotency_key="mine")), request=request)
    async with queue.dispatching():
        with pytest.raises(JobFailed, match="cannot be spoken") as caught:
            await call_of(services).run(work)
    assert problem_of(caught.value).status == 400


@pytest.mark.parametrize("method", ["run", "stream"])
async def test_a_refusal_is_counted_under_its_code(
    services: Services, metrics: ListMetrics, method: str
) -> None:
    with pytest.raises(InvalidInput):
        await getattr(call_of(services), method)(hello(services, Refuses()))
    assert metrics.observed == [(TASK, "tone", "ArgumentException")]


async def test_a_stream_is_counted_once_at_its_end(services: Services, metrics: ListMetrics) -> None:
    stream = await call_of(services).stream(hello(services))
    assert metrics.observed == []
    assert [event async for event in stream]
    assert metrics.observed == [(TASK, "tone", "ok")]


async def test_a_stream_that_is_closed_early_is_counted_as_disconnected(
    services: Services, metrics: ListMetrics
) -> None:
    stream = await call_of(services).stream(hello(services))
    await anext(stream)
    await stream.aclose()
    assert metrics.observed == [(TASK, "tone", "disconnected")]
