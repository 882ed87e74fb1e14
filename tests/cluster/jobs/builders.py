"""What the tests of the job store make their jobs of."""

from dataclasses import dataclass, field
from itertools import count
from typing import Any

from cluster.jobs.database import Database
from cluster.jobs.job import Broken, ClaimedJob, Completed, Finished, Job, NewJob, Outcome, Sign
from cluster.jobs.queue import JobQueue
from cluster.jobs.store import JobStore

MAX_ATTEMPTS = 3
LEASE_S = 30.0
MODEL = "small"
HEALS = Broken("ReplicaLost", "The replica went away.", retry_in_s=4.0)
USERS_FAULT = Broken("InvalidInput", "The file is empty.")

_numbers = count(1)


class FakeClock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


def new_job(**values: Any) -> NewJob:
    """Make a job that differs from all others where `values` do not say otherwise."""
    usual = {
        "owner": "ann",
        "task": "text-to-speech",
        "model": MODEL,
        "request": '{"text":"Hello"}',
        "ref_id": f"ref-{next(_numbers)}",
        "fingerprint": "same",
    }
    return NewJob(**{**usual, **values})


def completed(result: str = '"done"', duration_s: float = 2.0) -> Completed:
    return Completed(result, duration_s)


@dataclass
class Bench:
    """The two sides of one job store, and what tests do with them again and again."""

    database: Database
    clock: FakeClock
    store: JobStore = field(init=False)
    queue: JobQueue = field(init=False)

    def __post_init__(self) -> None:
        self.store = JobStore(self.database, self.clock)
        self.queue = self.another_queue()

    def another_queue(self) -> JobQueue:
        return JobQueue(self.database, max_attempts=MAX_ATTEMPTS, lease_s=LEASE_S, clock=self.clock)

    def submit(self, **values: Any) -> int:
        return self.store.submit([new_job(**values)])[0].id

    def claim(self, places: int = 1, model: str = MODEL) -> list[ClaimedJob]:
        return self.queue.claim({model: places})

    def start(self, **values: Any) -> ClaimedJob:
        """Submit a job and claim it; there must be no other."""
        job_id = self.submit(**values)
        [claimed] = self.claim(model=values.get("model", MODEL))
        assert claimed.id == job_id
        return claimed

    def finish(self, claimed: ClaimedJob, outcome: Outcome) -> bool:
        return self.queue.finish([Finished(claimed.id, claimed.fence, outcome)]) == {claimed.id}

    def renew(self, claimed: ClaimedJob, progress: float = 0.0, step: str = "") -> bool:
        return self.queue.renew([Sign(claimed.id, claimed.fence, progress, step)]) == {claimed.id}

    def reap(self) -> int:
        return self.queue.reap(0.0)

    def get(self, job_id: int) -> Job:
        return self.store.get(job_id)

    def use_up_attempts(self, **values: Any) -> int:
        """Submit a job that never goes well; gives its id when it is a dead letter."""
        claimed = self.start(**values)
        for _ in range(MAX_ATTEMPTS - 1):
            assert self.finish(claimed, Broken("ReplicaLost", "again", 0.0))
            self.queue.wake_delayed()
            [claimed] = self.claim()
        assert self.finish(claimed, Broken("ReplicaLost", "the last time", 0.0))
        return claimed.id
