"""Looking at one job, cancelling it, queueing it again."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from cluster.artifacts.local import LocalArtifactStore
from deployments.errors import ReplicaLost
from deployments.services import Services
from pipelines.errors import EngineError
from tests.deployments.conftest import refusal, stored_files
from tests.deployments.fakes import HeldBackend
from tests.deployments.queue import LocalQueue, shown, submitted

ACTIONS = (
    ("GET", "/jobs/{}"),
    ("DELETE", "/jobs/{}"),
    ("POST", "/jobs/{}/requeue"),
    ("GET", "/jobs/{}/events"),
    ("POST", "/jobs/{}/webhook"),
)


@pytest.fixture
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Repeat what failed at once."""
    monkeypatch.setattr("deployments.job_work.backoff_s", lambda _: 0.0)


class TestWhichJob:
    @pytest.mark.parametrize(("verb", "path"), ACTIONS)
    async def test_there_must_be_one(self, client: httpx.AsyncClient, verb: str, path: str) -> None:
        for job_id in ("1", "0", "-1", str(2**63), str(10**30)):
            answer = await client.request(verb, path.format(job_id))
            assert refusal(answer, 404) == {"errorCode": "NotFound", "message": "Job not found"}

    @pytest.mark.parametrize(("verb", "path"), ACTIONS)
    async def test_its_id_is_a_number(self, client: httpx.AsyncClient, verb: str, path: str) -> None:
        for job_id in ("one", "1.5", "9" * 5_000):
            answer = await client.request(verb, path.format(job_id))
            assert refusal(answer)["errorCode"] == "ArgumentException"

    @pytest.mark.parametrize(("verb", "path"), ACTIONS)
    async def test_it_is_nobody_elses(
        self, client: httpx.AsyncClient, other: httpx.AsyncClient, verb: str, path: str
    ) -> None:
        await submitted(client)
        assert refusal(await other.request(verb, path.format(1)), 404)["message"] == "Job not found"
        assert (await shown(client, 1))["state"] == "Queued"

    async def test_the_admin_may_touch_every_job(
        self, client: httpx.AsyncClient, other: httpx.AsyncClient
    ) -> None:
        await submitted(other)
        assert (await shown(client, 1))["state"] == "Queued"
        assert (await client.delete("/jobs/1")).json()["state"] == "Cancelled"
        assert (await shown(other, 1))["state"] == "Cancelled"


class TestCancelling:
    async def test_a_waiting_job_never_runs(
        self, client: httpx.AsyncClient, queue: LocalQueue, speaker: HeldBackend
    ) -> None:
        await submitted(client)
        await submitted(client)
        answer = await client.delete("/jobs/1")
        assert answer.status_code == 200
        assert (answer.json()["state"], answer.json()["attempts"]) == ("Cancelled", 0)
        assert answer.json()["responseStatus"]["errorCode"] == "OperationCanceledException"
        assert "queuePosition" not in answer.json()
        async with queue.dispatching():
            await queue.ended(2)
        assert [info.job.id for info in speaker.runs if info.job] == [2]

    async def test_the_run_of_a_running_job_stops_and_no_artifact_appears(
        self, client: httpx.AsyncClient, queue: LocalQueue, speaker: HeldBackend, tmp_path: Path
    ) -> None:
        speaker.hold()
        await submitted(client)
        async with queue.dispatching():
            await speaker.started.wait()
            assert (await client.delete("/jobs/1")).json()["state"] == "Cancelled"
            await speaker.stopped.wait()
            speaker.let_go()
            await queue.ended(await submitted(client, model="second-tone", responseFormat="flac"))
        assert (await shown(client, 1))["state"] == "Cancelled"
        assert [name for name in stored_files(tmp_path) if not name.endswith(".flac")] == []

    async def test_a_job_that_waits_for_its_next_attempt(
        self, client: httpx.AsyncClient, queue: LocalQueue, speaker: HeldBackend
    ) -> None:
        speaker.errors = [ReplicaLost("The replica died.")]
        await submitted(client)
        async with queue.dispatching():
            await queue.seen(1, lambda job: job.run_after is not None)
            assert "nextAttemptDate" in await shown(client, 1)
            answer = (await client.delete("/jobs/1")).json()
        assert (answer["state"], answer["attempts"]) == ("Cancelled", 1)
        assert "nextAttemptDate" not in answer

    async def test_a_job_that_has_ended_cannot_be(self, client: httpx.AsyncClient, queue: LocalQueue) -> None:
        await submitted(client)
        await submitted(client, "unspeakable")
        await submitted(client)
        await client.delete("/jobs/3")
        async with queue.dispatching():
            await queue.ended(1)
            await queue.ended(2)
        for job_id, state in ((1, "Completed"), (2, "Failed"), (3, "Cancelled")):
            answer = await client.delete(f"/jobs/{job_id}")
            status = refusal(answer, 409)
            assert status["message"] == f"Job {job_id} is {state} and cannot be cancelled."
            assert answer.headers["x-should-retry"] == "false"


