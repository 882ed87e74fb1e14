"""A job store that is away and a full disk, as clients see them: try again soon, and nothing was done."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from cluster.artifacts.local import LocalArtifactStore
from cluster.artifacts.store import StoreFull
from cluster.jobs.errors import StoreUnavailable
from cluster.key_store import KeyStore
from tests.deployments.conftest import client_of, refusal
from tests.deployments.queue import LocalQueue

TALK = {"file": ("talk.wav", b"one", "audio/wav")}
ONE: dict[str, Any] = {"json": {"input": "one"}}
AWAY = "The job store cannot be used at the moment. Try again soon."

Leave = Callable[[], None]


@pytest.fixture
def leave(queue: LocalQueue, monkeypatch: pytest.MonkeyPatch) -> Leave:
    """Let the job store go away."""

    async def away(*_: object) -> Any:
        raise StoreUnavailable(AWAY)

    return lambda: monkeypatch.setattr(queue.database, "run", away)


class TestWithoutTheJobStore:
    @pytest.mark.parametrize(
        ("verb", "path", "sent"),
        [
            ("POST", "/api/QueueTextToSpeech", ONE),
            ("POST", "/api/QueueTextToSpeech[]", {"json": [{"input": "one"}]}),
            ("POST", "/api/QueueSpeechToText", {"files": {"audio": TALK["file"]}}),
            ("POST", "/api/TextToSpeech", {**ONE, "headers": {"Prefer": "respond-async"}}),
            ("POST", "/api/TextToSpeech", {**ONE, "headers": {"Idempotency-Key": "key"}}),
            ("GET", "/api/GetJobStatus?jobId=1", {}),
            ("GET", "/api/GetArtifactGenerationStatus?refId=mine", {}),
            ("GET", "/jobs", {}),
            ("GET", "/jobs/1", {}),
            ("DELETE", "/jobs/1", {}),
            ("GET", "/jobs/1/events", {}),
            ("POST", "/jobs/1/requeue", {}),
            ("POST", "/jobs/1/webhook", {}),
            ("GET", "/jobs/webhook-secret", {}),
        ],
    )
    async def test_whatever_needs_it_can_be_tried_again(
        self, client: httpx.AsyncClient, leave: Leave, verb: str, path: str, sent: dict[str, Any]
    ) -> None:
        leave()
        answer = await client.request(verb, path, **sent)
        assert refusal(answer, 503) == {"errorCode": "ServiceUnavailable", "message": AWAY}
        assert int(answer.headers["retry-after"]) > 0
        assert "x-should-retry" not in answer.headers

    @pytest.mark.parametrize("header", [{"Prefer": "respond-async"}, {"Idempotency-Key": "key"}])
    async def test_in_openais_format_too(
        self, client: httpx.AsyncClient, leave: Leave, header: dict[str, str]
    ) -> None:
        leave()
        answer = await client.post("/v1/audio/transcriptions", files=TALK, headers=header)
        assert answer.status_code == 503
        assert answer.json() == {
            "error": {"message": AWAY, "type": "server_error", "param": None, "code": "service_unavailable"}
        }
        assert int(answer.headers["retry-after"]) > 0

    async def test_synchronous_calls_go_on(self, client: httpx.AsyncClient, leave: Leave) -> None:
        leave()
        for path, sent in (
            ("/api/TextToSpeech", ONE),
            ("/api/TextToSpeech[]", {"json": [{"input": "one"}]}),
            ("/v1/audio/speech", ONE),
            ("/v1/audio/transcriptions", {"files": TALK}),
        ):
            assert (await client.post(path, **sent)).status_code == 200
        patient = await client.post("/api/TextToSpeech", headers={"Prefer": "wait=30"}, **ONE)
        assert patient.status_code == 200

    async def test_a_key_that_was_seen_lately_still_opens(
        self, other: httpx.AsyncClient, app: FastAPI, queue: LocalQueue, leave: Leave
    ) -> None:
        assert (await other.post("/api/TextToSpeech", **ONE)).status_code == 200
        _, unseen = KeyStore(queue.database).create("unseen")
        leave()
        assert (await other.post("/api/TextToSpeech", **ONE)).status_code == 200
        async with client_of(app, **{"X-Api-Key": unseen}) as client:
            answer = await client.post("/api/TextToSpeech", **ONE)
        assert refusal(answer, 503)["errorCode"] == "ServiceUnavailable"
        assert "retry-after" in answer.headers


class TestWithAFullDisk:
    @pytest.fixture(autouse=True)
    def _full(self, artifacts: LocalArtifactStore, monkeypatch: pytest.MonkeyPatch) -> None:
        def full() -> None:
            raise StoreFull("The artifact store has no room left.")

        monkeypatch.setattr(artifacts, "check_room", full)

    @pytest.mark.parametrize(
        ("path", "sent"),
        [
            ("/api/QueueTextToSpeech", ONE),
            ("/api/QueueTextToSpeech[]", {"json": [{"input": "one"}] * 2}),
            ("/api/TextToSpeech", {**ONE, "headers": {"Prefer": "respond-async"}}),
        ],
    )
    async def test_nothing_is_accepted(
        self, client: httpx.AsyncClient, path: str, sent: dict[str, Any]
    ) -> None:
        answer = await client.post(path, **sent)
        assert refusal(answer, 503)["errorCode"] == "InsufficientStorage"
        assert int(answer.headers["retry-after"]) > 0
        assert (await client.get("/jobs")).json() == {"jobs": []}

    async def test_in_openais_format_too(self, client: httpx.AsyncClient) -> None:
        answer = await client.post("/v1/audio/speech", headers={"Prefer": "respond-async"}, **ONE)
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "insufficient_storage")
        assert int(answer.headers["retry-after"]) > 0
