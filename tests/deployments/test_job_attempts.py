"""How many attempts a job has, and what becomes of it, seen by its owner."""

import httpx
import pytest

from cluster.artifacts.store import StoreFull
from deployments.errors import Busy, ReplicaLost
from pipelines.errors import InvalidInput, ModelLoadError, OutOfMemory
from tests.deployments.fakes import HeldBackend
from tests.deployments.queue import LocalQueue, shown, submitted


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deployments.job_work.backoff_s", lambda _: 0.0)
    monkeypatch.setattr("deployments.job_work.NOT_READY_PAUSE_S", 0.0)


@pytest.mark.parametrize(
    ("errors", "runs", "state", "attempts", "dead"),
    [
        ([], 1, "Completed", 1, False),
        ([ReplicaLost("a"), Busy()], 3, "Completed", 2, False),
        ([ReplicaLost("a")] * 3, 3, "Failed", 3, True),
        ([ModelLoadError("a")] * 9, 10, "Completed", 1, False),
        ([OutOfMemory("a")], 2, "Completed", 2, False),
        ([OutOfMemory("a")] * 9, 2, "Failed", 2, False),
        ([StoreFull("a")] * 5, 6, "Completed", 1, False),
        ([StoreFull("a"), ReplicaLost("b"), StoreFull("c"), ReplicaLost("d")], 5, "Completed", 3, False),
        ([InvalidInput("a")] * 9, 1, "Failed", 1, False),
        ([ReplicaLost("a"), InvalidInput("b")], 2, "Failed", 2, False),
        ([ValueError("a")] * 9, 1, "Failed", 1, False),
    ],
)
async def test_of_runs_that_fail(
    client: httpx.AsyncClient,
    queue: LocalQueue,
    speaker: HeldBackend,
    errors: list[Exception],
    runs: int,
    state: str,
    attempts: int,
    dead: bool,
) -> None:
    speaker.errors = list(errors)
    await submitted(client)
    async with queue.dispatching():
        await queue.ended(1)
    job = await shown(client, 1)
    assert (job["state"], job["attempts"], job["deadLetter"]) == (state, attempts, dead)
    assert len(speaker.runs) == runs
    failed = runs if state == "Failed" else runs - 1
    assert len(job["history"]) == failed
    if state == "Failed":
        assert job["responseStatus"]["message"] == f"Job failed: {job['history'][-1]['message']}"
        assert job["responseStatus"]["errorCode"] == job["history"][-1]["errorCode"]
    fences = [info.job.fence for info in speaker.runs if info.job]
    assert fences == list(range(1, runs + 1))
