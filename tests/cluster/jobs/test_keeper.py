import asyncio
from collections.abc import AsyncIterator

import pytest

from cluster.jobs.job import Broken, ClaimedJob, JobState, Outcome
from cluster.jobs.keeper import JobKeeper
from tests.cluster.jobs.builders import LEASE_S, USERS_FAULT, Bench, completed, new_job
from tests.cluster.jobs.flaky import database_of, until

BEAT_S = 0.01


class Work:
    """A run that ends when a test says so."""

    def __init__(self, outcome: Outcome | None = None) -> None:
        self.began = asyncio.Event()
        self.may_end = asyncio.Event()
        self.was_cancelled = False
        self._outcome = outcome or completed()

    async def do(self) -> Outcome:
        self.began.set()
        try:
            await self.may_end.wait()
        except asyncio.CancelledError:
            self.was_cancelled = True
            raise
        return self._outcome


async def ends_at_once(outcome: Outcome | None = None) -> Outcome:
    return outcome or completed()


@pytest.fixture
async def keeper(flaky: Bench) -> AsyncIterator[JobKeeper]:
    async with JobKeeper(flaky.database, flaky.queue, BEAT_S) as keeper:
        yield keeper


def kept(keeper: JobKeeper, claimed: ClaimedJob, work: Work) -> asyncio.Task[bool]:
    return asyncio.create_task(keeper.keep(claimed.id, claimed.fence, work.do()))


@pytest.mark.parametrize(
    ("outcome", "state"), [(completed(), JobState.COMPLETED), (USERS_FAULT, JobState.FAILED)]
)
async def test_the_outcome_of_a_run_is_written(
    flaky: Bench, keeper: JobKeeper, outcome: Outcome, state: JobState
) -> None:
    claimed = flaky.start()
    assert await keeper.keep(claimed.id, claimed.fence, ends_at_once(outcome))
    assert flaky.get(claimed.id).state == state
    assert keeper.running == 0


async def test_outcomes_that_come_together_are_written_together(flaky: Bench, keeper: JobKeeper) -> None:
    flaky.store.submit([new_job() for _ in range(50)])
    claimed = flaky.claim(50)
    taken = await asyncio.gather(*(keeper.keep(job.id, job.fence, ends_at_once()) for job in claimed))
    assert taken == [True] * 50
    assert {flaky.get(job.id).state for job in claimed} == {JobState.COMPLETED}
    assert database_of(flaky).calls.count("finish") <= 2


async def test_a_run_keeps_its_lease_and_tells_its_progress(flaky: Bench, keeper: JobKeeper) -> None:
    claimed, work = flaky.start(), Work()
    keeping = kept(keeper, claimed, work)
    await work.began.wait()
    assert keeper.running == 1
    keeper.note_progress(claimed.id, claimed.fence, 0.5, "half")
    keeper.note_progress(claimed.id, claimed.fence + 1, 0.9, "somebody else's")
    keeper.note_progress(claimed.id + 1, 1, 0.9, "unknown")
    flaky.clock.advance(LEASE_S - 1)
    await until(flaky, lambda: flaky.get(claimed.id).lease_until == flaky.clock.now + LEASE_S)
    await until(flaky, lambda: flaky.get(claimed.id).step == "half")
    assert flaky.get(claimed.id).progress == 0.5
    work.may_end.set()
    assert await keeping


async def test_progress_stays_between_nothing_and_all(flaky: Bench, keeper: JobKeeper) -> None:
    claimed, work = flaky.start(), Work()
    keeping = kept(keeper, claimed, work)
    await work.began.wait()
    for told, shown in ((7.0, 1.0), (-7.0, 0.0)):
        keeper.note_progress(claimed.id, claimed.fence, told, str(told))
        await until(flaky, lambda told=told: flaky.get(claimed.id).step == str(told))  # type: ignore[misc]
        assert flaky.get(claimed.id).progress == shown
    work.may_end.set()
    assert await keeping


async def test_an_outcome_waits_until_the_database_is_back(flaky: Bench, keeper: JobKeeper) -> None:
    claimed, work = flaky.start(), Work()
    keeping = kept(keeper, claimed, work)
    await work.began.wait()
    database = database_of(flaky)
    database.is_away = True
    work.may_end.set()
    await database.was_missed.wait()
    assert not keeping.done()
    assert keeper.running == 1
    database.is_away = False
    assert await keeping
    assert flaky.get(claimed.id).state == JobState.COMPLETED


async def test_a_run_goes_on_while_the_database_is_away(flaky: Bench, keeper: JobKeeper) -> None:
    claimed, work = flaky.start(), Work()
    keeping = kept(keeper, claimed, work)
    database = database_of(flaky)
    database.is_away = True
    await database.was_missed.wait()  # a sign of life
    database.is_away = False
    work.may_end.set()
    assert await keeping
    assert not work.was_cancelled


