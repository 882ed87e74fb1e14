"""200 jobs under way, and `kill -9` of everything in turn: each job ends Completed, once."""

import io
import time
from collections import Counter
from pathlib import Path

import httpx
import pytest
from PIL import Image

from tests.drills.harness import (
    Patient,
    default_models,
    kill_everything,
    process_of,
    write_configuration,
)
from tests.e2e.conftest import start, stop
from tests.receivers import Received, webhook_receiver
from tests.sleeper import sleeper

pytestmark = [pytest.mark.drill, pytest.mark.timeout(900)]

JOBS = 200
RESULTS = 8
"""So many more have to come before the next kill: it hits jobs that run, and none three times in a row."""
VICTIMS = {
    "the runner of jobs": "ray::JobRunner",
    "the replica of a model": ":sleeper",
    "the JobServer": ":jobs",
    "the Serve controller": "ray::ServeController",
    "the raylet": "/raylet",
}
SPEECH = Path(__file__).parents[1] / "data" / "sense_and_sensibility_01_austen_64kb-0880.wav"


def submit(client: Patient, number: int, reply_to: str) -> int:
    """Queue one of five kinds of work."""
    fields = {"refId": f"drill-{number}", "replyTo": reply_to}
    match number % 5:
        case 0:
            body = {"text": f"This is number {number}.", "model": "hibari", **fields}
            answer = client.ask("POST", "/api/QueueTextToSpeech", json=body)
        case 1:
            files = {"audio": ("speech.wav", SPEECH.read_bytes())}
            data = {"model": "whisper-tiny-en", **fields}
            answer = client.ask("POST", "/api/QueueSpeechToText", data=data, files=files)
        case 2:
            picture = io.BytesIO()
            Image.new("RGB", (640, 480), (number, 80, 120)).save(picture, "PNG")
            files = {"image": ("picture.png", picture.getvalue())}
            answer = client.ask("POST", "/api/QueueScaleImage", data={"width": "320", **fields}, files=files)
        case _:
            body = {"text": f"1.5 seconds for {number}", "model": "sleeper", **fields}
            answer = client.ask("POST", "/api/QueueTextToSpeech", json=body)
    assert answer.status_code == 200, answer.text
    job_id: int = answer.json()["jobId"]
    return job_id


def test_every_job_survives_every_crash(tmp_path: Path) -> None:
    nap = sleeper(tmp_path, resources={"num_cpus": 0.1, "concurrency": 2})
    config = write_configuration(tmp_path, [*default_models(), nap])
    server = start(tmp_path, config)
    with webhook_receiver() as (url, received):
        with Patient(server) as client:
            ids = [submit(client, number, url) for number in range(JOBS)]
            for what, name in VICTIMS.items():
                results = count(client, "Completed")
                process_of(server, name).kill()
                started = time.monotonic()
                wait_for_results(client, results + RESULTS)
                print(
                    f"killed {what} at {results}: {RESULTS} results later {time.monotonic() - started:.1f} s"
                )
            print(f"killed the whole server at {count(client, 'Completed')}")
        kill_everything(server)
        started = time.monotonic()
        server = start(tmp_path, config, server.port)
        print(f"started again: ready after {time.monotonic() - started:.1f} s")
        with Patient(server) as client:
            client.wait_for("all jobs", lambda: all("completedDate" in job for job in client.jobs()), 400)
            print(f"all ended {time.monotonic() - started:.1f} s after the last kill")
            client.wait_for("all webhooks", lambda: len({each.message_id for each in received}) == JOBS, 120)
            check(client, ids, received)
    assert stop(server) == 0


def test_an_orderly_stop_costs_no_attempt(tmp_path: Path) -> None:
    config = write_configuration(tmp_path, [sleeper(tmp_path)], transforms={"enabled": False})
    server = start(tmp_path, config)
    with Patient(server) as client:
        job_id = client.queue("8 seconds are interrupted")
        client.wait_for("its start", lambda: client.job(job_id)["state"] == "Started")
    assert stop(server) == 0
    server = start(tmp_path, config, server.port)
    with Patient(server) as client:
        job = client.wait_until_ended(job_id)
    assert stop(server) == 0
    assert (job["state"], job["attempts"], job["history"][0]["errorCode"]) == (
        "Completed",
        1,
        "ServerStopped",
    )


def wait_for_results(client: Patient, wanted: int) -> None:
    """Poll until so many jobs are completed."""
    client.wait_for(f"{wanted} results", lambda: count(client, "Completed") >= wanted)


def count(client: Patient, state: str) -> int:
    """Count the jobs in a state."""
    return Counter(job["state"] for job in client.jobs())[state]


def check(client: Patient, ids: list[int], received: list[Received]) -> None:
    """Every job is there, completed, ran three times at most, was told of once, and its result opens."""
    jobs = {job["jobId"]: job for job in client.jobs()}
    assert sorted(jobs) == sorted(ids)
    assert Counter(job["state"] for job in jobs.values()) == {"Completed": JOBS}
    attempts = Counter(job["attempts"] for job in jobs.values())
    assert max(attempts) <= 3
    messages = Counter(job_id for _, job_id in {(each.message_id, each.body["jobId"]) for each in received})
    assert messages == dict.fromkeys(ids, 1)
    for job in jobs.values():
        for result in job["results"]:
            if "url" in result:
                answer = httpx.get(result["url"])
                assert answer.status_code == 200
                assert answer.content
            else:
                assert result["text"]
    print(f"attempts: {dict(attempts)}")
