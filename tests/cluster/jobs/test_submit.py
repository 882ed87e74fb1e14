from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from cluster.jobs.errors import JobConflict, JobNotFound
from cluster.jobs.job import Job, JobFilter, JobInput, JobState, Submitted
from tests.cluster.jobs.builders import LEASE_S, Bench, completed, new_job

UPLOAD = JobInput(
    field="audio",
    key="input/2026/01/01/ann/0.wav",
    file_name="a.wav",
    content_type="audio/wav",
    size_bytes=5,
)


def test_a_submitted_job_waits_with_everything_that_was_asked(bench: Bench) -> None:
    new = new_job(
        priority=3,
        tag="night",
        client_state='{"a":1}',
        reply_to="https://example.org/hook",
        idempotency_key="key",
        inputs=(UPLOAD,),
    )
    [submitted] = bench.store.submit([new])
    job = bench.get(submitted.id)
    assert submitted == Submitted(job.id, new.ref_id, JobState.QUEUED, is_new=True)
    assert {name: getattr(job, name) for name in vars(new)} == vars(new)
    assert (job.state, job.attempts, job.fence, job.created_at) == (JobState.QUEUED, 0, 0, bench.clock.now)
    assert (job.result, job.error_code, job.finished_at, job.history) == (None, None, None, ())


def test_many_jobs_are_accepted_in_their_order(bench: Bench) -> None:
    new = [new_job() for _ in range(50)]
    submitted = bench.store.submit(new)
    assert [each.ref_id for each in submitted] == [each.ref_id for each in new]
    assert [each.id for each in submitted] == sorted({each.id for each in submitted})


def test_nothing_is_submitted_for_nothing(bench: Bench) -> None:
    assert bench.store.submit([]) == []


def test_all_jobs_are_accepted_or_none(bench: Bench) -> None:
    bench.submit(ref_id="taken", fingerprint="one")
    with pytest.raises(JobConflict):
        bench.store.submit([new_job(), new_job(ref_id="taken", fingerprint="another"), new_job()])
    assert len(bench.store.some(JobFilter(), 10)) == 1


def test_the_same_request_under_the_same_ref_id_is_the_first_job(bench: Bench) -> None:
    job_id = bench.submit(ref_id="mine")
    [again] = bench.store.submit([new_job(ref_id="mine")])
    assert again == Submitted(job_id, "mine", JobState.QUEUED, is_new=False)


def test_a_repeated_request_tells_the_state_of_the_first(bench: Bench) -> None:
    claimed = bench.start(ref_id="mine")
    bench.finish(claimed, completed())
    [again] = bench.store.submit([new_job(ref_id="mine")])
    assert again.state == JobState.COMPLETED


def test_a_ref_id_twice_in_one_call_is_one_job(bench: Bench) -> None:
    first, second = bench.store.submit([new_job(ref_id="mine"), new_job(ref_id="mine")])
    assert (first.id, first.is_new, second.id, second.is_new) == (first.id, True, first.id, False)


def test_another_request_under_the_same_ref_id_is_a_conflict(bench: Bench) -> None:
    job_id = bench.submit(ref_id="mine", fingerprint="one")
    with pytest.raises(JobConflict, match=f"refId mine belongs to job {job_id}") as caught:
        bench.submit(ref_id="mine", fingerprint="another")
    assert caught.value.field == "refId"


def test_two_owners_may_use_the_same_ids(bench: Bench) -> None:
    ids = {bench.submit(owner=owner, ref_id="mine", idempotency_key="key") for owner in ("ann", "bob")}
    assert len(ids) == 2


def test_the_same_request_under_the_same_idempotency_key_is_the_first_job(bench: Bench) -> None:
    job_id = bench.submit(ref_id="made-up-1", idempotency_key="key")
    [again] = bench.store.submit([new_job(ref_id="made-up-2", idempotency_key="key")])
    assert again == Submitted(job_id, "made-up-1", JobState.QUEUED, is_new=False)


def test_another_request_under_the_same_idempotency_key_is_a_conflict(bench: Bench) -> None:
    bench.submit(idempotency_key="key", fingerprint="one")
    with pytest.raises(JobConflict) as caught:
        bench.submit(idempotency_key="key", fingerprint="another")
    assert caught.value.field == "Idempotency-Key"


def test_jobs_without_an_idempotency_key_are_different_jobs(bench: Bench) -> None:
    assert bench.submit() != bench.submit()


def test_racing_submitters_of_one_ref_id_get_one_job(bench: Bench) -> None:
    for _ in range(20):
        barrier = Barrier(2)
        new = new_job()

        def submit(barrier: Barrier = barrier, new: object = new) -> Submitted:
            barrier.wait()
            return bench.store.submit([new])[0]  # type: ignore[list-item]

        with ThreadPoolExecutor(2) as pool:
            first, second = (future.result() for future in [pool.submit(submit), pool.submit(submit)])
        assert first.id == second.id
        assert first.is_new is not second.is_new


