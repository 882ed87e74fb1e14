import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress

import pytest

from cluster.jobs.dispatcher import GONE_AFTER_S, GRACE_S, Dispatcher, RunnerLost
from cluster.jobs.job import ClaimedJob, JobState
from cluster.jobs.queue import LOST_CODE
from cluster.jobs.retries import backoff_s
from tests.cluster.jobs.builders import LEASE_S, MAX_ATTEMPTS, MODEL, Bench, completed, new_job
from tests.cluster.jobs.flaky import database_of, until

TICK_S = 0.01


class Runners:
    """Run jobs until a test says that they end."""

    def __init__(self, bench: Bench) -> None:
        self.launched: list[ClaimedJob] = []
        self.running: dict[int, asyncio.Event] = {}
        self.most: Counter[str] = Counter()
        self._bench = bench

    async def launch(self, job: ClaimedJob) -> None:
        self.launched.append(job)
        self.running[job.id] = asyncio.Event()
        of_model = sum(each.id in self.running for each in self.launched if each.model == job.model)
        self.most[job.model] = max(self.most[job.model], of_model)
        try:
            await self.running[job.id].wait()
            self._bench.finish(job, completed())
        finally:
            del self.running[job.id]

    async def end_at_once(self, job: ClaimedJob) -> None:
        self.launched.append(job)
        self._bench.finish(job, completed())

    async def lose(self, job: ClaimedJob) -> None:
        self.launched.append(job)
        raise RunnerLost("The runner died.")

    async def break_down(self, job: ClaimedJob) -> None:
        raise ZeroDivisionError

    @property
    def ids(self) -> list[int]:
        return [job.id for job in self.launched]


