"""`Prefer` on synchronous calls, on the routes of both wire formats."""

from dataclasses import replace
from typing import Any

import httpx
import pytest

from configs.schema import ServerConfig, TimeoutsConfig
from deployments.api import create_api
from deployments.preferences import NO_PREFERENCE, Preference
from deployments.services import Services
from tests.deployments.conftest import KEY, LIMITS, client_of, refusal
from tests.deployments.fakes import HeldBackend
from tests.deployments.queue import LocalQueue

API = "/api/TextToSpeech"
TALK = {"file": ("talk.wav", b"one", "audio/wav")}
AT_ONCE = {"Prefer": "respond-async"}
CALLS: tuple[tuple[str, dict[str, Any]], ...] = (
    (API, {"json": {"input": "one"}}),
    ("/api/SpeechToText", {"files": {"audio": TALK["file"]}}),
    ("/v1/audio/speech", {"json": {"input": "one"}}),
    ("/v1/audio/transcriptions", {"files": TALK}),
    ("/v1/audio/transcriptions", {"files": TALK, "data": {"stream": "true"}}),
    ("/v1/audio/translations", {"files": TALK}),
)
any_call = pytest.mark.parametrize(("path", "sent"), CALLS)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (["respond-async"], Preference(respond_async=True)),
        (["Respond-Async"], Preference(respond_async=True)),
        (["wait=10"], Preference(wait_s=10)),
        (['wait = "10"'], Preference(wait_s=10)),
        (["respond-async, wait=10"], Preference(respond_async=True, wait_s=10)),
        (["wait=10", "respond-async"], Preference(respond_async=True, wait_s=10)),
        (["wait=10, wait=20"], Preference(wait_s=10)),
        (["return=minimal, respond-async"], Preference(respond_async=True)),
        (["respond-async; detail=full"], Preference(respond_async=True)),
        (["respond-async=1"], NO_PREFERENCE),
        (["wait=soon"], NO_PREFERENCE),
        (["wait=-1"], NO_PREFERENCE),
        (["wait"], NO_PREFERENCE),
        (["wait=" + "9" * 400], NO_PREFERENCE),
        (["", ",,,", "=", "\u00fc"], NO_PREFERENCE),
        ([], NO_PREFERENCE),
    ],
)
def test_the_header_is_read_as_rfc_7240_says(headers: list[str], expected: Preference) -> None:
    assert Preference.of(headers) == expected


class TestRespondAsync:
    @any_call
    async def test_every_route_gives_a_job(
        self, client: httpx.AsyncClient, queue: LocalQueue, path: str, sent: dict[str, Any]
    ) -> None:
        answer = await client.post(path, headers=AT_ONCE, **sent)
        text = "Artifact" if "peech" in path.removesuffix("/SpeechToText") else "Text"
        assert answer.status_code == 202, answer.text
        assert answer.json() == {
            "jobId": 1,
            "refId": answer.json()["refId"],
            "jobState": "Queued",
            "status": "Queued",
            "statusUrl": f"http://server.test/api/Get{text}GenerationStatus?jobId=1",
        }
        assert answer.headers["location"] == "http://server.test/jobs/1"
        assert answer.headers["preference-applied"] == "respond-async"
        async with queue.dispatching():
            await queue.ended(1)
        assert len((await client.get(answer.json()["statusUrl"])).json()["results"]) >= 1

    async def test_the_fields_of_a_job_count(self, client: httpx.AsyncClient) -> None:
        body = {"input": "one", "refId": "mine", "tag": "t"}
        for _ in range(2):
            answer = await client.post(API, json=body, headers=AT_ONCE)
            assert (answer.status_code, answer.json()["jobId"]) == (202, 1)
        assert (await client.get("/jobs?tag=t")).json()["jobs"][0]["refId"] == "mine"

    async def test_a_queued_operation_answers_as_always(self, client: httpx.AsyncClient) -> None:
        answer = await client.post("/api/QueueTextToSpeech", json={"text": "a"}, headers=AT_ONCE)
        assert answer.status_code == 200

    async def test_what_is_wrong_is_refused(self, client: httpx.AsyncClient) -> None:
        assert refusal(await client.post(API, json={}, headers=AT_ONCE))["errorCode"] == "NotEmpty"


