"""A server that is about to be broken, and a client that is patient with it."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, Self

import httpx
import psutil
import yaml

from tests.e2e.conftest import ROOT, Server

PATIENCE_S = 240.0
POLL_S = 0.5

SLEEPER = '''
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pipelines.loading import EngineSettings, PipelineOptions
from pipelines.tasks.base import Workspace
from pipelines.tasks.text_to_speech import SpokenAudio, TextToSpeechRequest


class SleeperPipeline:
    """Takes as many seconds as its text says first, in steps, and notes every run in a file."""

    class Options(PipelineOptions):
        log: str

    def __init__(self, weights: Path | None, options: Options, engine: EngineSettings) -> None:
        self._log = Path(options.log)

    def text_to_speech(self, request: TextToSpeechRequest, workspace: Workspace) -> Iterator[SpokenAudio]:
        with self._log.open("a") as log:
            log.write(f"{time.time()} {request.text}\\n")
        seconds = float(request.text.split()[0])
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            workspace.check_cancelled()
            workspace.report(1 - left / seconds, "sleeping")
            time.sleep(min(left, 0.05))
        loudness = 1 + sum(map(ord, request.text)) % 30_000
        yield SpokenAudio(np.full(1_600, loudness, dtype=np.int16), 16_000)
'''


def sleeper(folder: Path, **entry: Any) -> dict[str, Any]:
    """Write the pipeline that sleeps into `folder` and give its entry for the configuration."""
    (folder / "sleeper_pipeline.py").write_text(SLEEPER)
    return {
        "id": "sleeper",
        "tasks": ["text-to-speech"],
        "pipeline": "sleeper_pipeline:SleeperPipeline",
        "options": {"log": str(folder / "runs.log")},
        "resources": {"num_cpus": 0.1},
        **entry,
    }


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
def webhook_receiver() -> Iterator[tuple[str, list[tuple[str, bytes]]]]:
    """Receive webhooks on 127.0.0.1 for the block: give its URL, and (message id, body) of all that came."""
    received: list[tuple[str, bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.append((self.headers["webhook-id"], body))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    receiver = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=receiver.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{receiver.server_port}/", received
    finally:
        receiver.shutdown()
        receiver.server_close()
        thread.join()
