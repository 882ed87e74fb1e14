"""GET /jobs/{id}/events: a job, followed to its end."""

import asyncio
import json
from itertools import groupby
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from cluster.jobs.errors import StoreUnavailable
from cluster.jobs.job import Job, JobState
from cluster.jobs.store import JobStore
from deployments.job_watch import JobWatch
from deployments.routers import jobs as routes
from deployments.services import Services
from tests.deployments.conftest import KEY, refusal
from tests.deployments.exchange import exchange
from tests.deployments.fakes import HeldBackend
from tests.deployments.queue import LocalQueue, submitted


def read(body: str) -> list[dict[str, Any]]:
    return [json.loads(event.removeprefix("data: ")) for event in body.strip().split("\n\n")]


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at the place in the queue more often than a person would notice."""
    monkeypatch.setattr(routes, "LOOK_AGAIN_S", 0.02)


async def followed(client: httpx.AsyncClient, job_id: int) -> list[dict[str, Any]]:
    answer = await client.get(f"/jobs/{job_id}/events")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["cache-control"] == "no-cache"
    return read(answer.text)


async def test_from_the_queue_to_the_results(
    client: httpx.AsyncClient, queue: LocalQueue, speaker: HeldBackend
) -> None:
    speaker.hold()
    await submitted(client, refId="mine")
    following = asyncio.create_task(followed(client, 1))
    await queue.watched(1)
    async with queue.dispatching():
        await speaker.started.wait()
        await queue.seen(1, lambda job: job.state == JobState.STARTED)
        await queue.progressed(1, 0.5, "Sentence 1 of 2")
        speaker.let_go()
        events = await following
    seen = [(each["state"], each["progress"], each.get("step")) for each in events]
    # Between two of them only the estimate of the time that is left may have changed.
    assert [each for each, _ in groupby(seen)] == [
        ("Queued", 0.0, None),
        ("Started", 0.0, None),
        ("Started", 0.5, "Sentence 1 of 2"),
        ("Completed", 1.0, events[-1].get("step")),
    ]
    assert events[0]["queuePosition"] == 0
    assert {each["refId"] for each in events} == {"mine"}
    (result,) = events[-1]["results"]
    assert (await client.get(result["url"])).content.startswith(b"RIFF")


async def test_a_job_that_has_ended_is_one_event(client: httpx.AsyncClient, queue: LocalQueue) -> None:
    await submitted(client)
    async with queue.dispatching():
        await queue.ended(1)
    (event,) = await followed(client, 1)
    assert (event["state"], len(event["results"])) == ("Completed", 1)


async def test_a_failure_and_a_cancellation_are_ends_too(
    client: httpx.AsyncClient, queue: LocalQueue, services: Services
) -> None:
    await submitted(client, "unspeakable")
    await submitted(client)
    following = [asyncio.create_task(followed(client, job_id)) for job_id in (1, 2)]
    await queue.watched(2)
    await services.jobs.cancel(2, "0")
    async with queue.dispatching():
        failed, cancelled = [(await each)[-1] for each in following]
    assert (failed["state"], failed["responseStatus"]["errorCode"]) == ("Failed", "ArgumentException")
    assert (cancelled["state"], cancelled["responseStatus"]["message"]) == ("Cancelled", "Job was cancelled")


@pytest.mark.usefixtures("often")
async def test_the_place_in_the_queue_goes_down(
    client: httpx.AsyncClient, queue: LocalQueue, services: Services
) -> None:
    for _ in range(3):
        await submitted(client)
    following = asyncio.create_task(followed(client, 3))
    await queue.watched(3)
    async with asyncio.timeout(5):
        await services.jobs.cancel(1, "0")
        async with queue.dispatching():
            events = await following
    places = [each["queuePosition"] for each in events if each["state"] == "Queued"]
    assert places[0] == 2
    assert places == sorted(places, reverse=True)
    assert events[-1]["state"] == "Completed"


@pytest.mark.usefixtures("often")
async def test_what_has_not_changed_is_not_sent_again(
    client: httpx.AsyncClient, queue: LocalQueue, monkeypatch: pytest.MonkeyPatch, services: Services
) -> None:
    looks = 0
    estimate = services.jobs.estimate

    async def counted(job: Job) -> Any:
        nonlocal looks
        looks += 1
        if looks == 5:
            await services.jobs.cancel(1, "0")
        return await estimate(job)

    monkeypatch.setattr(services.jobs, "estimate", counted)
    await submitted(client)
    assert [each["state"] for each in await followed(client, 1)] == ["Queued", "Cancelled"]


async def test_many_follow_one_job(client: httpx.AsyncClient, queue: LocalQueue) -> None:
    await submitted(client)
    following = [asyncio.create_task(followed(client, 1)) for _ in range(5)]
    await queue.watched(1)
    async with queue.dispatching():
        ends = [(await each)[-1] for each in following]
    assert all(end == ends[0] for end in ends)
    assert ends[0]["state"] == "Completed"


async def test_a_client_that_leaves_is_forgotten_and_its_job_goes_on(
    client: httpx.AsyncClient, app: FastAPI, queue: LocalQueue
) -> None:
    await submitted(client)
    async with exchange(app, "/jobs/1/events", {"X-Api-Key": KEY}, b"", "GET") as (talk, run):
        (event,) = read((await talk.next_body()).decode())
        assert event["state"] == "Queued"
        talk.leave()
        await asyncio.wait_for(run, 5)
    assert queue.watch.watched == set()
    async with queue.dispatching():
        assert (await queue.ended(1)).state == "Completed"


async def test_a_store_that_is_away_for_a_moment_does_not_end_the_stream(
    client: httpx.AsyncClient, queue: LocalQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed, failures = JobStore.changed, 3

    def shaky(store: JobStore, known: dict[int, tuple[Any, ...]]) -> list[Job]:
        nonlocal failures
        if failures:
            failures -= 1
            raise StoreUnavailable("away")
        return changed(store, known)

    monkeypatch.setattr(JobStore, "changed", shaky)
    await submitted(client)
    following = asyncio.create_task(followed(client, 1))
    await queue.watched(1)
    async with queue.dispatching():
        assert (await following)[-1]["state"] == "Completed"
    assert failures == 0


async def test_whoever_comes_with_an_old_reading_beside_another_hears_of_the_end(
    client: httpx.AsyncClient, queue: LocalQueue
) -> None:
    """One has heard of the end and not left yet when another comes with what it read before the end."""
    await submitted(client)
    before = await queue.jobs.get(1, "0")
    watch = JobWatch(queue.database, JobStore(queue.database), look_s=0.01)
    first = watch.changes(before)
    await anext(first)
    await queue.jobs.cancel(1, "0")
    assert (await anext(first)).state == JobState.CANCELLED
    second = watch.changes(before)
    async with asyncio.timeout(5):
        states = [job.state async for job in second]
    await first.aclose()
    assert states == ["Queued", "Cancelled"]


async def test_without_a_key(stranger: httpx.AsyncClient) -> None:
    assert refusal(await stranger.get("/jobs/1/events"), 401)["errorCode"] == "Unauthorized"