def test_racing_submitters_of_overlapping_lists_get_the_same_jobs(bench: Bench) -> None:
    for _ in range(10):
        barrier = Barrier(3)
        new = [new_job() for _ in range(6)]

        def submit(first: int, barrier: Barrier = barrier, new: object = new) -> dict[str, int]:
            part = new[first : first + 4]  # type: ignore[index]
            barrier.wait()
            return {each.ref_id: each.id for each in bench.store.submit(part)}

        with ThreadPoolExecutor(3) as pool:
            answers = [future.result() for future in [pool.submit(submit, first) for first in range(3)]]
        stored = {ref_id: job_id for answer in answers for ref_id, job_id in answer.items()}
        assert len(stored) == 6
        assert all(answer.items() <= stored.items() for answer in answers)


def test_an_adopted_run_is_started_with_the_first_fence(bench: Bench) -> None:
    now = bench.clock.now
    adopted = bench.store.adopt(new_job(), started_at=now - 5, lease_s=LEASE_S)
    job = bench.get(adopted.id)
    assert adopted.state == JobState.STARTED
    assert (job.fence, job.attempts, job.started_at, job.lease_until) == (1, 1, now - 5, now + LEASE_S)
    assert bench.queue.running() == {adopted.id: job.model}


def test_nobody_else_gets_an_adopted_run(bench: Bench) -> None:
    bench.store.adopt(new_job(), bench.clock.now, LEASE_S)
    assert bench.claim() == []


@pytest.mark.parametrize("repeated", ["ref_id", "idempotency_key"])
def test_a_run_is_not_adopted_under_an_id_that_is_taken(bench: Bench, repeated: str) -> None:
    bench.submit(**{repeated: "taken"})
    with pytest.raises(JobConflict):
        bench.store.adopt(new_job(**{repeated: "taken"}), bench.clock.now, LEASE_S)


def test_of_racing_adopters_of_one_ref_id_one_is_refused(bench: Bench) -> None:
    for _ in range(20):
        barrier = Barrier(2)
        new = new_job()

        def adopt(barrier: Barrier = barrier, new: object = new) -> bool:
            barrier.wait()
            try:
                bench.store.adopt(new, bench.clock.now, LEASE_S)  # type: ignore[arg-type]
            except JobConflict:
                return False
            return True

        with ThreadPoolExecutor(2) as pool:
            adopted = [future.result() for future in [pool.submit(adopt), pool.submit(adopt)]]
        assert sorted(adopted) == [False, True]


def test_a_job_is_found_by_its_owner_alone(bench: Bench) -> None:
    job_id = bench.submit(owner="ann", ref_id="mine")
    assert bench.store.get(job_id, "ann") == bench.store.find("mine", "ann") == bench.store.get(job_id)
    for wanted, owner in ((job_id, "bob"), (job_id + 1, None)):
        with pytest.raises(JobNotFound):
            bench.store.get(wanted, owner)
    for ref_id, owner in (("mine", "bob"), ("other", "ann")):
        with pytest.raises(JobNotFound):
            bench.store.find(ref_id, owner)


@pytest.mark.parametrize("job_id", [-1, 0, 2**31, 2**63 - 1, 2**63, 10**30])
def test_an_id_that_no_database_can_hold_is_not_found(bench: Bench, job_id: int) -> None:
    with pytest.raises(JobNotFound):
        bench.get(job_id)


def ids(found: list[Job]) -> list[int]:
    return [job.id for job in found]


def test_a_listing_shows_the_newest_first_page_by_page(bench: Bench) -> None:
    mine = [bench.submit(owner="ann") for _ in range(5)]
    bench.submit(owner="bob")
    first = bench.store.some(JobFilter(owner="ann"), 2)
    second = bench.store.some(JobFilter(owner="ann", before_id=first[-1].id), 2)
    third = bench.store.some(JobFilter(owner="ann", before_id=second[-1].id), 2)
    assert ids(first + second + third) == mine[::-1]


def test_a_listing_shows_what_its_filter_lets_through(bench: Bench) -> None:
    start = bench.clock.now
    done = bench.start(task="speech-to-text")
    bench.finish(done, completed())
    dead = bench.use_up_attempts(tag="night")
    bench.clock.advance(10)
    late = bench.submit(owner="bob")
    some = bench.store.some
    assert ids(some(JobFilter(), 10)) == [late, dead, done.id]
    assert ids(some(JobFilter(owner="bob"), 10)) == [late]
    assert ids(some(JobFilter(state=JobState.COMPLETED), 10)) == [done.id]
    assert ids(some(JobFilter(task="speech-to-text"), 10)) == [done.id]
    assert ids(some(JobFilter(tag="night", owner="ann"), 10)) == [dead]
    assert ids(some(JobFilter(dead=True), 10)) == [dead]
    assert ids(some(JobFilter(dead=False), 10)) == [late, done.id]
    assert ids(some(JobFilter(created_from=start + 10), 10)) == [late]
    assert ids(some(JobFilter(created_to=start + 10), 10)) == [dead, done.id]
    assert some(JobFilter(owner="bob", tag="night"), 10) == []