class Site:
    """A dispatcher at work on a queue."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.runners = Runners(bench)
        self.places: dict[str, int] = {MODEL: 2}
        self.dispatcher = self.dispatching()
        self._loops: list[asyncio.Task[None]] = []

    def dispatching(
        self, launch: Callable[[ClaimedJob], Awaitable[None]] | None = None, tick_s: float = TICK_S
    ) -> Dispatcher:
        def places() -> Mapping[str, int]:
            return self.places

        bench = self.bench
        self.dispatcher = Dispatcher(
            bench.database,
            bench.queue,
            places,
            launch or self.runners.launch,
            clock=bench.clock,
            tick_s=tick_s,
        )
        return self.dispatcher

    def start(self) -> None:
        self._loops.append(asyncio.create_task(self.dispatcher.run()))

    async def until(self, condition: Callable[[], bool]) -> None:
        await until(self.bench, condition)

    async def looks(self, count: int = 2) -> None:
        """Wait until the dispatcher has looked at the database so many times more."""
        calls = database_of(self.bench).calls
        seen = calls.count("running")
        await self.until(lambda: calls.count("running") >= seen + count)

    async def stop(self) -> None:
        for loop in self._loops:
            loop.cancel()
            with suppress(asyncio.CancelledError):
                await loop
        for event in list(self.runners.running.values()):
            event.set()
        await self.until(lambda: not self.runners.running)


@pytest.fixture
async def site(flaky: Bench) -> AsyncIterator[Site]:
    site = Site(flaky)
    yield site
    await site.stop()


def submit(site: Site, count: int, **values: object) -> list[int]:
    return [each.id for each in site.bench.store.submit([new_job(**values) for _ in range(count)])]


async def test_no_more_jobs_run_than_there_are_places(site: Site) -> None:
    site.places = {MODEL: 2, "large": 1}
    jobs = submit(site, 8) + submit(site, 4, model="large")
    site.start()
    while len(site.runners.launched) < len(jobs) or site.runners.running:
        await site.until(lambda: bool(site.runners.running))
        next(iter(site.runners.running.values())).set()
        await site.bench.database.run(int)
    assert site.runners.most == {MODEL: 2, "large": 1}
    assert sorted(site.runners.ids) == jobs
    assert {site.bench.get(each).state for each in jobs} == {JobState.COMPLETED}


async def test_a_change_of_places_is_followed(site: Site) -> None:
    first, second, third, fourth = submit(site, 4)
    site.places = {MODEL: 1}
    site.start()
    await site.looks()
    assert site.runners.ids == [first]
    site.places = {MODEL: 3}
    await site.until(lambda: len(site.runners.running) == 3)
    site.places = {MODEL: 0}
    for job_id in (first, second):
        site.runners.running[job_id].set()
    await site.looks()
    assert site.runners.ids == [first, second, third]
    assert site.bench.get(fourth).state == JobState.QUEUED


async def test_the_higher_priority_is_launched_first(site: Site) -> None:
    site.places = {MODEL: 1}
    [low], [high] = submit(site, 1), submit(site, 1, priority=5)
    site.dispatching(site.runners.end_at_once)
    site.start()
    await site.until(lambda: len(site.runners.ids) == 2)
    assert site.runners.ids == [high, low]


async def test_a_new_job_is_launched_at_once_when_somebody_tells(site: Site) -> None:
    site.dispatching(tick_s=1_000.0)
    site.start()
    await site.looks(1)
    [job_id] = submit(site, 1)
    site.dispatcher.wake()
    await site.until(lambda: site.runners.ids == [job_id])


async def test_a_place_that_gets_free_is_used_at_once(site: Site) -> None:
    site.dispatching(site.runners.end_at_once, tick_s=1_000.0)
    jobs = submit(site, 50)
    site.start()
    await site.until(lambda: sorted(site.runners.ids) == jobs)


async def test_a_job_that_nobody_told_of_is_found(site: Site) -> None:
    site.start()
    await site.looks()
    [job_id] = submit(site, 1)
    await site.until(lambda: site.runners.ids == [job_id])


async def test_a_job_whose_runners_die_comes_back_later_and_is_dead_in_the_end(site: Site) -> None:
    site.dispatching(site.runners.lose)
    [job_id] = submit(site, 1)
    site.start()
    for attempt in range(1, MAX_ATTEMPTS):
        await site.until(lambda: len(site.bench.get(job_id).history) == attempt)  # noqa: B023
        run_after = site.bench.get(job_id).run_after
        assert run_after is not None
        assert 4.0 ** (attempt - 1) <= run_after - site.bench.clock.now <= 1.25 * 4.0 ** (attempt - 1)
        await site.looks()
        assert len(site.runners.launched) == attempt
        site.bench.clock.now = run_after
    await site.until(lambda: site.bench.get(job_id).state.is_final)
    job = site.bench.get(job_id)
    assert (job.state, job.dead, job.error_code, job.error_message) == (
        JobState.FAILED,
        True,
        LOST_CODE,
        "The runner died.",
    )


async def test_a_launch_that_fails_for_an_unforeseen_reason_is_logged_and_the_job_comes_back(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    site.dispatching(site.runners.break_down)
    [job_id] = submit(site, 1)
    with caplog.at_level(logging.ERROR, "ai_server.jobs"):
        site.start()
        await site.until(lambda: site.bench.get(job_id).run_after is not None)
    assert [record.exc_info is not None for record in caplog.records] == [True]
    assert "log has the reason" in site.bench.get(job_id).history[0].message


async def test_runs_of_others_take_places(site: Site) -> None:
    jobs = submit(site, 3)
    others = site.bench.claim(1)
    site.start()
    await site.looks()
    assert site.runners.ids == jobs[1:2]
    site.bench.finish(others[0], completed())
    await site.until(lambda: site.runners.ids == jobs[1:])


async def test_a_run_that_ends_during_a_look_takes_no_place_afterwards(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.places = {MODEL: 1}
    first, second = submit(site, 2)
    site.start()
    await site.until(lambda: site.runners.ids == [first])
    queue, loop, looks = site.bench.queue, asyncio.get_running_loop(), Counter[str]()
    look = queue.running

    def running() -> dict[int, str]:
        found = look()
        looks["running"] += 1
        if looks["running"] == 1:

            async def end() -> None:
                site.runners.running[first].set()
                await site.until(lambda: site.dispatcher.running == 0)

            asyncio.run_coroutine_threadsafe(end(), loop).result(10)
        return found

    monkeypatch.setattr(queue, "running", running)
    await site.until(lambda: site.runners.ids == [first, second])
    assert looks["running"] == 1


async def test_nothing_is_launched_while_there_is_a_reason_to_pause(site: Site) -> None:
    site.dispatcher.paused_because = "The disk is full."
    [job_id] = submit(site, 1)
    site.start()
    site.dispatcher.wake()
    await site.looks()
    assert site.runners.ids == []
    site.dispatcher.paused_because = None
    await site.until(lambda: site.runners.ids == [job_id])


async def test_a_silent_holder_has_time_to_speak_before_its_job_is_taken_back(site: Site) -> None:
    [job_id] = submit(site, 1)
    [silent] = site.bench.claim()
    site.bench.clock.advance(LEASE_S + 100)
    site.start()
    await site.looks()
    site.bench.clock.advance(GRACE_S - 0.1)
    await site.looks()
    assert site.bench.renew(silent)
    site.bench.clock.advance(LEASE_S + 1)
    await site.until(lambda: site.bench.get(job_id).run_after is not None)
    assert site.bench.get(job_id).history[0].error_code == LOST_CODE


async def test_the_time_to_speak_begins_anew_when_the_database_was_away(site: Site) -> None:
    [job_id] = submit(site, 1)
    [silent] = site.bench.claim()
    site.start()
    await site.looks()
    site.bench.clock.advance(GRACE_S)
    await site.looks()
    database = database_of(site.bench)
    database.is_away = True
    await database.was_missed.wait()
    site.bench.clock.advance(LEASE_S + 1)
    database.is_away = False
    await site.looks()
    assert site.bench.get(job_id).state == JobState.STARTED
    assert site.bench.renew(silent)


async def test_dispatching_goes_on_when_the_database_is_back(site: Site) -> None:
    database = database_of(site.bench)
    database.is_away = True
    [job_id] = submit(site, 1)
    site.start()
    await database.was_missed.wait()
    assert site.runners.ids == []
    database.is_away = False
    await site.until(lambda: site.runners.ids == [job_id])


async def test_a_job_that_could_not_be_given_back_is_taken_back_later(site: Site) -> None:
    database = database_of(site.bench)

    async def lose_with_the_database(job: ClaimedJob) -> None:
        database.is_away = True
        await site.runners.lose(job)

    site.dispatching(lose_with_the_database)
    [job_id] = submit(site, 1)
    site.start()
    await database.was_missed.wait()
    await asyncio.sleep(0)
    database.is_away = False
    assert site.bench.get(job_id).state == JobState.STARTED
    await site.looks()
    site.bench.clock.advance(max(GRACE_S, LEASE_S) + 1)
    await site.until(lambda: site.bench.get(job_id).state == JobState.QUEUED)


async def test_a_job_whose_model_is_not_configured_any_more_fails(site: Site) -> None:
    [gone] = submit(site, 1, model="gone")
    site.start()
    [other] = submit(site, 1)
    await site.until(lambda: site.runners.ids == [other])  # a look has been had
    assert site.bench.get(gone).state == JobState.QUEUED  # a server that knows the model may be starting
    site.bench.clock.advance(GONE_AFTER_S)
    await site.until(lambda: site.bench.get(gone).state == JobState.FAILED)
    assert site.bench.get(gone).error_code == "NotFound"


async def test_a_server_that_stops_gives_its_jobs_back_uncounted(site: Site) -> None:
    site.places = {MODEL: 1}
    first, second = submit(site, 2)
    site.start()
    await site.until(lambda: site.runners.ids == [first])
    assert await site.dispatcher.give_back() == 1
    await site.until(lambda: site.dispatcher.running == 0)
    job = site.bench.get(first)
    assert (job.state, job.attempts, job.history[0].error_code) == (JobState.QUEUED, 0, "ServerStopped")
    site.dispatcher.wake()
    assert site.bench.get(second).state == JobState.QUEUED


async def test_a_run_is_stopped_and_its_place_is_free(site: Site) -> None:
    site.places = {MODEL: 1}
    first, second = submit(site, 2)
    site.start()
    await site.until(lambda: site.runners.ids == [first])
    assert site.dispatcher.running == 1
    site.bench.store.cancel(first)
    assert site.dispatcher.stop_job(first) is True
    await site.until(lambda: site.runners.ids == [first, second])
    assert site.dispatcher.stop_job(first) is False


async def test_two_dispatchers_share_the_work_and_double_none(site: Site) -> None:
    jobs = submit(site, 60)
    for _ in range(2):
        site.dispatching(site.runners.end_at_once)
        site.start()
    await site.until(lambda: len(site.runners.ids) >= len(jobs))
    assert sorted(site.runners.ids) == jobs


async def test_a_stopped_dispatcher_leaves_the_runs_to_their_runners(site: Site) -> None:
    [job_id] = submit(site, 1)
    site.start()
    await site.until(lambda: site.runners.ids == [job_id])
    await site.stop()
    assert site.bench.get(job_id).state == JobState.COMPLETED


@pytest.mark.parametrize(("attempt", "least_s"), [(1, 1.0), (2, 4.0), (3, 16.0), (4, 60.0), (400, 60.0)])
def test_the_pause_grows_with_every_attempt_up_to_a_minute(attempt: int, least_s: float) -> None:
    pauses = [backoff_s(attempt) for _ in range(50)]
    assert least_s <= min(pauses) < max(pauses) <= 1.25 * least_s
