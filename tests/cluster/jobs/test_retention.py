import pytest

from cluster.jobs import retention
from cluster.jobs.deliveries import Deliveries, Delivery
from cluster.jobs.errors import JobNotFound
from cluster.jobs.job import JobFilter, JobInput
from cluster.jobs.retention import Retention
from tests.cluster.jobs.builders import USERS_FAULT, Bench, completed

DAY_S = 86_400.0


@pytest.fixture
def kept(bench: Bench) -> Retention:
    return Retention(bench.database, bench.clock)


def upload(key: str) -> tuple[JobInput]:
    return (JobInput(field="audio", key=key, file_name="a.wav", content_type="audio/wav", size_bytes=1),)


def test_jobs_that_ended_long_ago_are_forgotten(bench: Bench, kept: Retention) -> None:
    done, failed, cancelled = bench.start(), bench.start(), bench.submit()
    bench.finish(done, completed())
    bench.finish(failed, USERS_FAULT)
    bench.store.cancel(cancelled)
    bench.clock.advance(DAY_S)
    waiting, running, young = bench.submit(model="other"), bench.start(), bench.start()
    bench.finish(young, completed())
    assert kept.forget_jobs(DAY_S) == 0
    bench.clock.advance(1)
    assert kept.forget_jobs(DAY_S) == 3
    assert [job.id for job in bench.store.some(JobFilter(), 10)] == [young.id, running.id, waiting]
    assert kept.forget_jobs(DAY_S) == 0


def test_what_belongs_to_a_forgotten_job_goes_with_it(bench: Bench, kept: Retention) -> None:
    log = Deliveries(bench.database, bench.clock)
    claimed = bench.start(ref_id="mine", inputs=upload("input/a"), reply_to="https://example.org")
    bench.finish(claimed, completed())
    log.note(bench.get(claimed.id), Delivery("m", "u", 1, 1.0, 1.0, 200, ""), None)
    bench.clock.advance(2 * DAY_S)
    assert kept.forget_jobs(DAY_S) == 1
    assert log.of(claimed.id) == []
    with pytest.raises(JobNotFound):
        bench.store.find("mine", "ann")
    assert bench.submit(ref_id="mine", inputs=upload("input/a")) > claimed.id  # nothing is left in the way


def test_the_id_of_a_forgotten_job_never_comes_back(bench: Bench, kept: Retention) -> None:
    claimed = bench.start()
    bench.finish(claimed, completed())
    bench.clock.advance(2 * DAY_S)
    kept.forget_jobs(DAY_S)
    assert bench.submit() > claimed.id


@pytest.mark.parametrize("jobs", [5, 6, 7])
def test_many_are_forgotten_in_batches(
    bench: Bench, kept: Retention, monkeypatch: pytest.MonkeyPatch, jobs: int
) -> None:
    monkeypatch.setattr(retention, "BATCH", 3)
    for _ in range(jobs):
        bench.finish(bench.start(), completed())
    bench.clock.advance(2 * DAY_S)
    assert kept.forget_jobs(DAY_S) == jobs
    assert bench.store.some(JobFilter(), 10) == []


def test_uploads_are_needed_while_their_job_may_still_run(bench: Bench, kept: Retention) -> None:
    done, failed = bench.start(inputs=upload("done")), bench.start(inputs=upload("failed"))
    bench.finish(done, completed())
    bench.clock.advance(DAY_S)
    bench.finish(failed, USERS_FAULT)
    bench.clock.advance(1)
    bench.start(inputs=upload("running"))
    bench.submit(inputs=upload("waiting"))
    keys = ["done", "failed", "running", "waiting", "nobody's"]
    assert kept.needed(keys, DAY_S) == {"failed", "running", "waiting"}
    assert kept.needed(["running"], DAY_S) == {"running"}
    assert kept.needed([], DAY_S) == set()


def test_a_requeued_job_needs_its_uploads_again(bench: Bench, kept: Retention) -> None:
    claimed = bench.start(inputs=upload("a"))
    bench.finish(claimed, USERS_FAULT)
    bench.clock.advance(2 * DAY_S)
    assert kept.needed(["a"], DAY_S) == set()
    bench.store.requeue(claimed.id)
    assert kept.needed(["a"], DAY_S) == {"a"}
