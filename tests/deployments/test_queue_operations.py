"""Every operation has a queued twin, which takes the same requests and comes to the same results."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from cluster.artifacts.local import LocalArtifactStore
from deployments.routers.aiserver.operation import AnyOperation
from deployments.routers.aiserver.table import OPERATIONS
from tests.deployments.conftest import refusal, stored_files
from tests.deployments.fakes import LineReader
from tests.deployments.queue import LocalQueue, submitted
from tests.deployments.stored import film, picture

CLIP = ("film.mp4", film(), "video/mp4")
AUDIO = ("talk.wav", b"first line\nsecond line", "audio/wav")
PICTURE = ("cat.png", picture(400, 300), "image/png")
FILES = {
    "audio": AUDIO,
    "video": CLIP,
    "media": CLIP,
    "image": PICTURE,
    "mask": ("mask.png", picture(400, 300), "image/png"),
    "watermark": ("logo.png", picture(16, 16), "image/png"),
}
WITH_FILES = [operation for operation in OPERATIONS if operation.files]
ANY_VERB = ("GET", "PUT", "PATCH", "DELETE")


@dataclass(frozen=True)
class Sent:
    """The example request of an operation, with real files."""

    operation: AnyOperation

    @property
    def files(self) -> dict[str, Any]:
        if self.operation.name == "ConvertAudio":
            return {"audio": CLIP}  # the tests' ears hear text; ffmpeg wants real sound
        return {name: FILES[name] for name in self.operation.files}

    @property
    def fields(self) -> dict[str, str]:
        example = self.operation.example.items()
        return {name: str(value) for name, value in example if name not in self.operation.files}

    async def to(self, client: httpx.AsyncClient, path: str, verb: str = "POST") -> httpx.Response:
        return await client.request(verb, path, data=self.fields, files=self.files or None)


@pytest.fixture(params=OPERATIONS, ids=lambda operation: operation.name)
def sent(request: pytest.FixtureRequest) -> Sent:
    return Sent(request.param)


async def test_the_twin_of_every_operation_comes_to_the_same_results(
    client: httpx.AsyncClient, queue: LocalQueue, sent: Sent
) -> None:
    name = sent.operation.name
    answered = await sent.to(client, f"/api/{name}")
    assert answered.status_code == 200, answered.text
    ticket = (await sent.to(client, f"/api/Queue{name}")).json()
    text = "Text" if name in ("SpeechToText", "ImageToText") else "Artifact"
    assert ticket == {
        "jobId": 1,
        "refId": ticket["refId"],
        "jobState": "Queued",
        "status": "Queued",
        "statusUrl": f"http://server.test/api/Get{text}GenerationStatus?jobId=1",
    }
    assert len(ticket["refId"]) == 32
    async with queue.dispatching():
        await queue.ended(1)
    done = (await client.get(ticket["statusUrl"])).json()
    assert done.pop("duration", "PT").startswith("PT")  # that of a ProbeMedia is in no answer
    assert done == {
        **{name: value for name, value in answered.json().items() if name != "duration"},
        "jobId": 1,
        "refId": ticket["refId"],
        "jobState": "Completed",
        "status": "Completed",
    }


async def test_a_twin_takes_the_verbs_of_its_operation(client: httpx.AsyncClient, sent: Sent) -> None:
    operation = sent.operation
    for verb in ANY_VERB:
        for name in (operation.name, f"Queue{operation.name}"):
            answer = await sent.to(client, f"/api/{name}", verb)
            assert answer.status_code == (405 if operation.post_only else 200), (verb, name, answer.text)


async def test_a_twin_needs_a_key(stranger: httpx.AsyncClient, sent: Sent, tmp_path: Path) -> None:
    answer = await sent.to(stranger, f"/api/Queue{sent.operation.name}")
    assert refusal(answer, 401)["errorCode"] == "Unauthorized"
    assert stored_files(tmp_path) == []


async def test_a_twin_is_documented_with_the_fields_of_a_job(stranger: httpx.AsyncClient, sent: Sent) -> None:
    paths = (await stranger.get("/openapi.json")).json()["paths"]
    twin = paths[f"/api/Queue{sent.operation.name}"]["post"]
    (content, *_) = twin["requestBody"]["content"].values()
    assert {"refId", "tag", "replyTo", "state", "priority"} <= set(content["schema"]["properties"])
    assert set(sent.operation.files) <= set(content["schema"]["properties"])
    assert {"200", "400", "401", "409", "503"} <= set(twin["responses"])


@pytest.mark.parametrize("operation", WITH_FILES, ids=lambda operation: operation.name)
async def test_a_missing_file_is_refused_before_anything_is_queued(
    client: httpx.AsyncClient, operation: AnyOperation
) -> None:
    answer = await client.post(f"/api/Queue{operation.name}", data=Sent(operation).fields)
    status = refusal(answer)
    assert status["errorCode"] == "ArgumentNullException"
    assert status["errors"][0]["fieldName"] == operation.files[0].title()
    assert (await client.get("/jobs")).json() == {"jobs": []}


class TestTheFourWaysToSendARequest:
    @pytest.mark.parametrize("name", ["text", "Text", "input", "INPUT"])
    @pytest.mark.parametrize("way", ["json", "data", "params", "multipart"])
    async def test_text_to_speech(
        self, client: httpx.AsyncClient, queue: LocalQueue, way: str, name: str
    ) -> None:
        fields = {name: "one two", "voice": "second-tone", "refId": "mine", "Tag": "group"}
        sent: dict[str, Any] = {way: fields}
        if way == "multipart":
            sent = {"files": {each: (None, value) for each, value in fields.items()}}
        answer = await client.post("/api/QueueTextToSpeech", **sent)
        assert answer.json()["refId"] == "mine"
        job = await queue.jobs.get(1, "0")
        assert (job.model, job.tag, job.task) == ("second-tone", "group", "text-to-speech")
        assert '"text":"one two"' in job.request

    async def test_get_with_a_query_string(self, client: httpx.AsyncClient) -> None:
        answer = await client.get("/api/QueueTextToSpeech", params={"Text": "one", "REF_ID": "mine"})
        assert answer.json()["refId"] == "mine"

    async def test_fields_that_clients_send_empty_count_as_not_sent(
        self, client: httpx.AsyncClient, queue: LocalQueue
    ) -> None:
        empty = dict.fromkeys(("refId", "tag", "replyTo", "state", "priority", "model", "seed"), "")
        assert (await client.post("/api/QueueTextToSpeech", data={"text": "one", **empty})).is_success
        nulls = dict.fromkeys(empty)
        assert (await client.post("/api/QueueTextToSpeech", json={"text": "two", **nulls})).is_success
        for job_id in (1, 2):
            job = await queue.jobs.get(job_id, "0")
            assert (job.tag, job.reply_to, job.client_state, job.priority) == (None, None, None, 0)
            assert len(job.ref_id) == 32


class TestRefusals:
    """What cannot be done is refused at once, as the synchronous operation refuses it."""

    @pytest.mark.parametrize(
        ("fields", "status", "code", "field"),
        [
            ({}, 400, "NotEmpty", "Input"),
            ({"text": " "}, 400, "NotEmpty", "Input"),
            ({"text": "a", "speed": 9}, 400, "LessThanOrEqual", "Speed"),
            ({"text": "a", "model": "nobody"}, 404, "NotFound", "Model"),
            ({"text": "x" * 20_001}, 400, "MaximumLength", "Input"),
        ],
    )
    async def test_of_text_to_speech(
        self, client: httpx.AsyncClient, fields: dict[str, Any], status: int, code: str, field: str
    ) -> None:
        refused = refusal(await client.post("/api/QueueTextToSpeech", json=fields), status)
        assert (refused["errorCode"], refused["errors"][0]["fieldName"]) == (code, field)
        assert refusal(await client.post("/api/TextToSpeech", json=fields), status) == refused
        assert (await client.get("/jobs")).json() == {"jobs": []}


async def test_a_job_keeps_the_options_of_its_request(
    client: httpx.AsyncClient, queue: LocalQueue, listener: LineReader
) -> None:
    fields = {"language": "de", "prompt": "Ray", "temperature": "0.5", "task": "translate"}
    await client.post("/api/QueueSpeechToText", data=fields, files={"audio": AUDIO})
    async with queue.dispatching():
        await queue.ended(1)
    (request,) = listener.requests
    seen = (request.language, request.prompt, request.temperature, request.translate)
    assert seen == ("de", "Ray", 0.5, True)


async def test_a_queued_converted_picture_keeps_its_name(
    client: httpx.AsyncClient, queue: LocalQueue, artifacts: LocalArtifactStore
) -> None:
    await client.post("/api/QueueConvertImage", data={"outputFormat": "webp"}, files={"image": PICTURE})
    async with queue.dispatching():
        await queue.ended(1)
    (result,) = (await client.get("/api/GetJobStatus?jobId=1")).json()["results"]
    assert result["fileName"] == "cat.webp"
    assert (await client.get(result["url"])).headers["content-type"] == "image/webp"


async def test_nothing_runs_before_it_is_dispatched(client: httpx.AsyncClient, queue: LocalQueue) -> None:
    job_id = await submitted(client)
    assert (await client.get(f"/api/GetJobStatus?jobId={job_id}")).json()["jobState"] == "Queued"
