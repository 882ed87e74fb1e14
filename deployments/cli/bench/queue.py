"""`ai-server bench queue`: our queue beside Celery with Redis, doing the same nothing."""

import json
import statistics
import tempfile
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import httpx
import typer
from rich.console import Console
from rich.table import Table
from sqlalchemy import delete, func, select

from cluster.api_keys import ADMIN_ID
from cluster.jobs.database import Database
from cluster.jobs.job import NewJob
from cluster.jobs.schema import jobs as rows
from cluster.jobs.store import JobStore
from deployments.cli.bench.celery_peer import CeleryPeer, PeerMissing
from deployments.cli.bench.own_server import own_server

CLIENTS = 8
HEAR, SPEAK = "speech-to-text", "text-to-speech"
NOOP = {
    "id": "noop",
    "tasks": [HEAR, SPEAK],
    "pipeline": "deployments.cli.bench.noop:NoopPipeline",
    "resources": {"num_cpus": 0.1, "concurrency": 48},
}
HELD = {**NOOP, "id": "held", "resources": {"num_gpus": 1000}, "autoscaling": {"min_replicas": 0}}
"""Its replica never finds a place, so its jobs are accepted and no more."""
DISPATCH_LIMIT, START_LIMIT_S = 0.5, 0.020


@dataclass
class Figures:
    """What the runs of one side gave."""

    accepted: list[float] = field(default_factory=list)
    """Jobs per second."""
    dispatched: list[float] = field(default_factory=list)
    """Jobs per second."""
    starts_s: list[float] = field(default_factory=list)
    """From accept to start."""

    @property
    def p50_s(self) -> float:
        """Median of the time from accept to start."""
        return statistics.median(self.starts_s)

    @property
    def p99_s(self) -> float:
        """Of a hundred starts, one takes longer."""
        return statistics.quantiles(self.starts_s, n=100)[98]


def queue(
    runs: Annotated[int, typer.Option(help="How often each side acts; medians are printed.")] = 3,
    jobs: Annotated[int, typer.Option(help="Jobs of one run.")] = 2000,
    starts: Annotated[int, typer.Option(help="Single jobs of one run, for the time until they start.")] = 100,
    port: Annotated[int, typer.Option(help="A free port for a server of our own.")] = 8124,
) -> None:
    """Compare the queue with Celery on Redis; both are started here, with their data on the disk."""
    ours, durable, volatile = Figures(), Figures(), Figures()
    try:
        with tempfile.TemporaryDirectory() as folder, _server(Path(folder), port) as server:
            for _ in range(runs):
                server.measure(ours, jobs, starts)
                for peer, figures in (
                    (CeleryPeer(durable=True), durable),
                    (CeleryPeer(durable=False), volatile),
                ):
                    with peer:
                        figures.accepted.append(peer.submit_rate(jobs, CLIENTS))
                        figures.dispatched.append(peer.dispatch_rate(jobs))
                        figures.starts_s += peer.start_latencies_s(starts)
    except PeerMissing as error:
        typer.echo(error, err=True)
        raise typer.Exit(1) from error
    _report(ours, durable, volatile)


def _report(ours: Figures, durable: Figures, volatile: Figures) -> None:
    table = Table("", "ours", "Celery, Redis durable", "Celery, Redis in memory", title="Queue of no-op jobs")
    for name, values in (
        (
            "accepted per second (ours over HTTP), 8 clients",
            [side.accepted for side in (ours, durable, volatile)],
        ),
        ("dispatched per second", [side.dispatched for side in (ours, durable, volatile)]),
    ):
        medians = [statistics.median(each) for each in values]
        ratios = ["", *(f" ({medians[0] / each:.2f} x)" for each in medians[1:])]
        table.add_row(name, *(f"{value:.0f}{ratio}" for value, ratio in zip(medians, ratios, strict=True)))
    for name, times in (("p50", Figures.p50_s), ("p99", Figures.p99_s)):
        seconds = [times.__get__(side) for side in (ours, durable, volatile)]
        table.add_row(f"accept to start, idle, {name}", *(f"{each * 1000:.1f} ms" for each in seconds))
    console = Console()
    console.print(table)
    ratio = statistics.median(ours.dispatched) / statistics.median(durable.dispatched)
    holds = _verdict(ratio >= DISPATCH_LIMIT)
    console.print(f"dispatch rate against durable Redis: {ratio:.2f} (limit ≥ {DISPATCH_LIMIT}): {holds}")
    holds = _verdict(ours.p50_s <= START_LIMIT_S)
    console.print(
        f"accept to start, p50: {ours.p50_s * 1000:.1f} ms (limit ≤ {START_LIMIT_S * 1000:.0f}): {holds}"
    )


def _verdict(holds: bool) -> str:
    return "[green]holds[/green]" if holds else "[red]missed[/red]"


@dataclass(frozen=True)
class _Server:
    """A server of our own with a model that does nothing."""

    url: str
    key: str
    database: Database

    def measure(self, figures: Figures, jobs: int, starts: int) -> None:
        """Add the figures of one run."""
        figures.accepted.append(self._submit_rate(jobs // 4))
        figures.dispatched.append(self._dispatch_rate(jobs))
        figures.starts_s += self._starts(starts)

    def _client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, headers={"Authorization": f"Bearer {self.key}"}, timeout=60)

    def _submit_rate(self, count: int) -> float:
        body = {"text": "nothing", "model": HELD["id"]}

        def submit(share: int) -> None:
            with self._client() as client:
                for _ in range(share):
                    client.post("/api/QueueTextToSpeech", json=body).raise_for_status()

        started = time.perf_counter()
        with ThreadPoolExecutor(CLIENTS) as pool:
            list(pool.map(submit, [count // CLIENTS] * CLIENTS))
        rate = count // CLIENTS * CLIENTS / (time.perf_counter() - started)
        with self.database.write() as connection:
            connection.execute(delete(rows).where(rows.c.model == HELD["id"]))
        return rate

    def _dispatch_rate(self, count: int) -> float:
        request = json.dumps({"audio": "input/2026/01/01/0/" + "0" * 32 + ".wav"})
        new = [NewJob(ADMIN_ID, HEAR, "noop", request, uuid.uuid4().hex) for _ in range(count)]
        first = JobStore(self.database).submit(new)[0]
        self._drain()
        query = select(func.min(rows.c.started_at), func.max(rows.c.finished_at)).where(rows.c.id >= first.id)
        with self.database.read() as connection:
            started, ended = connection.execute(query).one()
        return count / float(ended - started)

    def _drain(self) -> None:
        unfinished = select(rows.c.id).where(rows.c.finished_at.is_(None)).limit(1)
        while True:
            with self.database.read() as connection:
                if connection.execute(unfinished).first() is None:
                    return
            time.sleep(0.2)

    def _starts(self, count: int) -> list[float]:
        with self._client() as client:
            return [self._start_s(client) for _ in range(count)]

    def _start_s(self, client: httpx.Client) -> float:
        answer = client.post("/api/QueueSpeechToText", files={"audio": ("a.wav", b"nothing")})
        accepted = time.time()
        job_id = answer.raise_for_status().json()["jobId"]
        store = JobStore(self.database)
        while (result := store.get(job_id).result) is None:
            time.sleep(0.005)
        return max(0.0, float(json.loads(result)["text"]) - accepted)


@contextmanager
def _server(folder: Path, port: int) -> Iterator[_Server]:
    arguments = {"models": [NOOP, HELD], "transforms": {"enabled": False}}
    with own_server(folder, port, arguments) as server:
        yield _Server(server.url, server.key, Database(server.database_url))
