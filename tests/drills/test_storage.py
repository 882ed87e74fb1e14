"""The disk is full, the database is locked or away: clients hear 503, nothing is lost, it heals by itself."""

import io
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import httpx
import psutil
import pytest
from PIL import Image

from tests.drills.harness import Patient, running, runs_of, write_configuration
from tests.e2e.conftest import Server
from tests.postgres import PostgresMissing, PostgresServer, postgres_server
from tests.sleeper import sleeper

pytestmark = [pytest.mark.drill, pytest.mark.timeout(400)]

MIB = 1024 * 1024
DISK_BYTES = 160 * MIB
MIN_FREE_BYTES = 20 * MIB
LEFT_BYTES = 10 * MIB
AWAY_S = 20.0
ANSWER_LIMIT_S = 17.0
"""A client that hears nothing for longer would call it a hang."""
NAP_S = 1.5
CONCURRENCY = 8


class Away(Protocol):
    """A way to be away."""

    __name__: str

    def __call__(self, database: PostgresServer, folder: Path, /) -> AbstractContextManager[None]:
        """Be so for a block."""


@dataclass
class Load:
    """What was submitted while something was broken, and what the answers were."""

    server: Server
    accepted: dict[str, int] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    slowest_s: float = 0.0
    messages: set[str] = field(default_factory=set)

    def submit(self, name: str, padding: str = "") -> httpx.Response:
        """Queue a nap under a `refId` of its own; anything but yes and "later" is a failure."""
        body = {"text": f"{NAP_S} s for {name}{padding}", "model": "sleeper", "refId": name}
        answer = self.ask("/api/QueueTextToSpeech", json=body)
        if answer.status_code == 200:
            self.accepted[name] = answer.json()["jobId"]
        else:
            self.refused.append(name)
        return answer

    def ask(self, path: str, **options: Any) -> httpx.Response:
        """Post something that the server may refuse for now."""
        began = time.monotonic()
        answer = httpx.post(f"{self.server.url}{path}", headers=self.server.auth, timeout=60, **options)
        self.slowest_s = max(self.slowest_s, time.monotonic() - began)
        assert answer.status_code in (200, 503), f"{path}: {answer.status_code} {answer.text[:300]}"
        if answer.status_code == 503:
            assert int(answer.headers["Retry-After"]) > 0
            self.messages.add(answer.json()["responseStatus"]["message"])
        return answer

    def submit_many(self, prefix: str) -> None:
        """Queue more than can run at once."""
        for number in range(2 * CONCURRENCY):
            assert self.submit(f"{prefix}-{number}").status_code == 200

    def keep_submitting(self, seconds: float, prefix: str) -> None:
        """Submit once in a while."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.submit(f"{prefix}-{len(self.accepted) + len(self.refused)}")
            time.sleep(0.5)

    def try_again(self, client: Patient) -> None:
        """Send what was refused once more, as clients do; the `refId` keeps it from running twice."""
        for name in self.refused:
            self.accepted[name] = client.queue(f"{NAP_S} s for {name}", refId=name)

    def report(self, what: str) -> None:
        """Print the figures."""
        load = os.getloadavg()[0]
        print(
            f"{what}: {len(self.accepted)} accepted, {len(self.refused)} refused, "
            f"slowest answer {self.slowest_s:.1f} s, load {load:.1f}; said: {sorted(self.messages)}"
        )


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """Mount a small file system on `folder` for the block."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, check=False).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(filler: Path, left_bytes: int) -> None:
    """Write a file until only so much of the disk is free; 0 leaves not a byte."""
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while (free := _free_bytes(filler)) > left_bytes or left_bytes == 0:
            file.write(bytes(min(MIB, max(1, free - left_bytes))))


def _free_bytes(path: Path) -> int:
    status = os.statvfs(path)
    return status.f_bavail * status.f_frsize


def noise() -> bytes:
    """Give a picture of some 3 MB."""
    picture = io.BytesIO()
    Image.frombytes("RGB", (1_000, 1_000), os.urandom(3_000_000)).save(picture, "PNG")
    return picture.getvalue()


def configuration(folder: Path, **arguments: Any) -> Path:
    """Only the sleeper, so many at once that some run whenever something breaks."""
    model = sleeper(folder, resources={"num_cpus": 0.1, "concurrency": CONCURRENCY})
    return write_configuration(folder, [model], **{"transforms": {"enabled": False}, **arguments})


def check_all_completed(client: Patient, load: Load, within_s: float = 240) -> None:
    """Everything that was accepted ends well."""
    began = time.monotonic()
    client.wait_for("all jobs", lambda: all("completedDate" in job for job in client.jobs()), within_s)
    print(f"all ended {time.monotonic() - began:.1f} s later")
    jobs = {job["jobId"]: job for job in client.jobs()}
    assert set(jobs) == set(load.accepted.values())
    assert [job for job in jobs.values() if job["state"] != "Completed"] == []


def check_ran_once(folder: Path) -> None:
    """No job was run twice."""
    assert [text for text, count in runs_of(folder).items() if count > 1] == []


def check_urls(client: Patient) -> None:
    """Every result is there, whole."""
    for job in client.jobs():
        for result in job["results"]:
            answer = httpx.get(result["url"])
            assert answer.status_code == 200
            assert answer.content


