"""The peer of `ai-server bench queue`: Celery on Redis, doing a task that does nothing.

Importing this module does not import Celery, which only the development install brings.
"""

import os
import shutil
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Barrier
from typing import Any, Self

import psutil

from configs.settings import usable_cores

START_LIMIT_S = 60.0
STOP_LIMIT_S = 15.0
DRAIN_LIMIT_S = 600.0


class PeerMissing(Exception):
    """What the peer is made of is not installed."""


@dataclass(frozen=True)
class _Submission:
    """What one client submitted, and when, in seconds of `time.perf_counter`."""

    began_s: float
    ended_s: float
    ids: list[str]


class CeleryPeer:
    """A Redis server and one Celery worker of our own, which end with the context.

    With `durable`, Redis answers only after the write is on the disk, in the folder for temporary
    files; without, it keeps everything in memory.
    """

    def __init__(self, durable: bool) -> None:
        self._durable = durable

    def __enter__(self) -> Self:
        _require_installed()
        with ExitStack() as stack:
            folder = Path(stack.enter_context(TemporaryDirectory(prefix="ai-server-bench-")))
            url = stack.enter_context(_redis(folder, self._durable))
            self._app = stack.enter_context(_client(url))
            self._noop = self._app.tasks["noop"]
            self._worker = stack.enter_context(_worker(folder / "worker.log", url))
            self._await_worker(folder / "worker.log")
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *failure: object) -> None:
        self._stack.close()

    def submit_rate(self, jobs: int, clients: int) -> float:
        """Let `clients` threads submit `jobs` tasks while none is done; give accepted tasks per second."""
        go = Barrier(clients)
        with self._paused(), ThreadPoolExecutor(clients) as pool:
            shares = [len(range(client, jobs, clients)) for client in range(clients)]
            done = [each.result() for each in [pool.submit(self._submit, share, go) for share in shares]]
        self._stored([task_id for each in done for task_id in each.ids])
        return jobs / (max(each.ended_s for each in done) - min(each.began_s for each in done))

    def dispatch_rate(self, jobs: int) -> float:
        """Let `jobs` tasks wait, then let the worker go; give tasks done per second until the last result."""
        with self._paused():
            ids = [self._noop.delay().id for _ in range(jobs)]
            began = time.time()
        # The worker's own record: to listen for every result would take a core away from it.
        times = [datetime.fromisoformat(result["date_done"]) for result in self._stored(ids)]
        return jobs / (max(times).timestamp() - began)

    def start_latencies_s(self, times: int) -> list[float]:
        """Submit to an idle queue, one after the other; give the seconds from accepted to begun."""
        return [self._start_latency_s() for _ in range(times)]

    def _start_latency_s(self) -> float:
        result = self._noop.delay()
        accepted = time.time()
        return max(0.0, float(result.get(timeout=DRAIN_LIMIT_S)) - accepted)

    def _submit(self, jobs: int, go: Barrier) -> _Submission:
        # The first one opens this thread's connections to the broker and to the results.
        first = self._noop.delay().id
        go.wait(START_LIMIT_S)
        began = time.perf_counter()
        ids = [self._noop.delay().id for _ in range(jobs)]
        return _Submission(began, time.perf_counter(), [first, *ids])

    def _stored(self, ids: Sequence[str]) -> list[dict[str, Any]]:
        """Wait until every result is stored; give what the worker stored."""
        # The one submitted last tells when asking for all of them is worth its while.
        self._app.AsyncResult(ids[-1]).get(timeout=DRAIN_LIMIT_S)
        stored = self._app.backend.get_many(ids, timeout=DRAIN_LIMIT_S, interval=0.02)
        return [result for _, result in stored]

    @contextmanager
    def _paused(self) -> Iterator[None]:
        """Stop the process that takes tasks from the queue for a while."""
        self._worker.suspend()
        try:
            yield
        finally:
            self._worker.resume()

    def _await_worker(self, log: Path) -> None:
        from celery.exceptions import TimeoutError as NoAnswer

        try:
            self._noop.delay().get(timeout=START_LIMIT_S)
        except NoAnswer:
            raise RuntimeError(f"The Celery worker does not answer: {log.read_text()}") from None


def _require_installed() -> None:
    if shutil.which("redis-server") is None:
        raise PeerMissing("redis-server is not installed. Install it: apt-get install redis-server")
    if find_spec("celery") is None or find_spec("redis") is None:
        raise PeerMissing("Celery with Redis is not installed. Install it: pip install -e '.[dev]'")


@contextmanager
def _redis(folder: Path, durable: bool) -> Iterator[str]:
    """Run a Redis server; give its address once it answers."""
    from redis import ConnectionError as NotYet
    from redis import Redis
    from redis.backoff import ConstantBackoff
    from redis.retry import Retry

    port = _free_port()
    command = ["redis-server", "--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder)]
    command += ["--save", "", "--appendonly", "yes" if durable else "no", "--appendfsync", "always"]
    tries = Retry(ConstantBackoff(0.05), int(START_LIMIT_S / 0.05))
    with _running(command, folder / "redis.log"):
        with Redis(port=port, retry=tries, retry_on_error=[NotYet]) as client:
            client.ping()
        yield f"redis://127.0.0.1:{port}/0"


@contextmanager
def _client(url: str) -> Iterator[Any]:
    from deployments.cli.bench.celery_app import application

    with application(url) as app:
        try:
            yield app
        finally:
            app.pool.force_close_all()


def _worker(log: Path, url: str) -> AbstractContextManager[psutil.Process]:
    from deployments.cli.bench.celery_app import BROKER

    command = [sys.executable, "-m", "celery", "-A", "deployments.cli.bench.celery_app", "worker"]
    command += ["--pool", "prefork", "--concurrency", str(usable_cores()), "--loglevel", "ERROR"]
    command += ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    return _running(command, log, **{BROKER: url})


@contextmanager
def _running(command: Sequence[str], log: Path, **variables: str) -> Iterator[psutil.Process]:
    """Run a command, away from the terminal's Ctrl-C; end it and its children with the context."""
    # Nothing else of our environment: Celery reads APP, BROKER_URL, CONFIG_MODULE and more from it.
    environment = {"PATH": os.environ["PATH"], **variables}
    with log.open("wb") as output:
        process = psutil.Popen(command, env=environment, stdout=output, stderr=output, start_new_session=True)
        try:
            yield process
        finally:
            _end(process)


def _end(process: psutil.Process) -> None:
    with suppress(psutil.NoSuchProcess):  # it may have ended by itself
        family = [*process.children(recursive=True), process]
        process.terminate()
        _, alive = psutil.wait_procs(family, timeout=STOP_LIMIT_S)
        for each in alive:
            each.kill()
        psutil.wait_procs(alive)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