class TestRequeueing:
    async def test_a_failed_job_gets_its_attempts_back(
        self, client: httpx.AsyncClient, queue: LocalQueue, speaker: HeldBackend
    ) -> None:
        speaker.errors = [EngineError("The engine gave up.")]
        await submitted(client)
        async with queue.dispatching():
            await queue.ended(1)
            failed = await shown(client, 1)
            assert failed["responseStatus"]["message"] == "Job failed: The engine gave up."
            speaker.hold()
            answer = (await client.post("/jobs/1/requeue")).json()
            assert (answer["attempts"] <= 1, answer["deadLetter"]) == (True, False)
            assert "responseStatus" not in answer
            assert "completedDate" not in answer
            speaker.let_go()
            await queue.ended(1)
        done = await shown(client, 1)
        assert (done["state"], done["attempts"]) == ("Completed", 1)
        assert [each["message"] for each in done["history"]] == ["The engine gave up."]

    async def test_a_cancelled_job_runs_after_all(
        self, client: httpx.AsyncClient, queue: LocalQueue, services: Services
    ) -> None:
        await client.post("/api/QueueSpeechToText", files={"audio": ("a.wav", b"hello")})
        await client.delete("/jobs/1")
        assert (await client.post("/jobs/1/requeue")).json()["state"] == "Queued"
        async with queue.dispatching():
            assert (await queue.ended(1)).state == "Completed"

    @pytest.mark.usefixtures("no_pause")
    async def test_a_dead_letter(
        self, client: httpx.AsyncClient, queue: LocalQueue, speaker: HeldBackend
    ) -> None:
        speaker.errors = [ReplicaLost("The replica died.")] * 3
        await submitted(client)
        async with queue.dispatching():
            await queue.ended(1)
            dead = await shown(client, 1)
            await client.post("/jobs/1/requeue")
            await queue.ended(1)
        assert (dead["state"], dead["attempts"], dead["deadLetter"]) == ("Failed", 3, True)
        done = await shown(client, 1)
        assert (done["state"], done["attempts"], done["deadLetter"]) == ("Completed", 1, False)
        assert [each["attempt"] for each in done["history"]] == [1, 2, 3]

    async def test_a_job_that_waits_runs_or_has_a_result_cannot_be(
        self, client: httpx.AsyncClient, queue: LocalQueue, speaker: HeldBackend
    ) -> None:
        said = "only Failed and Cancelled jobs can be requeued."
        speaker.hold()
        await submitted(client)
        assert said in refusal(await client.post("/jobs/1/requeue"), 409)["message"]
        async with queue.dispatching():
            await speaker.started.wait()
            assert said in refusal(await client.post("/jobs/1/requeue"), 409)["message"]
            speaker.let_go()
            await queue.ended(1)
        status = refusal(await client.post("/jobs/1/requeue"), 409)
        assert status["message"] == f"Job 1 is Completed; {said}"

    async def test_a_job_whose_files_are_gone_cannot_be(
        self, client: httpx.AsyncClient, queue: LocalQueue, artifacts: LocalArtifactStore
    ) -> None:
        await client.post("/api/QueueSpeechToText", files={"audio": ("a.wav", b"hello")})
        await client.delete("/jobs/1")
        (each,) = (await queue.jobs.get(1, "0")).inputs
        artifacts.delete(each.key)
        status = refusal(await client.post("/jobs/1/requeue"), 409)
        assert status["message"] == "The files of job 1 are not kept any more. Send the request again."
        assert (await shown(client, 1))["state"] == "Cancelled"


class TestDetails:
    @pytest.mark.usefixtures("no_pause")
    async def test_the_history_tells_every_failed_attempt(
        self, client: httpx.AsyncClient, queue: LocalQueue, speaker: HeldBackend
    ) -> None:
        speaker.errors = [ReplicaLost("The replica died."), ReplicaLost("And again.")]
        await submitted(client)
        async with queue.dispatching():
            await queue.ended(1)
        job = await shown(client, 1)
        assert (job["state"], job["attempts"]) == ("Completed", 3)
        seen: list[dict[str, Any]] = job["history"]
        assert [(each["attempt"], each["errorCode"], each["message"]) for each in seen] == [
            (1, "ServiceUnavailable", "The replica died."),
            (2, "ServiceUnavailable", "And again."),
        ]
        assert all(each["startedDate"] <= each["endedDate"] for each in seen)
        assert job["deliveries"] == []

    async def test_the_place_in_the_queue_and_the_time_that_is_left(
        self, client: httpx.AsyncClient, queue: LocalQueue, speaker: HeldBackend
    ) -> None:
        await submitted(client)
        assert "estimatedSecondsLeft" not in await shown(client, 1)  # nothing was measured yet
        async with queue.dispatching():
            await queue.ended(1)
        assert not {"queuePosition", "estimatedSecondsLeft"} & set(await shown(client, 1))
        for _ in range(3):
            await submitted(client)
        await submitted(client, priority=1)
        places = [(await shown(client, job_id))["queuePosition"] for job_id in (2, 3, 4, 5)]
        assert places == [1, 2, 3, 0]
        assert (await shown(client, 4))["estimatedSecondsLeft"] >= 0

    async def test_a_running_job_tells_how_far_it_is(
        self, client: httpx.AsyncClient, queue: LocalQueue, speaker: HeldBackend
    ) -> None:
        speaker.hold()
        await submitted(client)
        async with queue.dispatching():
            await speaker.started.wait()
            await queue.progressed(1, 0.25, "Sentence 1 of 4")
            job = await shown(client, 1)
            speaker.let_go()
            await queue.ended(1)
        assert (job["state"], job["progress"], job["step"]) == ("Started", 0.25, "Sentence 1 of 4")
        assert job["estimatedSecondsLeft"] >= 0
        assert "queuePosition" not in job
