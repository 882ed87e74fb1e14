from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from cluster.jobs.deliveries import TAKEN_S, Deliveries, Delivery, message_id_of
from cluster.jobs.errors import JobConflict
from cluster.jobs.job import Job, JobState
from tests.cluster.jobs.builders import Bench, completed

HOOK = "https://example.org/hook"


@pytest.fixture
def deliveries(bench: Bench) -> Deliveries:
    return Deliveries(bench.database, bench.clock)


def end(bench: Bench, reply_to: str | None = HOOK) -> Job:
    claimed = bench.start(reply_to=reply_to)
    bench.finish(claimed, completed())
    return bench.get(claimed.id)


def attempt_of(job: Job, status: int | None = 200, error: str = "") -> Delivery:
    return Delivery(message_id_of(job), HOOK, job.webhook_attempts, 1_000.0, 0.25, status, error)


def test_the_webhook_of_an_ended_job_is_taken_once(bench: Bench, deliveries: Deliveries) -> None:
    job = end(bench)
    end(bench, reply_to=None)
    bench.submit(reply_to=HOOK)
    [taken] = deliveries.take(10)
    assert (taken.id, taken.state, taken.result, taken.webhook_attempts) == (
        job.id,
        JobState.COMPLETED,
        job.result,
        1,
    )
    assert deliveries.take(10) == []


def test_no_more_are_taken_than_asked_for(bench: Bench, deliveries: Deliveries) -> None:
    ended = {end(bench).id for _ in range(5)}
    first, second = deliveries.take(3), deliveries.take(3)
    assert (len(first), len(second)) == (3, 2)
    assert {job.id for job in first + second} == ended


def test_the_longest_due_are_taken_first(bench: Bench, deliveries: Deliveries) -> None:
    first = end(bench)
    bench.clock.advance(1)
    second = end(bench)
    bench.clock.advance(1)
    deliveries.replay(first)
    bench.clock.advance(1)
    assert [job.id for job in deliveries.take(1)] == [second.id]


def test_racing_senders_do_not_take_the_same_webhook(bench: Bench, deliveries: Deliveries) -> None:
    ended = [end(bench).id for _ in range(30)]
    barrier = Barrier(3)

    def take() -> list[int]:
        taken: list[int] = []
        barrier.wait()
        for _ in range(30):
            taken += [job.id for job in deliveries.take(4)]
        return taken

    with ThreadPoolExecutor(3) as pool:
        taken = [job_id for future in [pool.submit(take) for _ in range(3)] for job_id in future.result()]
    assert sorted(taken) == ended


def test_a_webhook_whose_sender_died_is_taken_again(bench: Bench, deliveries: Deliveries) -> None:
    end(bench)
    [first] = deliveries.take(1)
    bench.clock.advance(TAKEN_S - 1)
    assert deliveries.take(1) == []
    bench.clock.advance(1)
    [second] = deliveries.take(1)
    assert second.webhook_attempts == 2
    assert message_id_of(second) == message_id_of(first)


def test_a_delivered_webhook_is_logged_and_not_owed_any_more(bench: Bench, deliveries: Deliveries) -> None:
    end(bench)
    [job] = deliveries.take(1)
    deliveries.note(job, attempt_of(job), None)
    bench.clock.advance(10 * TAKEN_S)
    assert deliveries.take(1) == []
    assert deliveries.of(job.id) == [attempt_of(job)]
    assert bench.get(job.id).webhook_due is None


def test_a_failed_delivery_is_repeated_after_its_pause(bench: Bench, deliveries: Deliveries) -> None:
    end(bench)
    [job] = deliveries.take(1)
    deliveries.note(job, attempt_of(job, None, "refused"), retry_in_s=300.0)
    bench.clock.advance(299.0)
    assert deliveries.take(1) == []
    bench.clock.advance(1.0)
    [again] = deliveries.take(1)
    deliveries.note(again, attempt_of(again), None)
    assert [(each.attempt, each.status, each.error) for each in deliveries.of(job.id)] == [
        (1, None, "refused"),
        (2, 200, ""),
    ]


def test_a_sender_that_comes_late_does_not_change_what_another_one_did(
    bench: Bench, deliveries: Deliveries
) -> None:
    end(bench)
    [slow] = deliveries.take(1)
    bench.clock.advance(TAKEN_S)
    [quick] = deliveries.take(1)
    deliveries.note(quick, attempt_of(quick), None)
    deliveries.note(slow, attempt_of(slow, None, "timed out"), retry_in_s=1.0)
    assert bench.get(slow.id).webhook_due is None
    assert [each.error for each in deliveries.of(slow.id)] == ["", "timed out"]


def test_a_webhook_is_replayed_with_all_its_attempts(bench: Bench, deliveries: Deliveries) -> None:
    end(bench)
    [job] = deliveries.take(1)
    deliveries.note(job, attempt_of(job), None)
    deliveries.replay(bench.get(job.id))
    [again] = deliveries.take(1)
    assert again.webhook_attempts == 1
    assert message_id_of(again) == message_id_of(job)


def test_a_replay_during_a_delivery_is_not_lost(bench: Bench, deliveries: Deliveries) -> None:
    end(bench)
    [job] = deliveries.take(1)
    deliveries.replay(job)
    deliveries.note(job, attempt_of(job), None)
    assert len(deliveries.take(1)) == 1


def test_only_an_ended_job_with_reply_to_has_a_webhook_to_replay(
    bench: Bench, deliveries: Deliveries
) -> None:
    with pytest.raises(JobConflict, match="has no replyTo"):
        deliveries.replay(end(bench, reply_to=None))
    waiting = bench.submit(reply_to=HOOK)
    with pytest.raises(JobConflict, match="is Queued; its webhook is sent when it has ended"):
        deliveries.replay(bench.get(waiting))


def test_the_next_end_of_a_requeued_job_is_another_message(bench: Bench, deliveries: Deliveries) -> None:
    job_id = bench.submit(reply_to=HOOK)
    messages: list[str] = []
    for _ in range(3):
        bench.store.cancel(job_id)
        [job] = deliveries.take(1)
        messages.append(message_id_of(job))
        bench.store.requeue(job_id)
        deliveries.note(job, attempt_of(job, 500, "500"), retry_in_s=1.0)
        assert bench.get(job_id).webhook_due is None
    assert len(set(messages)) == 3


def test_a_job_that_is_requeued_meanwhile_owes_no_webhook(bench: Bench, deliveries: Deliveries) -> None:
    job_id = bench.submit(reply_to=HOOK)
    bench.store.cancel(job_id)
    ended = bench.get(job_id)
    bench.store.requeue(job_id)
    deliveries.replay(ended)
    assert deliveries.take(1) == []
