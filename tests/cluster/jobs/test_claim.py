from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from cluster.jobs.job import ClaimedJob, JobState
from cluster.jobs.queue import JobQueue
from tests.cluster.jobs.builders import HEALS, LEASE_S, MODEL, Bench, new_job


def ids(claimed: list[ClaimedJob]) -> list[int]:
    return [job.id for job in claimed]


def one_by_one(bench: Bench, count: int) -> list[int]:
    return [job.id for _ in range(count) for job in bench.claim()]


def all_at_once(bench: Bench, count: int) -> list[int]:
    return ids(bench.claim(count))


WAYS: tuple[Callable[[Bench, int], list[int]], ...] = (one_by_one, all_at_once)


def test_a_claim_gives_what_a_runner_needs(bench: Bench) -> None:
    new = new_job(priority=2)
    [submitted] = bench.store.submit([new])
    [claimed] = bench.claim()
    assert claimed == ClaimedJob(
        submitted.id, 1, 1, new.owner, new.task, new.model, new.priority, new.request
    )


def test_a_claimed_job_is_started_and_leased(bench: Bench) -> None:
    claimed = bench.start()
    job = bench.get(claimed.id)
    now = bench.clock.now
    assert (job.state, job.attempts, job.fence) == (JobState.STARTED, 1, 1)
    assert (job.started_at, job.lease_until) == (now, now + LEASE_S)


def test_nothing_is_claimed_of_an_empty_queue(bench: Bench) -> None:
    assert bench.claim() == []
    assert bench.queue.claim({}) == []


def test_no_more_is_claimed_than_there_are_places(bench: Bench) -> None:
    waiting = [bench.submit() for _ in range(5)]
    assert bench.claim(0) == []
    assert ids(bench.claim(2)) == waiting[:2]
    assert ids(bench.claim(9)) == waiting[2:]


def test_each_model_has_its_own_line_and_places(bench: Bench) -> None:
    small = [bench.submit(model="small") for _ in range(3)]
    large = [bench.submit(model="large") for _ in range(3)]
    claimed = bench.queue.claim({"small": 1, "large": 2, "unused": 5})
    assert ids(claimed) == [small[0], *large[:2]]


def test_the_higher_priority_is_first_and_then_the_older(bench: Bench) -> None:
    for claim in WAYS:
        low, middle, high, other_high = (bench.submit(priority=priority) for priority in (-5, 0, 7, 7))
        assert claim(bench, 4) == [high, other_high, middle, low]


def test_a_flood_of_one_owner_does_not_keep_others_waiting(bench: Bench) -> None:
    for claim in WAYS:
        flood = [bench.submit(owner="ann") for _ in range(6)]
        bob, cid = bench.submit(owner="bob"), bench.submit(owner="cid")
        order = claim(bench, 8)
        assert sorted(order[:3]) == sorted([flood[0], bob, cid])
        assert order[3:] == flood[1:]


def test_turns_go_round_across_claims(bench: Bench) -> None:
    for _ in range(3):
        for owner in ("ann", "bob", "cid"):
            bench.submit(owner=owner)
    owners = [job.owner for count in (2, 2, 2, 3) for job in bench.claim(count)]
    assert owners == ["ann", "bob", "cid"] * 3


def test_a_higher_priority_does_not_use_up_a_turn_of_the_lower(bench: Bench) -> None:
    ann, bob = bench.submit(owner="ann"), bench.submit(owner="bob")
    assert one_by_one(bench, 1) == [ann]
    second_ann = bench.submit(owner="ann")
    urgent = bench.submit(owner="bob", priority=1)
    assert one_by_one(bench, 3) == [urgent, bob, second_ann]


def test_a_job_that_waits_for_its_next_attempt_is_not_claimed(bench: Bench) -> None:
    claimed = bench.start()
    bench.finish(claimed, HEALS)
    assert bench.claim() == []


def test_two_queues_never_get_the_same_job(bench: Bench) -> None:
    total = 120
    bench.store.submit(
        [new_job(owner=f"owner-{number % 7}", model=f"m{number % 2}") for number in range(total)]
    )
    barrier = Barrier(3)

    def work(queue: JobQueue) -> list[ClaimedJob]:
        claimed: list[ClaimedJob] = []
        barrier.wait()
        while queue.waiting({"m0": 1, "m1": 1}) != {"m0": 0, "m1": 0}:
            claimed += queue.claim({"m0": 3, "m1": 2})
        return claimed

    with ThreadPoolExecutor(3) as pool:
        futures = [pool.submit(work, queue) for queue in (bench.another_queue() for _ in range(3))]
        claimed = [job for future in futures for job in future.result()]
    assert len(claimed) == total
    assert set(Counter(ids(claimed)).values()) == {1}
    assert {job.fence for job in claimed} == {1}


def test_waiting_jobs_are_counted_as_far_as_the_limit(bench: Bench) -> None:
    for _ in range(4):
        bench.submit()
    bench.submit(model="large")
    bench.claim(1)
    assert bench.queue.waiting({MODEL: 10, "large": 10, "unused": 10}) == {MODEL: 3, "large": 1, "unused": 0}
    assert bench.queue.waiting({MODEL: 2}) == {MODEL: 2}


def test_running_jobs_are_listed_with_their_models(bench: Bench) -> None:
    small, large = bench.start(), bench.start(model="large")
    bench.submit()
    assert bench.queue.running() == {small.id: MODEL, large.id: "large"}
    bench.finish(small, HEALS)
    bench.store.cancel(large.id)
    assert bench.queue.running() == {}


def test_jobs_of_models_that_are_gone_are_refused(bench: Bench) -> None:
    gone = [bench.submit(model=model, reply_to="https://example.org") for model in ("a", "b", "b")]
    kept, running = bench.submit(), bench.start(model="z")
    assert bench.queue.waiting_models() == ["a", "b", MODEL]
    assert [bench.queue.refuse(model) for model in ("a", "b", "z")] == [1, 2, 0]
    for job in map(bench.get, gone):
        assert (job.state, job.error_code, job.dead) == (JobState.FAILED, "NotFound", True)
        assert job.error_message == f"The model {job.model} is not configured any more."
        assert job.finished_at == job.webhook_due == bench.clock.now
    assert bench.get(kept).state == JobState.QUEUED
    assert bench.get(running.id).state == JobState.STARTED
    assert bench.queue.waiting_models() == [MODEL]
