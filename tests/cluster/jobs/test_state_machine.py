"""Random interleavings of clients, workers, crashes and time, against a model that is easy to believe."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import delete, event

from cluster.jobs.database import Database
from cluster.jobs.errors import JobConflict
from cluster.jobs.job import Broken, ClaimedJob, Completed, Finished, JobState, Outcome, Sign
from cluster.jobs.schema import metadata
from tests.cluster.jobs.builders import LEASE_S, MAX_ATTEMPTS, Bench, FakeClock, new_job

EXAMPLES_FACTOR = int(os.environ.get("STATE_MACHINE_FACTOR", "1"))
MODELS = ("small", "large")
OWNERS = ("ann", "bob")
REF_IDS = ("r1", "r2")  # few jobs: to each of them much happens


@dataclass
class Expected:
    """What the store must know of a job."""

    id: int
    owner: str
    model: str
    state: JobState = JobState.QUEUED
    fence: int = 0
    attempts: int = 0
    counted_runs: int = 0
    """Since it was submitted or requeued, of those that use up an attempt."""
    ends: int = 0
    run_after: float | None = None
    lease_until: float | None = None
    result: str | None = None
    dead: bool = False


@dataclass
class Worker:
    """Somebody who claims; forgets everything in a crash."""

    queue: Any
    holds: dict[int, ClaimedJob] = field(default_factory=dict)


class JobsMachine(RuleBasedStateMachine):
    """Every rule does the same to the store and to the model, and compares the answers."""

    bench: Bench  # set by the test: making a database takes longer than an example

    claims: Bundle[tuple[int, ClaimedJob]] = Bundle("claims")

    @initialize()
    def empty(self) -> None:
        with self.bench.database.write() as connection:
            for table in metadata.sorted_tables:
                connection.execute(delete(table))
        self.bench = Bench(self.bench.database, FakeClock())
        self.clock = self.bench.clock
        self.workers = [Worker(self.bench.another_queue()) for _ in range(2)]
        self.expected: dict[int, Expected] = {}
        self.by_ref_id: dict[tuple[str, str], tuple[int, str]] = {}
        self.results = 0

    # Clients.

    @rule(
        owner=st.sampled_from(OWNERS),
        ref_id=st.sampled_from(REF_IDS),
        model=st.sampled_from(MODELS),
        fingerprint=st.sampled_from(["one", "one", "one", "two"]),
        priority=st.integers(0, 1),
    )
    def submit(self, owner: str, ref_id: str, model: str, fingerprint: str, priority: int) -> None:
        new = new_job(owner=owner, ref_id=ref_id, model=model, fingerprint=fingerprint, priority=priority)
        known = self.by_ref_id.get((owner, ref_id))
        if known is not None and known[1] != fingerprint:
            with pytest.raises(JobConflict):
                self.bench.store.submit([new])
            return
        [submitted] = self.bench.store.submit([new])
        assert submitted.is_new is (known is None)
        if known is not None:
            assert submitted.id == known[0]
            return
        assert submitted.id not in self.expected, "an id came back"
        self.expected[submitted.id] = Expected(submitted.id, owner, model)
        self.by_ref_id[owner, ref_id] = (submitted.id, fingerprint)

    @precondition(lambda self: self.expected)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        job = self._any(data)
        if job.state.is_final:
            with pytest.raises(JobConflict):
                self.bench.store.cancel(job.id)
            return
        assert self.bench.store.cancel(job.id) is (job.state is JobState.STARTED)
        job.state, job.run_after, job.lease_until = JobState.CANCELLED, None, None

    @precondition(lambda self: self.expected)
    @rule(data=st.data())
    def requeue(self, data: st.DataObject) -> None:
        job = self._any(data)
        if job.state not in (JobState.FAILED, JobState.CANCELLED):
            with pytest.raises(JobConflict):
                self.bench.store.requeue(job.id)
            return
        self.bench.store.requeue(job.id)
        job.state, job.attempts, job.counted_runs, job.dead = JobState.QUEUED, 0, 0, False
        job.ends = 0
        job.fence += 1

    def _any(self, data: st.DataObject) -> Expected:
        return self.expected[data.draw(st.sampled_from(sorted(self.expected)))]

    # Workers.

    @rule(
        target=claims,
        who=st.integers(0, 1),
        small=st.sampled_from([2, 1, 0, 9]),
        large=st.sampled_from([2, 1, 0, 9]),
    )
    def claim(self, who: int, small: int, large: int) -> Any:
        waiting = [each for each in self.expected.values() if self._waits(each)]
        claimed = self.workers[who].queue.claim({"small": small, "large": large})
        for model, places in (("small", small), ("large", large)):
            of_model = [each for each in claimed if each.model == model]
            assert len(of_model) == min(places, sum(each.model == model for each in waiting))
        for each in claimed:
            job = self.expected[each.id]
            assert self._waits(job), "a job was claimed that did not wait"
            job.state = JobState.STARTED
            job.fence += 1
            job.attempts += 1
            job.counted_runs += 1
            job.lease_until = self.clock.now + LEASE_S
            assert (each.fence, each.attempt) == (job.fence, job.attempts)
            assert job.counted_runs <= MAX_ATTEMPTS, "too many runs"
            self.workers[who].holds[each.id] = each
        return multiple(*((who, each) for each in claimed))

    @staticmethod
    def _waits(job: Expected) -> bool:
        return job.state is JobState.QUEUED and job.run_after is None

    @rule(who=st.integers(0, 1), progress=st.floats(0, 1))
    def renew(self, who: int, progress: float) -> None:
        holds = self.workers[who].holds
        held = self.workers[who].queue.renew([Sign(each.id, each.fence, progress) for each in holds.values()])
        assert held == {each.id for each in holds.values() if self._is_held(each)}
        for job_id in list(holds):
            if job_id in held:
                self.expected[job_id].lease_until = self.clock.now + LEASE_S
            else:
                del holds[job_id]

    @rule(claim=claims)
    def renew_one(self, claim: tuple[int, ClaimedJob]) -> None:
        """Whoever holds it by now: the claim may be an old one."""
        claimed = claim[1]
        assert self.bench.renew(claimed) is self._is_held(claimed)
        if self._is_held(claimed):
            self.expected[claimed.id].lease_until = self.clock.now + LEASE_S

    def _is_held(self, claimed: ClaimedJob) -> bool:
        job = self.expected[claimed.id]
        return job.state is JobState.STARTED and job.fence == claimed.fence

    @rule(claim=consumes(claims))
    def succeed(self, claim: tuple[int, ClaimedJob]) -> None:
        self.results += 1
        result = f'"{self.results}"'

        def expect(job: Expected) -> None:
            job.state, job.result = JobState.COMPLETED, result

        self._finish(claim, Completed(result, 1.0), expect)

    @rule(claim=consumes(claims))
    def fail(self, claim: tuple[int, ClaimedJob]) -> None:
        def expect(job: Expected) -> None:
            job.state = JobState.FAILED

        self._finish(claim, Broken("InvalidInput", "The user's fault."), expect)

    @rule(claim=consumes(claims), pause_s=st.sampled_from([0.0, 5.0, 50.0]), counts=st.booleans())
    def break_down(self, claim: tuple[int, ClaimedJob], pause_s: float, counts: bool) -> None:
        self._finish(
            claim,
            Broken("ReplicaLost", "Heals.", pause_s, counts),
            lambda job: self._expect_broken(job, pause_s, counts),
        )

    @rule(claim=claims)
    def finish_twice(self, claim: tuple[int, ClaimedJob]) -> None:
        """The claim stays: whoever repeats an outcome later is stale."""
        self.succeed(claim)

    def _finish(
        self, claim: tuple[int, ClaimedJob], outcome: Outcome, expect: Callable[[Expected], None]
    ) -> None:
        who, claimed = claim
        is_held = self._is_held(claimed)
        taken = self.workers[who].queue.finish([Finished(claimed.id, claimed.fence, outcome)])
        assert taken == ({claimed.id} if is_held else set())
        if self.workers[who].holds.get(claimed.id) == claimed:
            del self.workers[who].holds[claimed.id]
        if is_held:
            job = self.expected[claimed.id]
            job.lease_until = None
            expect(job)
            if job.state.is_final:
                job.ends += 1
                assert job.ends == 1, "a job ended twice"

    def _expect_broken(self, job: Expected, pause_s: float, counts: bool = True) -> None:
        if counts and job.attempts >= MAX_ATTEMPTS:
            job.state, job.dead = JobState.FAILED, True
            return
        job.state, job.run_after = JobState.QUEUED, self.clock.now + pause_s
        if not counts:
            job.attempts -= 1
            job.counted_runs -= 1

    @rule(target=claims, claim=consumes(claims))
    def break_down_and_run_again(self, claim: tuple[int, ClaimedJob]) -> Any:
        self.break_down(claim, 0.0, counts=True)
        self.wake_delayed()
        return self.claim(claim[0], 9, 9)

    @rule(target=claims, who=st.integers(0, 1))
    def fall_silent_and_lose_all_to_the_other(self, who: int) -> Any:
        self.clock.advance(LEASE_S + 1)
        self.reap(0.0)
        self.wake_delayed()
        return self.claim(1 - who, 9, 9)

    @rule(target=claims, data=st.data())
    @precondition(lambda self: self.expected)
    def cancel_and_run_again(self, data: st.DataObject) -> Any:
        job = self._any(data)
        if job.state.is_final:
            return multiple()
        self.bench.store.cancel(job.id)
        self.bench.store.requeue(job.id)
        job.state, job.attempts, job.counted_runs, job.fence = JobState.QUEUED, 0, 0, job.fence + 1
        job.run_after = job.lease_until = None
        return self.claim(0, 9, 9)

    @rule(who=st.integers(0, 1))
    def crash(self, who: int) -> None:
        """Forget; a run that went on all the same comes back with its claim, and is stale by then or not."""
        self.workers[who] = Worker(self.bench.another_queue())

    # Time.

    @rule(seconds=st.sampled_from([0.5, 4.0, LEASE_S / 2, LEASE_S + 1, 100.0]))
    def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(pause_s=st.sampled_from([0.0, 5.0]))
    def reap(self, pause_s: float) -> None:
        now = self.clock.now
        lost = [each for each in self.expected.values() if (each.lease_until or now) < now]
        assert self.bench.queue.reap(pause_s) == len(lost)
        for job in lost:
            job.lease_until = None
            self._expect_broken(job, pause_s)

    @rule()
    def wake_delayed(self) -> None:
        delayed = [each for each in self.expected.values() if each.run_after is not None]
        for job in delayed:
            if job.run_after is not None and job.run_after <= self.clock.now:
                job.run_after = None
        times = [each.run_after for each in delayed if each.run_after is not None]
        assert self.bench.queue.wake_delayed() == min(times, default=None)

    # What is always true.

    @invariant()
    def every_job_is_where_it_should_be(self) -> None:
        for expected in self.expected.values():
            job = self.bench.get(expected.id)
            assert job.state is expected.state
            assert (job.fence, job.attempts, job.run_after, job.lease_until, job.dead) == (
                expected.fence,
                expected.attempts,
                expected.run_after,
                expected.lease_until,
                expected.dead,
            )
            assert job.result == expected.result
            assert (job.result is None) is (job.state is not JobState.COMPLETED)
            assert (job.finished_at is None) is (not job.state.is_final)

    @invariant()
    def the_running_are_listed(self) -> None:
        running = {each.id: each.model for each in self.expected.values() if each.state is JobState.STARTED}
        assert self.bench.queue.running() == running

    def teardown(self) -> None:
        """No job is stuck: a worker that does its best brings every one to its end."""
        if not hasattr(self, "expected"):
            return
        rounds = 0
        while any(not each.state.is_final for each in self.expected.values()):
            rounds += 1
            assert rounds <= MAX_ATTEMPTS + 2, "jobs are stuck"
            self.clock.advance(1_000.0)
            self.reap(0.0)
            self.wake_delayed()
            for each in self.workers[0].queue.claim(dict.fromkeys(MODELS, 100)):
                job = self.expected[each.id]
                assert self.workers[0].queue.finish([Finished(each.id, each.fence, Completed('"end"', 1.0))])
                job.state, job.result, job.fence = JobState.COMPLETED, '"end"', each.fence
        states = {each.id: self.bench.get(each.id).state for each in self.expected.values()}
        assert states == {each.id: each.state for each in self.expected.values()}


@pytest.mark.parametrize(("fixture", "examples"), [("sqlite_url", 200), ("postgres_url", 30)])
def test_no_interleaving_loses_or_doubles_a_job(
    request: pytest.FixtureRequest, fixture: str, examples: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database(request.getfixturevalue(fixture))
    if fixture == "sqlite_url":
        _forget_power_cuts(database)
    monkeypatch.setattr(JobsMachine, "bench", Bench(database, FakeClock()), raising=False)
    run_state_machine_as_test(
        JobsMachine,
        settings=settings(
            max_examples=examples * EXAMPLES_FACTOR,
            stateful_step_count=40,
            deadline=None,
            database=None,
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
        ),
    )
    database.close()


def _forget_power_cuts(database: Database) -> None:
    """Most of the time of a small transaction is the wait for the disk."""

    @event.listens_for(database.engine, "connect")
    def hurry(connection: Any, _record: Any) -> None:
        connection.execute("PRAGMA synchronous = OFF")
