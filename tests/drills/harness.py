"""A server that is about to be broken, and a client that is patient with it."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import httpx
import psutil
import yaml

from tests.e2e.conftest import ROOT, Server, start, stop

PATIENCE_S = 240.0
POLL_S = 0.5


def write_configuration(folder: Path, models: list[dict[str, Any]], **arguments: Any) -> Path:
    """Write a configuration like the default one, with these models instead; and allow local webhooks."""
    config = yaml.safe_load((ROOT / "serve_config.yaml").read_text())
    config["applications"][0]["args"] |= {
        "models": models,
        "outside": {"allow_networks": ["127.0.0.0/8"]},
        **arguments,
    }
    path = folder / "serve.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def default_models() -> list[dict[str, Any]]:
    """Give the models of the default configuration."""
    config = yaml.safe_load((ROOT / "serve_config.yaml").read_text())
    models: list[dict[str, Any]] = config["applications"][0]["args"]["models"]
    return models


@dataclass
class Patient:
    """A client that tries again for as long as a server needs to come back."""

    server: Server
    key: str = ""
    client: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        headers = {"Authorization": f"Bearer {self.key or self.server.key}"}
        self.client = httpx.Client(base_url=self.server.url, headers=headers, timeout=30)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Send a request until it is answered with something better than a 5xx."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                answer = self.client.request(method, path, **options)
                # While the application is not deployed yet, Serve's proxy answers 404 in plain text.
                if answer.status_code < 500 and "json" in answer.headers.get("content-type", ""):
                    return answer
                trouble = f"{answer.status_code} {answer.text[:200]}"
            except httpx.TransportError as error:
                trouble = repr(error)
            assert time.monotonic() < deadline, f"{method} {path}: {trouble}"
            time.sleep(POLL_S)

    def queue(self, text: str, **fields: Any) -> int:
        """Queue a text for the sleeper and give the job's id."""
        body = {"text": text, "model": "sleeper", **fields}
        answer = self.ask("POST", "/api/QueueTextToSpeech", json=body)
        assert answer.status_code == 200, answer.text
        job_id: int = answer.json()["jobId"]
        return job_id

    def job(self, job_id: int) -> dict[str, Any]:
        """Look at a job."""
        job: dict[str, Any] = self.ask("GET", f"/jobs/{job_id}").json()
        return job

    def jobs(self) -> list[dict[str, Any]]:
        """List all one's jobs."""
        found: list[dict[str, Any]] = []
        parameters: dict[str, Any] = {"limit": 200}
        while True:
            page = self.ask("GET", "/jobs", params=parameters).json()
            found += page["jobs"]
            if "next" not in page:
                return found
            parameters["cursor"] = page["next"]

    def wait_for(self, what: str, holds: Callable[[], bool], seconds: float = PATIENCE_S) -> None:
        """Poll until something holds."""
        deadline = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < deadline, f"waited in vain for: {what}"
            time.sleep(POLL_S)

    def wait_until_ended(self, job_id: int) -> dict[str, Any]:
        """Poll until a job has ended."""
        self.wait_for(f"the end of job {job_id}", lambda: "completedDate" in self.job(job_id))
        return self.job(job_id)


def process_of(server: Server, name: str) -> psutil.Process:
    """Find a process of the server by the end, or the beginning, of what it calls itself."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        for process in psutil.Process(server.process.pid).children(recursive=True):
            try:
                words = process.cmdline()
            except psutil.Error:
                continue
            if words and (words[0].endswith(name) or words[0].startswith(name)):
                return process
        time.sleep(POLL_S)
    raise AssertionError(f"no process {name}")


def kill_everything(server: Server) -> None:
    """End the server and all that it started, at once and without warning."""
    top = psutil.Process(server.process.pid)
    family = [top, *top.children(recursive=True)]
    for process in family:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(family, timeout=20)
    server.process.communicate()


@contextmanager
def running(folder: Path, config_file: Path, **settings: str) -> Iterator[Server]:
    """Run a server for the block; it must end well after it."""
    server = start(folder, config_file, None, **settings)
    try:
        yield server
    except BaseException:
        kill_everything(server)
        raise
    assert stop(server) == 0


def runs_of(folder: Path) -> Counter[str]:
    """Count how often the sleeper was asked for each text."""
    lines = (folder / "runs.log").read_text().splitlines()
    return Counter(line.split(maxsplit=1)[1] for line in lines)


def starts_of(folder: Path) -> dict[str, float]:
    """Give when the sleeper began with each text, in seconds since the epoch."""
    log = folder / "runs.log"
    lines = log.read_text().splitlines() if log.exists() else []
    return {text: float(at) for at, text in (line.split(maxsplit=1) for line in lines)}
