"""1,000, 10,000, 100,000 jobs wait: the queue stays as fast as it was, and as small."""

import os
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles

import httpx
import psutil
import pytest

from cluster.jobs.database import Database
from cluster.jobs.job import NewJob
from cluster.jobs.store import JobStore
from pipelines.tasks.text_to_speech import TextToSpeechRequest
from tests.drills.harness import Patient, process_of, running, starts_of, write_configuration
from tests.e2e.conftest import Server
from tests.sleeper import sleeper

pytestmark = [pytest.mark.drill, pytest.mark.timeout(1_200)]

LEVELS = (1_000, 10_000, 100_000)
SUBMITS = 200
LOOKS = 100
NOOPS = 300
PLACES = 4
NAP_S = 2.0
"""Of each job of the backlog: it gets shorter by two a second, which does not count."""
MIB = 1024 * 1024
GROWTH_MIB = 100
FACTOR = 2.0


@dataclass
class Level:
    """What was measured with so many jobs waiting; rates per second, times in seconds."""

    waiting: int
    rate_1: float
    rate_8: float
    status_p50: float
    status_p99: float
    job_p50: float
    job_p99: float
    idle_start_p50: float
    high_start_p50: float
    noop_rate: float
    uss: dict[str, float]
    rss: dict[str, float]

    def report(self) -> None:
        """Print it."""
        sizes = ", ".join(f"{name} {self.rss[name]:.0f}/{uss:.0f}" for name, uss in self.uss.items())
        print(
            f"{self.waiting:>7,} waiting: enqueue {self.rate_1:.0f}/s alone, {self.rate_8:.0f}/s from 8; "
            f"status p50 {self.status_p50 * 1000:.1f} ms, p99 {self.status_p99 * 1000:.1f} ms; "
            f"/jobs/id p50 {self.job_p50 * 1000:.1f} ms, p99 {self.job_p99 * 1000:.1f} ms; "
            f"accept to start, idle model: {self.idle_start_p50 * 1000:.0f} ms; "
            f"HIGH before the backlog: {self.high_start_p50:.2f} s; no-ops {self.noop_rate:.0f}/s; "
            f"RSS/USS in MiB: {sizes}; load {os.getloadavg()[0]:.1f}"
        )


