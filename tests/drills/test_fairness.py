"""Whose job is next: nobody waits for another one's flood, the urgent go first, and replicas follow."""

import os
import time
from collections.abc import Iterator
from math import ceil
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from cluster.jobs.database import Database
from cluster.key_store import KeyStore
from tests.drills.harness import Patient, running, starts_of, write_configuration
from tests.e2e.conftest import Server
from tests.sleeper import sleeper

pytestmark = [pytest.mark.drill, pytest.mark.timeout(400)]

FLOOD = 300
NAP_S = 1.0
SLACK_S = 0.5
TIMES = 5


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fairness")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    """One model with a single place, and one that sleeps until it has work and may then double."""
    growing = sleeper(
        folder, id="growing", autoscaling={"min_replicas": 0, "max_replicas": 2, "upscale_delay_s": 0}
    )
    config = write_configuration(folder, [sleeper(folder), growing], transforms={"enabled": False})
    with running(folder, config) as server:
        with Patient(server) as client:  # the very first job of a server finds everything cold
            client.wait_until_ended(client.queue("0 s to warm up"))
        yield server


def client_of_new_key(server: Server, name: str) -> Patient:
    """Make an API key, as the command line does it."""
    database = Database(f"sqlite:///{server.data_dir / 'jobs.db'}")
    try:
        _, key = KeyStore(database).create(name)
    finally:
        database.close()
    return Patient(server, key)


@pytest.fixture
def flooder(server: Server) -> Iterator[Patient]:
    """A client with 300 jobs in the queue, the first of which runs."""
    with client_of_new_key(server, "flooder") as client:
        batch = [{"text": f"{NAP_S} s of flood {number}", "model": "sleeper"} for number in range(FLOOD)]
        answer = client.ask("POST", "/api/QueueTextToSpeech[]", json=batch)
        ids = [each["jobId"] for each in answer.json()]
        assert len(ids) == FLOOD
        client.wait_for("the flood", lambda: client.job(ids[0])["state"] != "Queued")
        yield client
        for job_id in reversed(ids):
            client.ask("DELETE", f"/jobs/{job_id}")


def figures(what: str, seconds: list[float]) -> None:
    """Print them, with how busy the machine is."""
    shown = ", ".join(f"{each:.2f}" for each in seconds)
    print(f"{what}: median {median(seconds):.2f} s of [{shown}], load {os.getloadavg()[0]:.1f}")


@pytest.mark.usefixtures("flooder")
def test_a_flood_of_one_key_delays_another_by_one_run(folder: Path, server: Server) -> None:
    waits = []
    with client_of_new_key(server, "other") as other:
        for number in range(TIMES):
            text = f"0.1 s for the other {number}"
            submitted = time.time()
            other.wait_until_ended(other.queue(text))
            waits.append(starts_of(folder)[text] - submitted)
    figures("the other key's job waited", waits)
    assert max(waits) <= NAP_S + SLACK_S


@pytest.mark.usefixtures("flooder")
def test_a_synchronous_call_passes_the_queue(server: Server) -> None:
    times = []
    with Patient(server) as client:
        for number in range(TIMES):
            began = time.monotonic()
            body = {"text": f"0 s at once {number}", "model": "sleeper"}
            answer = client.client.post("/api/TextToSpeech", json=body)
            times.append(time.monotonic() - began)
            assert answer.status_code == 200, answer.text
            time.sleep(0.3)
    figures("a synchronous call to a saturated model took", times)
    assert max(times) <= NAP_S + SLACK_S


def test_priorities_are_kept(folder: Path, server: Server) -> None:
    with Patient(server) as client:
        client.queue("3 s before the priorities")
        client.wait_for("the start", lambda: "3 s before the priorities" in starts_of(folder))
        ids = [client.queue(f"0.1 s of priority {each}", priority=each) for each in (-1, 0, 1, 2)]
        for job_id in ids:
            assert client.wait_until_ended(job_id)["state"] == "Completed"
    starts = {text: at for text, at in starts_of(folder).items() if "of priority" in text}
    order = sorted(starts, key=lambda text: starts[text])
    print(f"order: {order}")
    assert order == [f"0.1 s of priority {each}" for each in (2, 1, 0, -1)]


def test_waiting_jobs_wake_a_model_and_double_it(folder: Path, server: Server) -> None:
    with Patient(server) as client:
        assert replicas_of(client, "growing") == 0
        began = time.time()
        ids = [client.queue(f"2 s of growth {number}", model="growing") for number in range(8)]
        seen: dict[int, float] = {}
        while not all("completedDate" in client.job(job_id) for job_id in ids):
            seen.setdefault(replicas_of(client, "growing"), time.time() - began)
            assert time.time() - began < 120, "the jobs do not end"
            time.sleep(0.2)
        ended = time.time() - began
    starts = sorted(at - began for text, at in starts_of(folder).items() if "of growth" in text)
    at_once = [sum(start <= each < start + 2 for start in starts) for each in starts]
    when = {replicas: round(seconds, 1) for replicas, seconds in seen.items()}
    print(f"replicas, and after how many seconds: {when}; starts: {[round(each, 1) for each in starts]}")
    print(f"at once: {at_once}, all ended after {ended:.1f} s, load {os.getloadavg()[0]:.1f}")
    assert max(seen) == 2
    assert max(at_once) == 2
    paired = [each for each in starts if each > seen[2] + 2]  # both replicas are known by then
    assert ended - paired[0] <= 2 * ceil(len(paired) / 2) + 1.5, "one of the replicas is idle"


def replicas_of(client: Patient, model: str) -> int:
    """Ask /ready."""
    models: list[dict[str, Any]] = client.client.get("/ready").json()["models"]
    return next(int(each["replicas"]) for each in models if each["id"] == model)
