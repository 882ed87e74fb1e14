"""How a job is, as the clients of both generations of AI Server ask for it."""

from typing import Any

import httpx
import pytest

from deployments.services import Services
from pipelines.errors import EngineError, InvalidInput
from tests.deployments.conftest import refusal
from tests.deployments.fakes import HeldBackend
from tests.deployments.queue import LocalQueue, submitted

TYPED = ("GetArtifactGenerationStatus", "GetTextGenerationStatus")
PLAIN = ("GetJobStatus", "GetOpenAiChatStatus")
ALL = (*TYPED, *PLAIN)
VERBS = ("GET", "POST", "PUT", "PATCH", "DELETE")


async def run(queue: LocalQueue, job_id: int) -> None:
    async with queue.dispatching():
        await queue.ended(job_id)


class TestOfACompletedJob:
    @pytest.mark.parametrize("name", ALL)
    async def test_files_are_under_the_names_of_both_generations(
        self, client: httpx.AsyncClient, queue: LocalQueue, name: str
    ) -> None:
        await run(queue, await submitted(client, refId="mine"))
        body = (await client.get(f"/api/{name}?jobId=1")).json()
        assert body.pop("duration").startswith("PT0")
        (result,) = body["results"]
        assert result["url"] == f"http://server.test/artifacts/{result['url'].partition('/artifacts/')[2]}"
        assert result["url"].endswith(result["fileName"])
        assert result["provider"] == "ai-server"
        assert body == {
            "jobId": 1,
            "refId": "mine",
            "jobState": "Completed",
            "status": "Completed",
            "results": [result],
            "outputs": [result],
        }

    @pytest.mark.parametrize("name", ALL)
    async def test_texts_are_under_the_names_of_both_generations(
        self, client: httpx.AsyncClient, queue: LocalQueue, name: str
    ) -> None:
        await client.post("/api/QueueSpeechToText", files={"audio": ("a.wav", b"hello")})
        await run(queue, 1)
        body = (await client.get(f"/api/{name}?jobId=1")).json()
        assert [item["text"] for item in body["results"]] == [
            "hello",
            '[{"text": "hello", "start": 0, "end": 2}]',
        ]
        assert body["textOutputs"] == body["results"]
        assert "outputs" not in body

    @pytest.mark.parametrize("name", ALL)
    async def test_all_pictures_of_a_batch_and_what_is_to_be_said_of_them(
        self, client: httpx.AsyncClient, queue: LocalQueue, name: str
    ) -> None:
        fields = {"positivePrompt": "A lighthouse", "batchSize": 2, "seed": 5, "scheduler": "euler"}
        await client.post("/api/QueueTextToImage", json=fields)
        await run(queue, 1)
        body = (await client.get(f"/api/{name}?jobId=1")).json()
        assert [(item["seed"], item["width"]) for item in body["results"]] == [(5, 64), (6, 64)]
        assert body["outputs"] == body["results"]
        assert body["notes"] == ["There is no scheduler euler."]
        shown = (await client.get("/jobs/1")).json()
        assert (shown["results"], shown["notes"]) == (body["results"], body["notes"])

    async def test_the_status_does_not_stay_at_the_last_step_of_the_run(
        self, client: httpx.AsyncClient, queue: LocalQueue, speaker: HeldBackend
    ) -> None:
        speaker.hold()
        job_id = await submitted(client)
        async with queue.dispatching():
            await speaker.started.wait()
            await queue.progressed(job_id, 0.5, "Sentence 1 of 2")
            under_way = (await client.get("/api/GetJobStatus?jobId=1")).json()
            assert (under_way["jobState"], under_way["status"]) == ("Started", "Sentence 1 of 2")
            speaker.let_go()
            await queue.ended(job_id)
        done = (await client.get("/api/GetJobStatus?jobId=1")).json()
        assert (done["jobState"], done["status"]) == ("Completed", "Completed")