class Measuring:
    """Asks a server with a backlog."""

    def __init__(self, folder: Path, server: Server) -> None:
        self._folder = folder
        self._server = server
        self._client = Patient(server)
        self._database = Database(f"sqlite:///{server.data_dir / 'jobs.db'}")
        self._last_id = 0
        self._processes = {
            name: process_of(server, title)
            for name, title in {
                "JobServer": ":jobs",
                "ingress": ":ingress",
                "runner": "ray::JobRunner",
            }.items()
        }

    def close(self) -> None:
        """Leave the server alone."""
        self._client.client.close()
        self._database.close()

    def fill(self, count: int) -> None:
        """Put jobs straight into the store."""
        store = JobStore(self._database)
        began = time.monotonic()
        for start in range(0, count, 1_000):
            batch = [new_job() for _ in range(min(1_000, count - start))]
            self._last_id = store.submit(batch)[-1].id
        print(f"{count:,} jobs put into the store in {time.monotonic() - began:.1f} s")

    def measure(self, waiting: int) -> Level:
        """Measure everything."""
        alone = [timed(lambda: self._submit(self._client.client)) for _ in range(SUBMITS)]
        status = self._looks("/api/GetArtifactGenerationStatus", {"jobId": self._last_id})
        job = self._looks(f"/jobs/{self._last_id}", {})
        uss, rss = self._sizes()
        return Level(
            waiting=waiting,
            rate_1=1 / median(alone),
            rate_8=self._rate_of_8(),
            status_p50=median(status),
            status_p99=quantiles(status, n=100)[98],
            job_p50=median(job),
            job_p99=quantiles(job, n=100)[98],
            idle_start_p50=median(self._starts("quick", 20)),
            high_start_p50=median(self._starts("sleeper", 5, priority=1)),
            noop_rate=self._noop_rate(),
            uss=uss,
            rss=rss,
        )

    def _submit(self, client: httpx.Client) -> None:
        body = {"text": f"{NAP_S} s in the backlog", "model": "sleeper"}
        assert client.post("/api/QueueTextToSpeech", json=body).status_code == 200

    def _rate_of_8(self) -> float:
        def some(_: int) -> None:
            with Patient(self._server) as patient:
                for _ in range(SUBMITS // 8):
                    self._submit(patient.client)

        with ThreadPoolExecutor(8) as threads:
            return SUBMITS / timed(lambda: list(threads.map(some, range(8))))

    def _looks(self, path: str, parameters: dict[str, int]) -> list[float]:
        def look() -> None:
            assert self._client.client.get(path, params=parameters).status_code == 200

        return [timed(look) for _ in range(LOOKS)]

    def _starts(self, model: str, times: int, priority: int = 0) -> list[float]:
        """Measure how long jobs take from their submission to their start, one after the other."""
        seconds = []
        for _ in range(times):
            text = f"0 s {uuid.uuid4().hex}"
            submitted = time.time()
            self._client.queue(text, model=model, priority=priority)
            self._client.wait_for(text, lambda name=text: name in starts_of(self._folder))  # type: ignore[misc]
            seconds.append(starts_of(self._folder)[text] - submitted)
        return seconds

    def _noop_rate(self) -> float:
        """Let many jobs of no length pass the backlog; the first ones still wait for free places."""
        mark = f"no-op {uuid.uuid4().hex}"
        body = [{"text": f"0 s {mark} {n}", "model": "sleeper", "priority": 2} for n in range(NOOPS)]
        assert self._client.ask("POST", "/api/QueueTextToSpeech[]", json=body).status_code == 200

        def starts() -> list[float]:
            return sorted(at for text, at in starts_of(self._folder).items() if mark in text)

        self._client.wait_for("the no-ops", lambda: len(starts()) == NOOPS)
        counted = starts()[NOOPS // 3 :]
        return (len(counted) - 1) / (counted[-1] - counted[0])

    def _sizes(self) -> tuple[dict[str, float], dict[str, float]]:
        sizes = {name: _size(process) for name, process in self._processes.items()}
        uss = {name: size[0] for name, size in sizes.items()}
        return uss, {name: size[1] for name, size in sizes.items()}


def _size(process: psutil.Process) -> tuple[float, float]:
    info = process.memory_full_info()
    return info.uss / MIB, info.rss / MIB


def timed(act: Callable[[], object]) -> float:
    """Give the seconds that something takes."""
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def new_job() -> NewJob:
    """Make a nap for the backlog."""
    request = TextToSpeechRequest(text=f"{NAP_S} s in the backlog").model_dump_json()
    return NewJob("0", "text-to-speech", "sleeper", request, ref_id=uuid.uuid4().hex)


def test_a_long_queue_is_as_fast_as_a_short_one(tmp_path: Path) -> None:
    backlogged = sleeper(tmp_path, resources={"num_cpus": 0.1, "concurrency": PLACES})
    quick = sleeper(tmp_path, id="quick")
    config = write_configuration(tmp_path, [backlogged, quick], transforms={"enabled": False})
    with running(tmp_path, config) as server:
        measuring = Measuring(tmp_path, server)
        try:
            levels = measure_levels(measuring)
        finally:
            measuring.close()
    first, last = levels[0], levels[-1]
    growth_mib = last.uss["JobServer"] - first.uss["JobServer"]
    print(f"the JobServer grew by {growth_mib:.1f} MiB")
    assert growth_mib <= GROWTH_MIB
    assert last.rate_1 >= first.rate_1 / FACTOR
    assert last.rate_8 >= first.rate_8 / FACTOR
    assert last.status_p50 <= first.status_p50 * FACTOR
    assert last.job_p50 <= first.job_p50 * FACTOR
    assert last.noop_rate >= first.noop_rate / FACTOR


def measure_levels(measuring: Measuring) -> list[Level]:
    """Fill up to each level and measure there."""
    levels: list[Level] = []
    put = 0
    for waiting in LEVELS:
        measuring.fill(waiting - put)
        put = waiting
        levels.append(measuring.measure(waiting))
        levels[-1].report()
    return levels
