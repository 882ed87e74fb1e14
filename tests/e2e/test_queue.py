"""The queue on a real cluster: every operation by the typed client, and what only a cluster shows."""

import io
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from PIL import Image

from tests.e2e.conftest import SENTENCE, Server
from tests.e2e.test_servicestack import dtos, picture, typed, upload
from tests.receivers import webhook_receiver
from tests.word_error_rate import word_error_rate

pytestmark = pytest.mark.e2e

__all__ = ["dtos", "typed"]

LIMIT_S = 60.0


def until(what: str, look: Callable[[], Any], seconds: float = LIMIT_S) -> Any:
    """Poll until `look` gives something, as a client does."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.1)
    return found


def ended(client: httpx.Client, job_id: int) -> dict[str, Any]:
    """Poll a job until it has ended."""

    def look() -> dict[str, Any] | None:
        job: dict[str, Any] = client.get(f"/jobs/{job_id}").json()
        return job if "completedDate" in job else None

    found: dict[str, Any] = until(f"the end of job {job_id}", look)
    return found


def polled(typed: Any, dtos: Any, ref_id: str) -> Any:
    """Poll with the typed client."""

    def look() -> Any:
        status = typed.send(dtos.GetJobStatus(ref_id=ref_id))
        return status if status.job_state == dtos.BackgroundJobState.COMPLETED else None

    return until(f"job {ref_id}", look)


def test_the_typed_client_queues_speech_and_polls_it(typed: Any, dtos: Any, spoken: bytes) -> None:
    queued = typed.send(dtos.QueueTextToSpeech(text=SENTENCE, ref_id="typed-tts"))
    assert queued.job_id > 0
    assert queued.job_state in (dtos.BackgroundJobState.QUEUED, dtos.BackgroundJobState.STARTED)
    audio = httpx.get(polled(typed, dtos, "typed-tts").outputs[0].url).content
    assert audio[:4] == b"RIFF"

    heard = typed.post_file_with_request(
        request=dtos.QueueSpeechToText(ref_id="typed-stt"),
        file=upload("audio", spoken, "speech.wav", "audio/wav"),
    )
    assert heard.ref_id == "typed-stt"
    texts = polled(typed, dtos, "typed-stt").text_outputs
    assert word_error_rate(SENTENCE, texts[0].text) <= 0.12
    assert json.loads(texts[1].text)[0]["start"] == 0


def test_the_typed_client_queues_every_transform(typed: Any, dtos: Any) -> None:
    image, mark = picture(80, 60), picture(20, 10, "white")
    position = dtos.WatermarkPosition.BOTTOM_RIGHT
    requests = {
        "scale": (dtos.QueueScaleImage(width=40, ref_id="typed-scale"), (40, 30)),
        "crop": (dtos.QueueCropImage(x=0, y=10, width=30, height=20, ref_id="typed-crop"), (30, 20)),
        "mark": (dtos.QueueWatermarkImage(position=position, ref_id="typed-mark"), (80, 60)),
        "convert": (
            dtos.QueueConvertImage(output_format=dtos.ImageOutputFormat.GIF, ref_id="typed-convert"),
            (80, 60),
        ),
    }
    for name, (request, _) in requests.items():
        files = [upload("image", image, "p.png", "image/png")]
        if name == "mark":
            files.append(upload("watermark", mark, "w.png", "image/png"))
        typed.post_files_with_request(request, files)
    for name, (_, size) in requests.items():
        result = polled(typed, dtos, f"typed-{name}").outputs[0]
        assert Image.open(io.BytesIO(httpx.get(result.url).content)).size == size
    assert result.file_name == "p.gif"


def test_the_typed_client_sends_a_batch(typed: Any, dtos: Any) -> None:
    texts = ["One.", "Two.", "Three."]
    queued = typed.send_all([dtos.QueueTextToSpeech(text=text, ref_id=f"batch-{text}") for text in texts])
    assert [each.ref_id for each in queued] == [f"batch-{text}" for text in texts]
    for text in texts:
        assert polled(typed, dtos, f"batch-{text}").outputs


def test_the_webhook_of_a_job_comes_signed(client: httpx.Client) -> None:
    secret = client.get("/jobs/webhook-secret").json()["secret"]
    with webhook_receiver(secret) as (url, received):
        body = {"text": "beep beep", "model": "beeper", "replyTo": url, "state": "mine", "refId": "hooked"}
        job_id = client.post("/api/QueueTextToSpeech", json=body).json()["jobId"]
        until("the webhook", lambda: received)
        told = received[0].body
    assert (told["state"], told["refId"], told["jobState"]) == ("mine", "hooked", "Completed")
    assert told["outputs"][0]["url"].startswith("/artifacts/")
    delivery = until("the log", lambda: client.get(f"/jobs/{job_id}").json()["deliveries"])[0]
    assert (delivery["status"], delivery["messageId"]) == (204, received[0].message_id)


def test_progress_reaches_the_events(client: httpx.Client) -> None:
    job_id = queue_nap(client, 3)
    events = [event for event, _ in events_of(client, job_id)]
    states = [event["state"] for event in events]
    assert states == sorted(states, key=["Queued", "Started", "Completed"].index)
    shares = [event["progress"] for event in events if event["state"] == "Started"]
    assert shares == sorted(shares)
    assert any(0.1 < share < 0.95 for share in shares)
    assert any(event.get("step") == "sleeping" for event in events)
    assert events[-1]["results"]


def test_a_cancelled_job_stops_within_a_second_and_leaves_no_artifact(
    server: Server, client: httpx.Client
) -> None:
    job_id = queue_nap(client, 30)
    until("its start", lambda: client.get(f"/jobs/{job_id}").json()["state"] == "Started")
    until("its run", lambda: running(client, "sleeper") == 1)
    before = artifacts_of(server)
    assert client.delete(f"/jobs/{job_id}").json()["state"] == "Cancelled"
    cancelled = time.monotonic()
    until("the end of its run", lambda: running(client, "sleeper") == 0, 5)
    assert time.monotonic() - cancelled < 2  # the question to the replica takes its time too
    assert artifacts_of(server) == before


def test_a_synchronous_call_goes_on_as_a_job(client: httpx.Client) -> None:
    body = {"input": "3 seconds is too long", "model": "sleeper"}
    answer = client.post("/api/TextToSpeech", json=body, headers={"Prefer": "wait=1"})
    assert answer.status_code == 202
    assert answer.json()["jobState"] == "Started"
    job = ended(client, answer.json()["jobId"])
    assert (job["state"], job["attempts"]) == ("Completed", 1)
    assert httpx.get(job["results"][0]["url"]).status_code == 200
    assert answer.headers["Location"].endswith(f"/jobs/{job['jobId']}")


def test_a_saturated_model_answers_a_synchronous_call_after_one_run(client: httpx.Client) -> None:
    jobs = [queue_nap(client, 1) for _ in range(8)]
    until("the first run", lambda: running(client, "sleeper") == 1)
    started = time.monotonic()
    answer = client.post("/api/TextToSpeech", json={"input": "0 at once", "model": "sleeper"})
    assert answer.status_code == 200
    assert time.monotonic() - started < 2.5  # one run of 1 s, and the way
    assert client.get(f"/jobs/{jobs[-1]}").json()["state"] == "Queued"
    for job_id in jobs:
        client.delete(f"/jobs/{job_id}")


def test_two_keys_take_turns(server: Server, client: httpx.Client, second_key: str) -> None:
    flood = [queue_nap(client, 1) for _ in range(20)]
    with httpx.Client(base_url=server.url, headers={"X-Api-Key": second_key}, timeout=30) as other:
        job_id = queue_nap(other, 0)
        job = ended(other, job_id)
        assert other.get(f"/jobs/{flood[0]}").status_code == 404
    assert states_of(client, flood).count("Completed") <= 4
    assert job["state"] == "Completed"
    for job_id in flood:
        client.delete(f"/jobs/{job_id}")


def test_waiting_jobs_wake_a_sleeping_model_and_make_it_grow(client: httpx.Client) -> None:
    jobs = [queue_nap(client, 2, "growing") for _ in range(10)]
    until("two replicas", lambda: status(client, "growing")["replicas"] == 2)
    until("two runs at once", lambda: states_of(client, jobs).count("Started") == 2)
    for job_id in jobs:
        assert ended(client, job_id)["state"] == "Completed"


def test_a_runner_that_dies_costs_an_attempt_and_no_job(server: Server, client: httpx.Client) -> None:
    job_id = queue_nap(client, 2)
    until("its run", lambda: running(client, "sleeper") == 1)
    runner_of(server).kill()
    job = ended(client, job_id)
    assert (job["state"], job["attempts"]) == ("Completed", 2)
    assert job["history"][0]["errorCode"] == "WorkerLost"


def queue_nap(client: httpx.Client, seconds: float, model: str = "sleeper") -> int:
    """Queue a run that takes `seconds`."""
    body = {"text": f"{seconds} nap {time.monotonic()}", "model": model}
    job_id: int = client.post("/api/QueueTextToSpeech", json=body).raise_for_status().json()["jobId"]
    return job_id


def events_of(client: httpx.Client, job_id: int) -> Iterator[tuple[dict[str, Any], float]]:
    """Follow a job; yield its events, and when they came."""
    with client.stream("GET", f"/jobs/{job_id}/events") as answer:
        for line in answer.iter_lines():
            if line.startswith("data: "):
                yield json.loads(line.removeprefix("data: ")), time.monotonic()


def status(client: httpx.Client, model: str) -> dict[str, Any]:
    """Ask /ready for a model."""
    models: list[dict[str, Any]] = client.get("/ready").json()["models"]
    return next(each for each in models if each["id"] == model)


def running(client: httpx.Client, model: str) -> int:
    """Count the runs in a model's replica."""
    count: int = status(client, model)["running"]
    return count


def states_of(client: httpx.Client, jobs: list[int]) -> list[str]:
    """Give the state of each job."""
    return [client.get(f"/jobs/{job_id}").json()["state"] for job_id in jobs]


def artifacts_of(server: Server) -> set[Path]:
    """Name every stored result."""
    return {path for path in (server.data_dir / "artifacts").glob("2*/**/*") if path.is_file()}


def runner_of(server: Server) -> psutil.Process:
    """Find the process that waits for running jobs."""
    family = psutil.Process(server.process.pid).children(recursive=True)
    return next(process for process in family if process.cmdline()[0].startswith("ray::JobRunner"))