class TestWhichJob:
    @pytest.mark.parametrize("name", ALL)
    async def test_by_either_id_under_any_verb(self, client: httpx.AsyncClient, name: str) -> None:
        await submitted(client, refId="mine")
        for verb in VERBS:
            for params in ({"jobId": "1"}, {"refId": "mine"}):
                answer = await client.request(verb, f"/api/{name}", params=params)
                assert (answer.json()["jobId"], answer.json()["refId"]) == (1, "mine")

    @pytest.mark.parametrize("way", ["params", "json", "data"])
    async def test_in_any_spelling_and_any_way(self, client: httpx.AsyncClient, way: str) -> None:
        """The `statusUrl` of AI Server itself says `RefId`."""
        await submitted(client, refId="mine")
        for field in ("jobId", "JobId", "jobid", "job_id", "refId", "RefId", "refid", "REF_ID"):
            sent: dict[str, Any] = {way: {field: "mine" if field.lower().startswith("r") else 1}}
            answer = await client.post("/api/GetJobStatus", **sent)
            assert answer.status_code == 200, (field, answer.text)
            assert answer.json()["jobId"] == 1

    async def test_the_ref_id_wins(self, client: httpx.AsyncClient) -> None:
        await submitted(client, refId="mine")
        await submitted(client, refId="second")
        for job_id in ("2", "0", "999", ""):
            params = {"jobId": job_id, "refId": "mine"}
            answer = await client.get("/api/GetOpenAiChatStatus", params=params)
            assert answer.json()["jobId"] == 1

    @pytest.mark.parametrize("name", ALL)
    async def test_that_there_is_not(self, client: httpx.AsyncClient, name: str) -> None:
        await submitted(client)
        for job_id in (2, 0, -1, 2**63, 10**30):
            status = refusal(await client.get(f"/api/{name}?jobId={job_id}"), 404)
            assert status == {"errorCode": "NotFound", "message": "Job not found"}
        assert refusal(await client.get(f"/api/{name}?refId=nobodys"), 404) == status

    @pytest.mark.parametrize("name", ALL)
    async def test_of_another_key(
        self, client: httpx.AsyncClient, other: httpx.AsyncClient, name: str
    ) -> None:
        await submitted(client, refId="mine")
        for query in ("jobId=1", "refId=mine"):
            assert refusal(await other.get(f"/api/{name}?{query}"), 404)["message"] == "Job not found"

    @pytest.mark.parametrize("name", ALL)
    async def test_of_an_id_that_is_none(self, client: httpx.AsyncClient, name: str) -> None:
        for params in ({"jobId": "one"}, {"jobId": "1.5"}, {"jobId": "9" * 5000}):
            status = refusal(await client.get(f"/api/{name}", params=params))
            assert status["errors"][0]["fieldName"] == "JobId"
        status = refusal(await client.get(f"/api/{name}", params={"refId": "a\0b"}))
        assert status["errors"][0]["fieldName"] == "RefId"

    @pytest.mark.parametrize("name", ALL)
    async def test_without_an_id(self, client: httpx.AsyncClient, name: str) -> None:
        for query in ("", "jobId=", "refId=", "id=1"):
            status = refusal(await client.get(f"/api/{name}?{query}"))
            assert status["errorCode"] == "NotEmpty"
            assert status["errors"][0]["fieldName"] == "JobId"
            assert "Send jobId or refId" in status["message"]

    @pytest.mark.parametrize("name", ALL)
    async def test_without_a_key(self, stranger: httpx.AsyncClient, name: str) -> None:
        assert refusal(await stranger.get(f"/api/{name}?jobId=1"), 401)["errorCode"] == "Unauthorized"


class TestOfAJobThatHasNoResult:
    async def test_that_failed(
        self, client: httpx.AsyncClient, queue: LocalQueue, speaker: HeldBackend
    ) -> None:
        speaker.errors = [InvalidInput("'speaker' 9 is not one of this voice. Use 0.", "speaker")]
        await run(queue, await submitted(client, refId="mine"))
        expected = {
            "jobId": 1,
            "refId": "mine",
            "jobState": "Failed",
            "status": "Failed",
            "responseStatus": {
                "errorCode": "ArgumentException",
                "message": "Job failed: 'speaker' 9 is not one of this voice. Use 0.",
                "errors": [
                    {
                        "errorCode": "ArgumentException",
                        "fieldName": "Speaker",
                        "message": "'speaker' 9 is not one of this voice. Use 0.",
                    }
                ],
            },
        }
        for name in ALL:
            answer = await client.get(f"/api/{name}?jobId=1")
            assert answer.status_code == (500 if name in TYPED else 200)
            assert answer.json() == expected

    async def test_that_failed_by_an_engine(
        self, client: httpx.AsyncClient, queue: LocalQueue, speaker: HeldBackend
    ) -> None:
        speaker.errors = [EngineError("The engine gave up.")]
        await run(queue, await submitted(client))
        status = refusal(await client.get("/api/GetArtifactGenerationStatus?jobId=1"), 500)
        assert status == {"errorCode": "EngineError", "message": "Job failed: The engine gave up."}

    @pytest.mark.parametrize("name", ALL)
    async def test_that_was_cancelled(self, client: httpx.AsyncClient, services: Services, name: str) -> None:
        await submitted(client)
        await services.jobs.cancel(1, "0")
        answer = await client.get(f"/api/{name}?jobId=1")
        assert answer.status_code == 200
        assert (answer.json()["jobState"], answer.json()["status"]) == ("Cancelled", "Cancelled")
        assert answer.json()["responseStatus"] == {
            "errorCode": "OperationCanceledException",
            "message": "Job was cancelled",
        }
        assert "results" not in answer.json()

    @pytest.mark.parametrize("name", ALL)
    async def test_that_runs(
        self, client: httpx.AsyncClient, queue: LocalQueue, speaker: HeldBackend, name: str
    ) -> None:
        speaker.hold()
        await submitted(client)
        async with queue.dispatching():
            await speaker.started.wait()
            body = (await client.get(f"/api/{name}?jobId=1")).json()
            speaker.let_go()
            await queue.ended(1)
        assert (body["jobState"], body["status"]) == ("Started", "Started")
        assert not {"results", "outputs", "responseStatus"} & set(body)
