from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete

from cluster.jobs import estimates
from cluster.jobs.estimates import MEMORY_RUNS, Estimate, Estimates
from cluster.jobs.job import Completed, NewJob
from cluster.jobs.schema import jobs
from tests.cluster.jobs.builders import HEALS, USERS_FAULT, Bench, completed, new_job

SHARED_DATABASE = settings(
    max_examples=30,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
"""The examples of one test share its database; each begins by emptying it."""

waiting = st.builds(
    lambda owner, priority: new_job(owner=owner, priority=priority),
    st.sampled_from(["ann", "bob", "cid", "dan"]),
    st.integers(0, 2),
)
lines = st.lists(waiting, min_size=1, max_size=15).flatmap(
    lambda line: st.tuples(st.just(line), st.integers(0, len(line) - 1))
)


def emptied(bench: Bench) -> Bench:
    """Give a bench whose queue remembers no turns, on the same but empty database."""
    with bench.database.write() as connection:
        connection.execute(delete(jobs))
    return Bench(bench.database, bench.clock)


def estimate(bench: Bench, job_id: int, places: int = 1) -> Estimate:
    return Estimates(bench.database, bench.clock).of(bench.get(job_id), places)


def position(bench: Bench, job_id: int) -> int:
    found = estimate(bench, job_id).queue_position
    assert found is not None
    return found


def claimed_before(bench: Bench, job_id: int) -> int:
    """Claim until the job comes; gives how many came before it."""

    def one_by_one() -> Iterator[int]:
        while claimed := bench.claim():
            yield claimed[0].id

    return list(one_by_one()).index(job_id)


@SHARED_DATABASE
@given(lines)
def test_the_position_is_exact_for_an_owner_who_had_the_last_turn(
    bench: Bench, line_and_asked: tuple[list[NewJob], int]
) -> None:
    line, asked = line_and_asked
    bench = emptied(bench)
    bench.start(owner=line[asked].owner, priority=line[asked].priority)
    job_id = bench.store.submit(line)[asked].id
    expected = position(bench, job_id)
    assert claimed_before(bench, job_id) == expected


@SHARED_DATABASE
@given(lines)
def test_a_job_never_starts_later_than_its_position_says(
    bench: Bench, line_and_asked: tuple[list[NewJob], int]
) -> None:
    line, asked = line_and_asked
    bench = emptied(bench)
    job_id = bench.store.submit(line)[asked].id
    promised = position(bench, job_id)
    other_owners = {job.owner for job in line} - {line[asked].owner}
    assert promised - len(other_owners) <= claimed_before(bench, job_id) <= promised


def test_jobs_of_other_models_are_not_in_front(bench: Bench) -> None:
    for _ in range(3):
        bench.submit(model="large")
    assert position(bench, bench.submit()) == 0


def test_counting_stops_at_the_largest_position(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimates, "MAX_POSITION", 10)
    bench.store.submit([new_job(owner=f"owner-{number % 5}", priority=1) for number in range(30)])
    low = bench.submit(priority=0)
    late = bench.submit(owner="owner-0", priority=1)
    assert (position(bench, low), position(bench, late)) == (10, 10)


def test_a_job_that_runs_or_has_ended_has_no_position(bench: Bench) -> None:
    claimed = bench.start()
    assert estimate(bench, claimed.id) == Estimate(None, None)
    bench.finish(claimed, completed())
    assert estimate(bench, claimed.id) == Estimate(None, None)


def test_the_time_is_unknown_until_a_run_of_the_model_was_measured(bench: Bench) -> None:
    bench.finish(bench.start(), USERS_FAULT)
    bench.finish(bench.start(model="large"), completed())
    bench.finish(bench.start(task="speech-to-text"), completed())
    assert estimate(bench, bench.submit()).seconds_left is None


def test_the_time_left_is_that_of_the_line_and_the_run(bench: Bench) -> None:
    bench.finish(bench.start(), Completed("", 2.0))
    waiting = [bench.submit() for _ in range(5)]
    assert [estimate(bench, each).seconds_left for each in waiting] == [2.0, 4.0, 6.0, 8.0, 10.0]
    assert [estimate(bench, each, places=2).seconds_left for each in waiting] == [2.0, 2.0, 4.0, 4.0, 6.0]
    assert estimate(bench, waiting[0], places=0).seconds_left == 2.0


def test_a_pause_before_the_next_attempt_is_added(bench: Bench) -> None:
    bench.finish(bench.start(), Completed("", 2.0))
    claimed = bench.start()
    bench.finish(claimed, HEALS)
    bench.clock.advance(1.0)
    assert estimate(bench, claimed.id).seconds_left == 3.0 + 2.0
    bench.clock.advance(100.0)
    assert estimate(bench, claimed.id).seconds_left == 2.0


def test_a_run_without_progress_is_estimated_from_earlier_ones(bench: Bench) -> None:
    bench.finish(bench.start(), Completed("", 8.0))
    claimed = bench.start()
    bench.clock.advance(3.0)
    assert estimate(bench, claimed.id).seconds_left == 5.0
    bench.clock.advance(30.0)
    assert estimate(bench, claimed.id).seconds_left is None  # nobody knows how much longer it takes


def test_a_run_with_progress_is_estimated_from_itself(bench: Bench) -> None:
    claimed = bench.start()
    bench.clock.advance(3.0)
    bench.renew(claimed, progress=0.25)
    assert estimate(bench, claimed.id).seconds_left == 9.0


def test_the_mean_follows_the_last_runs(bench: Bench) -> None:
    def mean_s() -> float:
        job_id = bench.submit()
        seconds = estimate(bench, job_id).seconds_left
        bench.store.cancel(job_id)
        assert seconds is not None
        return seconds

    for duration_s in (1.0, 2.0, 3.0):
        bench.finish(bench.start(), Completed("", duration_s))
    assert mean_s() == pytest.approx(2.0)
    for _ in range(4 * MEMORY_RUNS):
        bench.finish(bench.start(), Completed("", 10.0))
    assert mean_s() == pytest.approx(10.0, abs=0.3)
