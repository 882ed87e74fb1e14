"""What becomes of a claimed job: signs of life, outcomes, and lost holders."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

import pytest
from sqlalchemy import Connection

from cluster.jobs.errors import JobConflict, JobNotFound
from cluster.jobs.job import Broken, ClaimedJob, Completed, Finished, Job, JobState, Sign
from cluster.jobs.queue import LOST_CODE
from tests.cluster.jobs.builders import HEALS, LEASE_S, MAX_ATTEMPTS, USERS_FAULT, Bench, completed, new_job

HOOK = "https://example.org/hook"


def outlived(bench: Bench, claimed: ClaimedJob) -> ClaimedJob:
    """Let the lease end, and somebody else claim the job."""
    bench.clock.advance(LEASE_S + 1)
    assert bench.reap() == 1
    bench.queue.wake_delayed()
    [again] = bench.claim()
    assert (again.id, again.fence) == (claimed.id, claimed.fence + 1)
    return again


def test_a_sign_of_life_prolongs_the_lease_and_tells_the_progress(bench: Bench) -> None:
    claimed = bench.start()
    bench.clock.advance(10)
    assert bench.renew(claimed, 0.25, "decoding")
    job = bench.get(claimed.id)
    assert job.lease_until == bench.clock.now + LEASE_S
    assert (job.progress, job.step) == (0.25, "decoding")


def test_signs_of_many_jobs_tell_which_are_still_held(bench: Bench) -> None:
    held, cancelled, stale, finished = (bench.start() for _ in range(4))
    bench.store.cancel(cancelled.id)
    bench.finish(finished, completed())
    claims = (held, cancelled, replace(stale, fence=0), finished)
    assert bench.queue.renew([Sign(each.id, each.fence, 0.5) for each in claims]) == {held.id}
    assert [bench.get(each.id).progress for each in claims] == [0.5, 0.0, 0.0, 1.0]
    assert bench.queue.renew([]) == set()


def test_a_result_completes_the_job(bench: Bench) -> None:
    claimed = bench.start(reply_to=HOOK)
    bench.clock.advance(3)
    assert bench.finish(claimed, Completed('{"text":"Hello"}', 2.5))
    job = bench.get(claimed.id)
    assert (job.state, job.result, job.duration_s) == (JobState.COMPLETED, '{"text":"Hello"}', 2.5)
    assert (job.progress, job.lease_until, job.history, job.dead) == (1.0, None, (), False)
    assert job.finished_at == job.webhook_due == bench.clock.now


def test_an_ended_job_without_reply_to_owes_no_webhook(bench: Bench) -> None:
    finished, failed, cancelled = bench.start(), bench.start(), bench.start()
    bench.finish(finished, completed())
    bench.finish(failed, USERS_FAULT)
    bench.store.cancel(cancelled.id)
    assert {bench.get(each.id).webhook_due for each in (finished, failed, cancelled)} == {None}


def test_an_error_that_repeating_cannot_heal_fails_the_job_at_once(bench: Bench) -> None:
    claimed = bench.start(reply_to=HOOK)
    assert bench.finish(claimed, USERS_FAULT)
    job = bench.get(claimed.id)
    assert (job.state, job.dead, job.attempts) == (JobState.FAILED, False, 1)
    assert (job.error_code, job.error_message) == (USERS_FAULT.code, USERS_FAULT.message)
    assert job.finished_at == job.webhook_due == bench.clock.now
    assert bench.claim() == []


def test_an_error_that_heals_is_tried_again_after_its_pause(bench: Bench) -> None:
    claimed = bench.start()
    assert bench.finish(claimed, HEALS)
    job = bench.get(claimed.id)
    now = bench.clock.now
    assert (job.state, job.attempts, job.run_after, job.lease_until) == (JobState.QUEUED, 1, now + 4.0, None)
    assert bench.queue.wake_delayed() == now + 4.0
    assert bench.claim() == []
    bench.clock.advance(4.0)
    assert bench.queue.wake_delayed() is None
    [again] = bench.claim()
    assert (again.id, again.fence, again.attempt) == (claimed.id, 2, 2)


def test_a_job_is_a_dead_letter_after_its_last_attempt(bench: Bench) -> None:
    job = bench.get(bench.use_up_attempts(reply_to=HOOK))
    assert (job.state, job.dead, job.attempts) == (JobState.FAILED, True, MAX_ATTEMPTS)
    assert (job.error_code, job.error_message) == ("ReplicaLost", "the last time")
    assert [(each.attempt, each.message) for each in job.history] == [
        (1, "again"),
        (2, "again"),
        (3, "the last time"),
    ]
    assert {(each.started_at, each.ended_at) for each in job.history} == {(bench.clock.now, bench.clock.now)}
    assert job.webhook_due == bench.clock.now


def test_what_is_not_the_jobs_fault_uses_up_no_attempt(bench: Bench) -> None:
    claimed = bench.start()
    for _ in range(MAX_ATTEMPTS + 2):
        assert claimed.attempt == 1
        bench.finish(claimed, Broken("StoreFull", "The disk is full.", 0.0, counts=False))
        bench.queue.wake_delayed()
        [claimed] = bench.claim()
    assert bench.finish(claimed, completed())


def test_delayed_jobs_come_back_in_the_order_of_their_time(bench: Bench) -> None:
    now = bench.clock.now
    for pause_s in (30.0, 10.0, 20.0):
        bench.finish(bench.start(), Broken("Busy", "", pause_s))
    due = []
    while (following := bench.queue.wake_delayed()) is not None:
        due.append(following - now)
        bench.clock.now = following
    assert due == [10.0, 20.0, 30.0]


def test_many_outcomes_are_written_together(bench: Bench) -> None:
    done, heals, fails, cancelled = (bench.start() for _ in range(4))
    bench.store.cancel(cancelled.id)
    outcomes = [
        Finished(cancelled.id, 1, completed()),
        Finished(fails.id, 1, USERS_FAULT),
        Finished(heals.id, 1, HEALS),
        Finished(done.id, 1, completed()),
    ]
    assert bench.queue.finish(outcomes) == {done.id, heals.id, fails.id}
    states = [bench.get(each.id).state for each in (done, heals, fails, cancelled)]
    assert states == [JobState.COMPLETED, JobState.QUEUED, JobState.FAILED, JobState.CANCELLED]
    assert bench.queue.finish([]) == set()


@pytest.mark.parametrize("outcome", [completed('"stale"'), HEALS, USERS_FAULT])
def test_whoever_lost_a_job_cannot_say_anything_about_it(bench: Bench, outcome: Completed | Broken) -> None:
    first = bench.start()
    second = outlived(bench, first)
    before = bench.get(first.id)
    assert not bench.finish(first, outcome)
    assert not bench.renew(first, 0.9, "stale")
    assert bench.get(first.id) == before
    assert bench.finish(second, completed('"mine"'))
    assert not bench.finish(first, outcome)
    assert bench.get(first.id).result == '"mine"'


@pytest.mark.parametrize("outcome", [completed(), HEALS, USERS_FAULT])
def test_an_outcome_is_taken_once(bench: Bench, outcome: Completed | Broken) -> None:
    claimed = bench.start()
    assert bench.finish(claimed, outcome)
    before = bench.get(claimed.id)
    assert not bench.finish(claimed, completed('"second"'))
    assert bench.get(claimed.id) == before


def test_a_late_result_counts_while_nobody_took_the_job_back(bench: Bench) -> None:
    claimed = bench.start()
    bench.clock.advance(LEASE_S * 3)
    assert bench.finish(claimed, completed())
    assert bench.reap() == 0


def test_a_job_whose_holder_is_silent_is_taken_back(bench: Bench) -> None:
    silent, alive = bench.start(), bench.start()
    bench.clock.advance(LEASE_S)
    assert bench.reap() == 0
    bench.renew(alive)
    bench.clock.advance(1)
    assert bench.queue.reap(retry_in_s=5.0) == 1
    job = bench.get(silent.id)
    assert (job.state, job.run_after) == (JobState.QUEUED, bench.clock.now + 5.0)
    assert [each.error_code for each in job.history] == [LOST_CODE]
    assert bench.get(alive.id).state == JobState.STARTED


def test_a_job_that_kills_its_holders_is_a_dead_letter_in_the_end(bench: Bench) -> None:
    claimed = bench.start()
    for _ in range(MAX_ATTEMPTS - 1):
        claimed = outlived(bench, claimed)
    bench.clock.advance(LEASE_S + 1)
    assert bench.reap() == 1
    job = bench.get(claimed.id)
    assert (job.state, job.dead, job.error_code) == (JobState.FAILED, True, LOST_CODE)


def test_runners_that_renew_and_finish_at_once_do_not_block_each_other(bench: Bench) -> None:
    for _ in range(6):
        bench.store.submit([new_job() for _ in range(40)])
        claimed = bench.claim(40)
        signs = [Sign(each.id, each.fence, 0.5) for each in claimed]
        finished = [Finished(each.id, each.fence, completed()) for each in reversed(claimed)]
        with ThreadPoolExecutor(3) as pool:
            renewals = [pool.submit(bench.queue.renew, signs) for _ in range(2)]
            assert pool.submit(bench.queue.finish, finished).result() == {each.id for each in claimed}
            for renewal in renewals:
                renewal.result()


def test_a_waiting_job_is_cancelled(bench: Bench) -> None:
    job_id = bench.submit(reply_to=HOOK)
    assert bench.store.cancel(job_id, "ann") is False
    job = bench.get(job_id)
    assert (job.state, job.finished_at, job.webhook_due) == (
        JobState.CANCELLED,
        bench.clock.now,
        bench.clock.now,
    )
    assert bench.claim() == []


def test_a_job_that_waits_for_its_next_attempt_is_cancelled(bench: Bench) -> None:
    claimed = bench.start()
    bench.finish(claimed, HEALS)
    assert bench.store.cancel(claimed.id) is False
    assert bench.queue.wake_delayed() is None
    assert bench.get(claimed.id).run_after is None


def test_a_running_job_is_cancelled_and_its_holder_hears_of_it(bench: Bench) -> None:
    claimed = bench.start()
    assert bench.store.cancel(claimed.id) is True
    assert not bench.renew(claimed)
    assert not bench.finish(claimed, completed())
    bench.clock.advance(LEASE_S + 1)
    assert bench.reap() == 0
    job = bench.get(claimed.id)
    assert (job.state, job.result, job.lease_until) == (JobState.CANCELLED, None, None)


def end(bench: Bench, state: JobState) -> Job:
    claimed = bench.start(reply_to=HOOK)
    if state is JobState.CANCELLED:
        bench.store.cancel(claimed.id)
    else:
        bench.finish(claimed, completed() if state is JobState.COMPLETED else USERS_FAULT)
    job = bench.get(claimed.id)
    assert job.state is state
    return job


@pytest.mark.parametrize("state", [JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED])
def test_an_ended_job_cannot_be_cancelled(bench: Bench, state: JobState) -> None:
    job = end(bench, state)
    with pytest.raises(JobConflict, match=f"is {state} and cannot be cancelled"):
        bench.store.cancel(job.id)
    assert bench.get(job.id) == job


@pytest.mark.parametrize("state", [JobState.FAILED, JobState.CANCELLED])
def test_a_requeued_job_begins_anew(bench: Bench, state: JobState) -> None:
    job = end(bench, state)
    bench.store.requeue(job.id, "ann")
    again = bench.get(job.id)
    assert (again.state, again.attempts, again.dead) == (JobState.QUEUED, 0, False)
    assert (again.error_code, again.error_message, again.finished_at) == (None, None, None)
    assert (again.webhook_due, again.history) == (None, job.history)
    [claimed] = bench.claim()
    assert (claimed.id, claimed.attempt) == (job.id, 1)
    assert bench.finish(claimed, completed())


def test_a_dead_letter_gets_all_its_attempts_back(bench: Bench) -> None:
    job_id = bench.use_up_attempts()
    bench.store.requeue(job_id)
    for _ in range(MAX_ATTEMPTS):
        [claimed] = bench.claim()
        assert bench.finish(claimed, Broken("ReplicaLost", "", 0.0))
        bench.queue.wake_delayed()
    job = bench.get(job_id)
    assert (job.state, job.dead, len(job.history)) == (JobState.FAILED, True, 2 * MAX_ATTEMPTS)


def test_the_holder_of_before_a_requeue_has_lost_the_job(bench: Bench) -> None:
    old = bench.start()
    bench.store.cancel(old.id)
    bench.store.requeue(old.id)
    [new] = bench.claim()
    assert not bench.renew(old)
    assert not bench.finish(old, completed('"old"'))
    assert bench.finish(new, completed('"new"'))
    assert bench.get(new.id).result == '"new"'


def test_only_failed_and_cancelled_jobs_are_requeued(bench: Bench) -> None:
    finished = end(bench, JobState.COMPLETED)
    running = bench.start()
    waiting = bench.submit()
    for job_id in (finished.id, running.id, waiting):
        with pytest.raises(JobConflict, match="only Failed and Cancelled jobs can be requeued"):
            bench.store.requeue(job_id)


def test_others_can_neither_cancel_nor_requeue(bench: Bench) -> None:
    job_id = bench.submit(owner="ann")
    for change in (bench.store.cancel, bench.store.requeue):
        for owner, wanted in (("bob", job_id), (None, job_id + 1), (None, 2**70)):
            with pytest.raises(JobNotFound):
                change(wanted, owner)
    assert bench.get(job_id).state == JobState.QUEUED


def test_a_lease_that_is_renewed_at_the_last_moment_is_not_taken_back(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    claimed = bench.start()
    bench.clock.advance(LEASE_S + 1)
    read = bench.database.read

    @contextmanager
    def read_and_then_others_act() -> Iterator[Connection]:
        with read() as connection:
            yield connection
        monkeypatch.undo()
        assert bench.renew(claimed)

    monkeypatch.setattr(bench.database, "read", read_and_then_others_act)
    assert bench.reap() == 0
    assert bench.finish(claimed, completed())