@pytest.mark.parametrize("min_free_bytes", [MIN_FREE_BYTES, 0])
def test_a_full_disk(tmp_path: Path, min_free_bytes: int) -> None:
    """With a reserve the queue pauses; without one the disk is filled to its last byte."""
    with small_disk(tmp_path / "data"):
        config = configuration(
            tmp_path,
            storage={"min_free_bytes": min_free_bytes},
            transforms={"resources": {"num_cpus": 0.1, "concurrency": 1}},
        )
        with running(tmp_path, config) as server, Patient(server) as client:
            load = Load(server)
            load.submit_many("before")
            filler = tmp_path / "data" / "filler"
            fill(filler, LEFT_BYTES if min_free_bytes else 0)
            print(f"{_free_bytes(filler):,} bytes are free")
            refuses_all(load, exactly=min_free_bytes > 0)
            if min_free_bytes:
                check_paused(client)
            time.sleep(AWAY_S)
            refuses_all(load, exactly=min_free_bytes > 0)
            load.report(f"full disk, min_free_bytes {min_free_bytes:,}")
            assert load.refused
            check_nothing_failed(client)
            filler.unlink()
            healed(client, load)


def refuses_all(load: Load, *, exactly: bool) -> None:
    """Ask for everything that stores something; small things may still fit."""
    files = {"image": ("noise.png", noise())}
    text = {"text": "0.1 s now", "model": "sleeper"}
    answers = {
        "upload": load.ask("/api/ScaleImage", data={"width": "900"}, files=files),
        "queued upload": load.ask("/api/QueueScaleImage", data={"width": "900"}, files=files),
        "synchronous": load.ask("/api/TextToSpeech", json=text),
    }
    print({what: answer.status_code for what, answer in answers.items()})
    assert {answer.status_code for answer in answers.values()} == {503}
    for _ in range(40):  # the database may have room of its own left
        name = f"full-{len(load.accepted) + len(load.refused)}"
        answer = load.submit(name, padding=" " + "x" * 15_000)
        assert answer.status_code == 503 or not exactly
        if answer.status_code == 503:
            break


def check_paused(client: Patient) -> None:
    """The queue says why it stands still."""
    client.wait_for("the pause", lambda: _queue_of(client)["state"] == "paused", 10)
    queue = _queue_of(client)
    print(f"/ready: {queue}")
    assert "min_free_bytes" in queue["detail"]


def _queue_of(client: Patient) -> dict[str, Any]:
    queue: dict[str, Any] = client.client.get("/ready").json()["queue"]
    return queue


def check_nothing_failed(client: Patient) -> None:
    """No job pays for the disk."""
    jobs = client.jobs()
    assert {job["state"] for job in jobs} <= {"Completed", "Queued", "Started"}
    assert max(job["attempts"] for job in jobs) <= 1


def healed(client: Patient, load: Load) -> None:
    """After the disk has room again everything goes on by itself."""
    load.refused.clear()
    load.submit("after")
    assert not load.refused
    assert load.ask("/api/TextToSpeech", json={"text": "0.1 s then", "model": "sleeper"}).status_code == 200
    check_all_completed(client, load)
    check_urls(client)
    assert _queue_of(client)["state"] == "ready"


LOCKER = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)
connection.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
time.sleep(float(sys.argv[2]))
connection.execute("ROLLBACK")
"""


def test_a_locked_database(tmp_path: Path) -> None:
    with running(tmp_path, configuration(tmp_path)) as server, Patient(server) as client:
        load = Load(server)
        load.submit_many("before")
        command = [sys.executable, "-c", LOCKER, str(server.data_dir / "jobs.db"), str(AWAY_S)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as locker:
            assert locker.stdout is not None
            assert locker.stdout.readline() == "locked\n"
            load.keep_submitting(AWAY_S / 2, "locked")
            queue = _queue_of(client)
            load.keep_submitting(AWAY_S / 4, "locked")
        assert queue["state"] == "unavailable"
        finish(tmp_path, client, load, f"locked for {AWAY_S} s, /ready then: {queue}")


def finish(folder: Path, client: Patient, load: Load, what: str) -> None:
    """What was refused is sent again; everything ends, once."""
    load.report(what)
    assert load.refused
    assert load.slowest_s < ANSWER_LIMIT_S
    load.try_again(client)
    check_all_completed(client, load)
    check_ran_once(folder)


@contextmanager
def killed(database: PostgresServer, folder: Path) -> Iterator[None]:
    """Kill the database without a chance to tidy up; start it again after the block."""
    server = psutil.Process(int((folder / "postmaster.pid").read_text().splitlines()[0]))
    family = [server, *server.children()]
    server.kill()
    psutil.wait_procs(family, timeout=20)  # the others see that it is gone
    try:
        yield
    finally:
        database.start()


@contextmanager
def frozen(database: PostgresServer, _folder: Path) -> Iterator[None]:
    """Let nobody answer for the block."""
    database.pause()
    try:
        yield
    finally:
        database.resume()


@pytest.mark.parametrize("away", [killed, frozen])
def test_postgresql_is_away(tmp_path: Path, away: Away) -> None:
    with TemporaryDirectory() as name, ExitStack() as stack:
        try:
            database = stack.enter_context(postgres_server(Path(name)))
        except PostgresMissing as missing:
            pytest.skip(str(missing))
        settings = {"AI_SERVER_DATABASE_URL": database.url}
        server = stack.enter_context(running(tmp_path, configuration(tmp_path), **settings))
        client = stack.enter_context(Patient(server))
        load = Load(server)
        load.submit_many("before")
        with away(database, Path(name)):
            load.keep_submitting(AWAY_S, "away")
            queue = _queue_of(client)
        assert queue["state"] == "unavailable"
        finish(tmp_path, client, load, f"PostgreSQL {away.__name__} for {AWAY_S} s, /ready then: {queue}")
