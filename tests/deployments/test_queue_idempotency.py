"""`Idempotency-Key`: a request that is sent again is done once, queued or not."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from pipelines.errors import EngineError
from tests.deployments.conftest import refusal, stored_files
from tests.deployments.fakes import HeldBackend
from tests.deployments.queue import LocalQueue

KEYED = {"Idempotency-Key": "key"}
QUEUED = "/api/QueueTextToSpeech"
SYNC = "/api/TextToSpeech"
TRANSCRIBE = "/v1/audio/transcriptions"


async def speak(client: httpx.AsyncClient, path: str, text: str = "one", **fields: Any) -> httpx.Response:
    return await client.post(path, json={"input": text, **fields}, headers=KEYED)


async def hear(client: httpx.AsyncClient, content: bytes, path: str = TRANSCRIBE) -> httpx.Response:
    return await client.post(
        path, files={"file": ("a.wav", content), "audio": ("a.wav", content)}, headers=KEYED
    )


class TestOnQueuedOperations:
    async def test_the_same_request_is_the_same_job(self, client: httpx.AsyncClient) -> None:
        first = (await speak(client, QUEUED)).json()
        assert (await speak(client, QUEUED)).json() == first
        assert len((await client.get("/jobs")).json()["jobs"]) == 1

    async def test_another_request_is_refused(self, client: httpx.AsyncClient) -> None:
        await speak(client, QUEUED)
        answer = await speak(client, QUEUED, "two")
        status = refusal(answer, 409)
        assert status["errorCode"] == "Conflict"
        assert status["message"].startswith("The Idempotency-Key belongs to job 1")
        assert answer.headers["x-should-retry"] == "false"

    async def test_every_api_key_has_its_own(
        self, client: httpx.AsyncClient, other: httpx.AsyncClient
    ) -> None:
        assert (await speak(client, QUEUED)).json()["jobId"] == 1
        assert (await speak(other, QUEUED, "two")).json()["jobId"] == 2

    async def test_ten_at_the_same_moment_are_one_job(self, client: httpx.AsyncClient) -> None:
        answers = await asyncio.gather(*(speak(client, QUEUED) for _ in range(10)))
        assert {answer.json()["jobId"] for answer in answers} == {1}

    async def test_the_synchronous_operation_finds_the_queued_job(
        self, client: httpx.AsyncClient, queue: LocalQueue, speaker: HeldBackend
    ) -> None:
        await speak(client, QUEUED)
        async with queue.dispatching():
            assert (await speak(client, SYNC)).status_code == 200
        assert len(speaker.runs) == 1


class TestOnSynchronousOperations:
    async def test_the_answer_is_repeated(
        self, client: httpx.AsyncClient, queue: LocalQueue, speaker: HeldBackend
    ) -> None:
        async with queue.dispatching():
            first = await speak(client, SYNC)
            again = await speak(client, SYNC)
        assert first.json()["results"] == again.json()["results"]
        assert len(speaker.runs) == 1

    async def test_two_at_the_same_moment_share_one_run(
        self, client: httpx.AsyncClient, queue: LocalQueue, speaker: HeldBackend
    ) -> None:
        speaker.hold()
        async with queue.dispatching():
            calls = [asyncio.create_task(speak(client, SYNC)) for _ in range(2)]
            await speaker.started.wait()
            speaker.let_go()
            first, second = [(await call).json()["results"] for call in calls]
        assert first == second
        assert len(speaker.runs) == 1

    async def test_another_request_is_refused(self, client: httpx.AsyncClient, queue: LocalQueue) -> None:
        async with queue.dispatching():
            await speak(client, SYNC)
            assert refusal(await speak(client, SYNC, "two"), 409)["errorCode"] == "Conflict"

    async def test_a_fault_is_repeated_with_its_own_status(
        self, client: httpx.AsyncClient, queue: LocalQueue, speaker: HeldBackend
    ) -> None:
        async with queue.dispatching():
            for _ in range(2):
                status = refusal(await speak(client, SYNC, "unspeakable"), 400)
                assert status["errorCode"] == "ArgumentException"
                assert "cannot be spoken" in status["message"]
        assert len(speaker.runs) == 1

    async def test_an_engines_fault_is_repeated_too(
        self, client: httpx.AsyncClient, queue: LocalQueue, speaker: HeldBackend
    ) -> None:
        speaker.errors = [EngineError("The engine gave up.")]
        async with queue.dispatching():
            for _ in range(2):
                assert refusal(await speak(client, SYNC), 500)["errorCode"] == "EngineError"
        assert len(speaker.runs) == 1

    async def test_of_a_cancelled_job(
        self, client: httpx.AsyncClient, queue: LocalQueue, speaker: HeldBackend
    ) -> None:
        speaker.hold()
        async with queue.dispatching():
            call = asyncio.create_task(speak(client, SYNC))
            await speaker.started.wait()
            await client.delete("/jobs/1")
            answer = await call
        assert refusal(answer, 409)["message"] == "Job 1 was cancelled."
        assert answer.headers["x-should-retry"] == "false"

    async def test_a_client_that_leaves_finds_the_answer_when_it_comes_back(
        self, client: httpx.AsyncClient, queue: LocalQueue, speaker: HeldBackend
    ) -> None:
        speaker.hold()
        async with queue.dispatching():
            call = asyncio.create_task(speak(client, SYNC))
            await speaker.started.wait()
            call.cancel()
            await asyncio.wait([call])
            speaker.let_go()
            assert (await speak(client, SYNC)).status_code == 200
        assert (len(speaker.runs), speaker.stopped.is_set()) == (1, False)

    async def test_that_would_rather_take_a_job(self, client: httpx.AsyncClient, queue: LocalQueue) -> None:
        headers = {**KEYED, "Prefer": "respond-async"}
        answers = [await client.post(SYNC, json={"input": "one"}, headers=headers) for _ in range(2)]
        assert [(answer.status_code, answer.json()["jobId"]) for answer in answers] == [(202, 1), (202, 1)]
        async with queue.dispatching():
            await queue.ended(1)
        done = await client.post(SYNC, json={"input": "one"}, headers=headers)
        assert (done.status_code, len(done.json()["results"])) == (200, 1)


class TestOnOpenAisRoutes:
    async def test_a_transcription_is_repeated(
        self, client: httpx.AsyncClient, queue: LocalQueue, tmp_path: Path
    ) -> None:
        async with queue.dispatching():
            answers = [await hear(client, b"hello") for _ in range(2)]
            other = await hear(client, b"goodbye")
        assert [answer.json()["text"] for answer in answers] == ["hello", "hello"]
        assert other.status_code == 409
        assert other.json()["error"]["code"] == "conflict"
        assert other.headers["x-should-retry"] == "false"
        kept = {each.key for each in (await queue.jobs.get(1, "0")).inputs}
        assert set(stored_files(tmp_path)) == kept

    async def test_a_fault_has_openais_shape(self, client: httpx.AsyncClient, queue: LocalQueue) -> None:
        async with queue.dispatching():
            answer = await hear(client, b"")
        assert answer.status_code == 400
        assert answer.json()["error"]["type"] == "invalid_request_error"
        assert "The file is empty" in answer.json()["error"]["message"]


@pytest.mark.parametrize("blank", ["", "  "])
async def test_a_blank_key_is_none(client: httpx.AsyncClient, blank: str) -> None:
    for job_id in (1, 2):
        answer = await client.post(QUEUED, json={"text": "a"}, headers={"Idempotency-Key": blank})
        assert answer.json()["jobId"] == job_id