async def test_a_cancelled_job_stops_its_run(flaky: Bench, keeper: JobKeeper) -> None:
    claimed, work = flaky.start(), Work()
    keeping = kept(keeper, claimed, work)
    await work.began.wait()
    flaky.store.cancel(claimed.id)
    assert await keeping is False
    assert work.was_cancelled
    assert keeper.running == 0


async def test_a_run_whose_job_belongs_to_somebody_else_is_stopped(flaky: Bench, keeper: JobKeeper) -> None:
    claimed, work = flaky.start(), Work()
    flaky.store.cancel(claimed.id)
    flaky.store.requeue(claimed.id)
    [other] = flaky.claim()
    assert await kept(keeper, claimed, work) is False
    assert work.was_cancelled
    assert flaky.renew(other)


async def test_an_outcome_for_a_job_that_was_lost_is_not_taken(flaky: Bench, keeper: JobKeeper) -> None:
    claimed = flaky.start()
    flaky.store.cancel(claimed.id)
    assert await keeper.keep(claimed.id, claimed.fence, ends_at_once()) is False
    assert flaky.get(claimed.id).state == JobState.CANCELLED


async def test_of_two_runs_of_one_job_the_newer_is_taken_and_the_older_stopped(
    flaky: Bench, keeper: JobKeeper
) -> None:
    old, old_work = flaky.start(), Work()
    keeping_old = kept(keeper, old, old_work)
    await old_work.began.wait()
    flaky.store.cancel(old.id)
    flaky.store.requeue(old.id)
    [new] = flaky.claim()
    new_work = Work(completed('"new"'))
    keeping_new = kept(keeper, new, new_work)
    assert await keeping_old is False
    assert old_work.was_cancelled
    new_work.may_end.set()
    assert await keeping_new is True
    assert flaky.get(new.id).result == '"new"'


async def test_cancelling_from_outside_cancels_the_work(flaky: Bench, keeper: JobKeeper) -> None:
    claimed, work = flaky.start(), Work()
    keeping = kept(keeper, claimed, work)
    await work.began.wait()
    keeping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await keeping
    assert work.was_cancelled
    assert keeper.running == 0


async def test_a_time_limit_around_a_kept_run_ends_it(flaky: Bench, keeper: JobKeeper) -> None:
    claimed, work = flaky.start(), Work()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await keeper.keep(claimed.id, claimed.fence, work.do())
    assert work.was_cancelled


async def test_a_result_is_written_even_if_its_caller_is_stopped_just_now(
    flaky: Bench, keeper: JobKeeper
) -> None:
    claimed, work = flaky.start(), Work()
    keeping = kept(keeper, claimed, work)
    await work.began.wait()
    database = database_of(flaky)
    database.is_away = True
    work.may_end.set()
    await database.was_missed.wait()
    keeping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await keeping
    database.is_away = False
    await until(flaky, lambda: flaky.get(claimed.id).state == JobState.COMPLETED)


async def test_work_that_raises_raises_out_of_the_keeper(flaky: Bench, keeper: JobKeeper) -> None:
    async def raises() -> Outcome:
        raise ZeroDivisionError

    claimed = flaky.start()
    with pytest.raises(ZeroDivisionError):
        await keeper.keep(claimed.id, claimed.fence, raises())
    assert keeper.running == 0


async def test_an_outcome_that_cannot_be_written_harms_no_other_job(flaky: Bench, keeper: JobKeeper) -> None:
    flaky.store.submit([new_job() for _ in range(3)])
    good, poisoned, last = flaky.claim(3)
    unwritable = Broken("Odd", "a lone surrogate: \ud800")
    results = await asyncio.gather(
        keeper.keep(good.id, good.fence, ends_at_once()),
        keeper.keep(poisoned.id, poisoned.fence, ends_at_once(unwritable)),
        keeper.keep(last.id, last.fence, ends_at_once()),
        return_exceptions=True,
    )
    assert results[0] is results[2] is True
    assert isinstance(results[1], UnicodeEncodeError)
    later = flaky.start()
    assert await keeper.keep(later.id, later.fence, ends_at_once())


async def test_a_step_that_cannot_be_written_does_not_end_the_signs_of_life(
    flaky: Bench, keeper: JobKeeper
) -> None:
    claimed, work = flaky.start(), Work()
    keeping = kept(keeper, claimed, work)
    await work.began.wait()
    keeper.note_progress(claimed.id, claimed.fence, 0.5, "a lone surrogate: \ud800")
    seen = database_of(flaky).calls.count("renew")
    await until(flaky, lambda: database_of(flaky).calls.count("renew") >= seen + 3)
    keeper.note_progress(claimed.id, claimed.fence, 0.6, "fine")
    await until(flaky, lambda: flaky.get(claimed.id).step == "fine")
    work.may_end.set()
    assert await keeping
