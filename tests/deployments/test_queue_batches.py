"""POST /api/QueueX[] and /api/X[]: an array in, an array out."""

from typing import Any

import httpx
import pytest

from deployments.routers.aiserver import operations
from tests.deployments.conftest import refusal
from tests.deployments.fakes import HeldBackend
from tests.deployments.queue import LocalQueue, submitted

QUEUED = "/api/QueueTextToSpeech[]"
SYNC = "/api/TextToSpeech[]"
KEY = {"Idempotency-Key": "key"}


async def jobs_of(client: httpx.AsyncClient) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await client.get("/jobs")).json()["jobs"]
    return found


class TestQueued:
    @pytest.mark.parametrize("path", [QUEUED, "/api/QueueTextToSpeech%5B%5D"])
    async def test_the_answers_are_in_the_order_of_the_requests(
        self, client: httpx.AsyncClient, queue: LocalQueue, path: str
    ) -> None:
        requests = [{"text": str(number), "refId": f"ref-{number}"} for number in range(20)]
        tickets = (await client.post(path, json=requests)).json()
        assert [ticket["refId"] for ticket in tickets] == [request["refId"] for request in requests]
        assert [ticket["jobId"] for ticket in tickets] == list(range(1, 21))
        for ticket, request in zip(tickets, requests, strict=True):
            assert f'"text":"{request["text"]}"' in (await queue.jobs.get(ticket["jobId"], "0")).request

    async def test_all_of_them_run(self, client: httpx.AsyncClient, queue: LocalQueue) -> None:
        await client.post(QUEUED, json=[{"text": "one"}, {"input": "two", "model": "second-tone"}])
        async with queue.dispatching():
            assert [(await queue.ended(job_id)).state for job_id in (1, 2)] == ["Completed", "Completed"]

    @pytest.mark.parametrize(
        "bad", [{"text": ""}, {"text": "a", "priority": 9}, {"text": "a", "replyTo": "http://10.0.0.1"}]
    )
    async def test_one_that_is_wrong_keeps_all_of_them_out(
        self, client: httpx.AsyncClient, bad: dict[str, Any]
    ) -> None:
        refusal(await client.post(QUEUED, json=[{"text": "one"}, bad, {"text": "three"}]))
        assert await jobs_of(client) == []

    async def test_a_ref_id_of_another_request_keeps_all_of_them_out(self, client: httpx.AsyncClient) -> None:
        await submitted(client, "one", refId="mine")
        requests = [{"text": "new"}, {"text": "two", "refId": "mine"}]
        refusal(await client.post(QUEUED, json=requests), 409)
        assert len(await jobs_of(client)) == 1

    async def test_what_was_queued_before_is_not_queued_again(self, client: httpx.AsyncClient) -> None:
        await submitted(client, "one", refId="a")
        requests = [{"text": "two", "refId": "b"}, {"text": "one", "refId": "a"}]
        for _ in range(2):
            tickets = (await client.post(QUEUED, json=requests)).json()
            assert [ticket["jobId"] for ticket in tickets] == [2, 1]

    async def test_a_ref_id_twice_in_a_batch(self, client: httpx.AsyncClient) -> None:
        same = {"text": "one", "refId": "a"}
        tickets = (await client.post(QUEUED, json=[same, same])).json()
        assert [ticket["jobId"] for ticket in tickets] == [1, 1]
        refusal(
            await client.post(QUEUED, json=[{"text": "b", "refId": "b"}, {"text": "c", "refId": "b"}]), 409
        )
        assert len(await jobs_of(client)) == 1

    async def test_an_idempotency_key_stands_for_the_whole_batch(self, client: httpx.AsyncClient) -> None:
        batch = [{"text": "one"}, {"text": "two"}]
        first = (await client.post(QUEUED, json=batch, headers=KEY)).json()
        assert [ticket["jobId"] for ticket in first] == [1, 2]
        assert (await client.post(QUEUED, json=batch, headers=KEY)).json() == first
        changed = await client.post(QUEUED, json=[{"text": "one"}, {"text": "three"}], headers=KEY)
        assert refusal(changed, 409)["errors"][0]["fieldName"] == "IdempotencyKey"

    async def test_headers_are_for_every_job(self, client: httpx.AsyncClient) -> None:
        await client.post(QUEUED, json=[{"text": "one"}, {"text": "two", "tag": "b"}], headers={"Tag": "a"})
        assert [job["tag"] for job in await jobs_of(client)] == ["b", "a"]

    async def test_an_empty_batch(self, client: httpx.AsyncClient) -> None:
        answer = await client.post(QUEUED, json=[])
        assert (answer.status_code, answer.json()) == (200, [])

    @pytest.mark.parametrize(
        ("body", "said"),
        [
            ({"text": "one"}, "must be a JSON array"),
            ("text", "must be a JSON array"),
            ([{"text": "one"}, "two"], "must be a JSON array"),
            ([{}] * 1_001, "at most 1000"),
        ],
    )
    async def test_what_is_no_batch(self, client: httpx.AsyncClient, body: Any, said: str) -> None:
        assert said in refusal(await client.post(QUEUED, json=body))["message"]
        assert await jobs_of(client) == []

    async def test_the_largest_batch(
        self, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(operations, "MAX_QUEUED_BATCH", 30)
        answer = await client.post(QUEUED, json=[{"text": "a"}] * 30)
        assert len(answer.json()) == 30
        assert "at most 30" in refusal(await client.post(QUEUED, json=[{"text": "a"}] * 31))["message"]

    async def test_operations_with_files_have_none(self, client: httpx.AsyncClient) -> None:
        assert refusal(await client.post("/api/QueueScaleImage[]", json=[{}]), 404)["errorCode"] == "NotFound"


class TestSynchronous:
    async def test_the_answers_are_in_the_order_of_the_requests(self, client: httpx.AsyncClient) -> None:
        requests = [{"input": "a " * count} for count in (3, 1, 2)]
        answers = (await client.post(SYNC, json=requests)).json()
        alone = [(await client.post("/api/TextToSpeech", json=request)).json() for request in requests]
        assert [answer["results"] for answer in answers] == [answer["results"] for answer in alone]
        assert await jobs_of(client) == []

    async def test_an_idempotency_key_stands_for_the_whole_batch(
        self, client: httpx.AsyncClient, queue: LocalQueue, speaker: HeldBackend
    ) -> None:
        batch = [{"input": "one"}, {"input": "two words"}]
        async with queue.dispatching():
            first = await client.post(SYNC, json=batch, headers=KEY)
            again = await client.post(SYNC, json=batch, headers=KEY)
        assert first.status_code == again.status_code == 200, first.text
        assert [each["results"] for each in first.json()] == [each["results"] for each in again.json()]
        assert len(speaker.runs) == 2

    async def test_a_batch_is_answered_whole_whatever_its_client_prefers(
        self, client: httpx.AsyncClient
    ) -> None:
        """One job could not stand for the whole batch; `QueueX[]` gives a job for each request."""
        for preference in ("respond-async", "wait=0"):
            answer = await client.post(
                SYNC, json=[{"input": "one"}, {"input": "two"}], headers={"Prefer": preference}
            )
            assert answer.status_code == 200
            assert [len(each["results"]) for each in answer.json()] == [1, 1]
        assert await jobs_of(client) == []