class TestWait:
    @any_call
    async def test_an_answer_in_time_is_the_usual_one(
        self, client: httpx.AsyncClient, path: str, sent: dict[str, Any]
    ) -> None:
        for preference in ("wait=30", "respond-async, wait=30", "wait=30, garbage"):
            answer = await client.post(path, headers={"Prefer": preference}, **sent)
            assert answer.status_code == 200
            assert answer.content == (await client.post(path, **sent)).content or path.startswith("/api")
        assert (await client.get("/jobs")).json() == {"jobs": []}

    async def test_an_answer_that_takes_longer_becomes_a_job_that_runs_once(
        self, client: httpx.AsyncClient, queue: LocalQueue, speaker: HeldBackend, services: Services
    ) -> None:
        speaker.hold()
        async with impatient(services, 0.05) as hasty:
            answer = await hasty.post(API, json={"input": "one"}, headers={"Prefer": "wait=30"})
        assert (answer.status_code, answer.json()["jobState"]) == (202, "Started")
        assert answer.headers["location"] == "http://server.test/jobs/1"
        speaker.let_go()
        job = await queue.ended(1)
        assert (job.state, job.attempts, len(speaker.runs)) == ("Completed", 1, 1)
        (result,) = (await client.get(answer.json()["statusUrl"])).json()["results"]
        assert (await client.get(result["url"])).content.startswith(b"RIFF")

    async def test_not_at_all(self, client: httpx.AsyncClient) -> None:
        answer = await client.post(API, json={"input": "one"}, headers={"Prefer": "wait=0"})
        assert (answer.status_code, answer.json()["jobState"]) == (202, "Queued")


def impatient(services: Services, request_s: float) -> httpx.AsyncClient:
    """Give a client of a server whose synchronous calls may take so long."""
    config = ServerConfig(limits=LIMITS, timeouts=TimeoutsConfig(request_s=request_s))
    return client_of(create_api(replace(services, config=config)), **{"X-Api-Key": KEY})


class TestWithoutAPreference:
    async def test_the_limit_of_a_call_names_the_job_in_ai_servers_format(
        self, services: Services, queue: LocalQueue, speaker: HeldBackend
    ) -> None:
        speaker.hold()
        async with impatient(services, 0.05) as client:
            answer = await client.post(API, json={"input": "one", "refId": "mine"})
        assert answer.status_code == 504
        body = answer.json()
        status = body.pop("responseStatus")
        url = "http://server.test/api/GetArtifactGenerationStatus?jobId=1"
        assert body == {
            "jobId": 1,
            "refId": "mine",
            "jobState": "Started",
            "status": "Started",
            "statusUrl": url,
        }
        assert status["errorCode"] == "TimeoutException"
        assert status["message"].endswith(f"It goes on as job 1: its result will be at {url}")
        assert answer.headers["location"] == "http://server.test/jobs/1"
        assert answer.headers["x-should-retry"] == "false"
        assert "preference-applied" not in answer.headers
        speaker.let_go()
        assert (await queue.ended(1)).state == "Completed"

    async def test_the_limit_of_a_call_names_the_job_in_openais_format(
        self, services: Services, monkeypatch: pytest.MonkeyPatch, queue: LocalQueue
    ) -> None:
        backend = HeldBackend(services.gateway.resolve("speech-to-text").backend)
        backend.hold()
        route = services.gateway.resolve("speech-to-text")
        monkeypatch.setattr(services.gateway, "routes", (replace(route, backend=backend),))
        async with impatient(services, 0.05) as client:
            answer = await client.post("/v1/audio/transcriptions", files=TALK)
        body = answer.json()
        error = body.pop("error")
        assert (answer.status_code, error["type"], error["code"]) == (504, "timeout_error", "timeout")
        assert "It goes on as job 1" in error["message"]
        assert {name: body[name] for name in ("jobId", "jobState", "status")} == {
            "jobId": 1,
            "jobState": "Started",
            "status": "Started",
        }
        assert body["statusUrl"].endswith("/api/GetTextGenerationStatus?jobId=1")
        assert answer.headers["location"] == "http://server.test/jobs/1"
        assert answer.headers["x-should-retry"] == "false"
        backend.let_go()
        job = await queue.ended(1)
        assert (job.state, len(backend.runs)) == ("Completed", 1)
