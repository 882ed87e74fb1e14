"""What a client says of its job beside the request: its own id, tag, priority, state, who hears of it."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.deployments.conftest import refusal, stored_files
from tests.deployments.fakes import HeldBackend
from tests.deployments.queue import LocalQueue, submitted

ENDPOINT = "/api/QueueTextToSpeech"
FORBIDDEN = (
    "http://10.0.0.1/hook",
    "http://169.254.169.254/latest/meta-data",
    "http://[::1]/",
    "http://0x0a000001/",
    "ftp://example.com/",
    "/relative",
    "not a url",
    "http://user:secret@example.com/",
    "http://",
)
TALK = {"audio": ("talk.wav", b"one", "audio/wav")}


async def hear(client: httpx.AsyncClient, content: bytes, name: str = "a.wav", **fields: str) -> Any:
    return await client.post(
        "/api/QueueSpeechToText", data={"refId": "mine", **fields}, files={"audio": (name, content)}
    )


class TestRefId:
    async def test_the_same_request_again_is_the_same_job(
        self, client: httpx.AsyncClient, queue: LocalQueue, speaker: HeldBackend
    ) -> None:
        body = {"text": "one", "refId": "mine", "tag": "t", "priority": 1, "state": "s"}
        first = (await client.post(ENDPOINT, json=body)).json()
        assert (await client.post(ENDPOINT, json=body)).json() == first
        async with queue.dispatching():
            await queue.ended(first["jobId"])
        again = (await client.post(ENDPOINT, json=body)).json()
        assert again == {**first, "jobState": "Completed", "status": "Completed"}
        assert len(speaker.runs) == 1

    @pytest.mark.parametrize(
        "changed",
        [
            {"text": "two"},
            {"model": "second-tone"},
            {"speed": 2},
            {"tag": "other"},
            {"priority": 1},
            {"state": "other"},
            {"replyTo": "http://127.0.0.1/other"},
        ],
    )
    async def test_another_request_is_refused(
        self, client: httpx.AsyncClient, changed: dict[str, Any]
    ) -> None:
        body = {"text": "one", "refId": "mine"}
        await client.post(ENDPOINT, json=body)
        answer = await client.post(ENDPOINT, json={**body, **changed})
        status = refusal(answer, 409)
        assert status["errorCode"] == "Conflict"
        assert status["errors"][0]["fieldName"] == "RefId"
        assert status["message"].startswith("refId mine belongs to job 1, which asks for something else.")
        assert answer.headers["x-should-retry"] == "false"
        assert len((await client.get("/jobs")).json()["jobs"]) == 1

    async def test_another_operation_is_refused(self, client: httpx.AsyncClient) -> None:
        await submitted(client, "one", refId="mine")
        assert refusal(await hear(client, b"one"), 409)["errorCode"] == "Conflict"

    async def test_the_model_of_a_request_may_be_spelt_differently(self, client: httpx.AsyncClient) -> None:
        for model in ("tone", "alloy", "TONE", "", "text-to-speech"):
            assert await submitted(client, "one", refId="mine", model=model) == 1

    async def test_of_an_upload_the_content_counts_not_its_name(
        self, client: httpx.AsyncClient, queue: LocalQueue, tmp_path: Path
    ) -> None:
        assert (await hear(client, b"one", "a.wav")).json()["jobId"] == 1
        assert (await hear(client, b"one", "b.mp3")).json()["jobId"] == 1
        refused = refusal(await hear(client, b"two", "a.wav"), 409)
        assert refused["errors"][0]["fieldName"] == "RefId"
        assert stored_files(tmp_path) == [each.key for each in (await queue.jobs.get(1, "0")).inputs]

    async def test_of_two_uploads_it_counts_which_is_which(self, client: httpx.AsyncClient) -> None:
        first, second = ("a.png", b"1"), ("b.png", b"2")

        async def stamp(image: Any, watermark: Any) -> int:
            files = {"image": image, "watermark": watermark}
            answer = await client.post("/api/QueueWatermarkImage", data={"refId": "mine"}, files=files)
            return answer.status_code

        assert [await stamp(first, second), await stamp(second, first), await stamp(first, second)] == [
            200,
            409,
            200,
        ]

    async def test_every_key_has_its_own(self, client: httpx.AsyncClient, other: httpx.AsyncClient) -> None:
        assert await submitted(client, "one", refId="mine") == 1
        assert await submitted(other, "two", refId="mine") == 2
        for each, job_id in ((client, 1), (other, 2)):
            assert (await each.get("/api/GetJobStatus?refId=mine")).json()["jobId"] == job_id

    async def test_a_number_is_an_id_too(self, client: httpx.AsyncClient) -> None:
        answer = await client.post(ENDPOINT, json={"text": "one", "refId": 42})
        assert answer.json()["refId"] == "42"

    async def test_without_one_the_same_request_is_another_job(self, client: httpx.AsyncClient) -> None:
        assert [await submitted(client, "one"), await submitted(client, "one")] == [1, 2]


class TestFields:
    async def test_a_job_keeps_them(self, client: httpx.AsyncClient) -> None:
        wish: dict[str, Any] = {
            "tag": "group ü",
            "state": '{"a": 1}\n',
            "priority": 2,
            "replyTo": "http://127.0.0.1:9/x?id=1",
        }
        job_id = await submitted(client, **wish)
        shown = (await client.get(f"/jobs/{job_id}")).json()
        kept = {"tag", "clientState", "priority", "replyTo"}
        assert {name: shown[name] for name in kept} == {
            "tag": "group ü",
            "clientState": '{"a": 1}\n',
            "priority": 2,
            "replyTo": "http://127.0.0.1:9/x?id=1",
        }

    @pytest.mark.parametrize("priority", [-1, 0, 1, 2, "1"])
    async def test_priorities(self, client: httpx.AsyncClient, priority: Any) -> None:
        job_id = await submitted(client, priority=priority)
        assert (await client.get(f"/jobs/{job_id}")).json()["priority"] == int(priority)

    @pytest.mark.parametrize(
        ("field", "value", "code"),
        [
            ("priority", -2, "GreaterThanOrEqual"),
            ("priority", 3, "LessThanOrEqual"),
            ("priority", "high", "ArgumentException"),
            ("priority", 1.5, "ArgumentException"),
            ("refId", "x" * 256, "MaximumLength"),
            ("tag", "x" * 256, "MaximumLength"),
            ("state", "x" * 10_001, "MaximumLength"),
            ("replyTo", "http://a.example/" + "x" * 2_000, "MaximumLength"),
            ("refId", {"a": 1}, "ArgumentException"),
            ("tag", ["a", "b"], "ArgumentException"),
            ("refId", "a\0b", "ArgumentException"),
            ("tag", "\0", "ArgumentException"),
            ("state", "a\0b", "ArgumentException"),
        ],
    )
    async def test_out_of_bounds(self, client: httpx.AsyncClient, field: str, value: Any, code: str) -> None:
        body = {"text": "one", field: value}
        for path in (ENDPOINT, "/api/TextToSpeech", "/api/QueueTextToSpeech[]"):
            sent: Any = [body] if path.endswith("[]") else body
            status = refusal(await client.post(path, json=sent))
            assert status["errorCode"] == code
            assert status["errors"][0]["fieldName"] == field[:1].upper() + field[1:]
        assert (await client.get("/jobs")).json() == {"jobs": []}

    async def test_higher_priorities_run_first(
        self, client: httpx.AsyncClient, queue: LocalQueue, speaker: HeldBackend
    ) -> None:
        for priority in (-1, 0, 2, 1):
            await submitted(client, priority=priority)
        async with queue.dispatching():
            await queue.ended(1)
        assert [int(info.priority) for info in speaker.runs] == [2, 1, 0, -1]
        assert [info.job.id for info in speaker.runs if info.job] == [3, 4, 2, 1]


class TestReplyTo:
    @pytest.mark.parametrize("path", [ENDPOINT, "/api/TextToSpeech", "/v1/audio/speech"])
    async def test_an_address_that_the_server_must_not_contact(
        self, client: httpx.AsyncClient, path: str
    ) -> None:
        """Whichever way the address comes, and whether or not a job was asked for."""
        for url in FORBIDDEN:
            ways: list[dict[str, Any]] = [{"json": {"input": "a"}, "headers": {"ReplyTo": url}}]
            if path.startswith("/api"):
                ways.append({"json": {"input": "a", "replyTo": url}})
            for way in ways:
                answer = await client.post(path, **way)
                assert answer.status_code == 400, (way, answer.text)
                assert "secret" not in answer.text
                if path.startswith("/api"):
                    status = refusal(answer)
                    assert status["errorCode"] == "ForbiddenAddress"
                    assert status["errors"][0]["fieldName"] == "ReplyTo"
        assert (await client.get("/jobs")).json() == {"jobs": []}


class TestHeaders:
    async def test_they_stand_for_fields(self, client: httpx.AsyncClient, queue: LocalQueue) -> None:
        headers = {"Tag": "group", "ReplyTo": "http://127.0.0.1:9/x"}
        await client.post("/api/QueueSpeechToText", files=TALK, headers=headers)
        job = await queue.jobs.get(1, "0")
        assert (job.tag, job.reply_to) == ("group", "http://127.0.0.1:9/x")

    async def test_the_body_wins(self, client: httpx.AsyncClient, queue: LocalQueue) -> None:
        headers = {"Tag": "group", "ReplyTo": "http://127.0.0.1:9/x"}
        body = {"text": "one", "tag": "mine", "replyTo": "http://127.0.0.1:9/y"}
        await client.post(ENDPOINT, json=body, headers=headers)
        job = await queue.jobs.get(1, "0")
        assert (job.tag, job.reply_to) == ("mine", "http://127.0.0.1:9/y")

    @pytest.mark.parametrize(("name", "length"), [("Tag", 256), ("ReplyTo", 2_001), ("Idempotency-Key", 251)])
    async def test_that_are_too_long(self, client: httpx.AsyncClient, name: str, length: int) -> None:
        answer = await client.post(ENDPOINT, json={"text": "one"}, headers={name: "x" * length})
        assert f"The header {name} may have at most {length - 1} characters" in refusal(answer)["message"]
