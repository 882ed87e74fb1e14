"""One real server for the whole session: `ai-server serve` in a process of its own, real models, real Ray."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import openai
import pytest
import yaml

from cluster.jobs.database import Database
from cluster.key_store import KeyStore
from tests.sleeper import sleeper
from tests.talkers import Talker, endless_talker

ROOT = Path(__file__).parents[2]
SENTENCE = "The quick brown fox jumps over the lazy dog."

IMPORTS = """
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pipelines.loading import EngineSettings, PipelineOptions
from pipelines.tasks.base import Workspace
from pipelines.tasks.text_to_speech import SpokenAudio, TextToSpeechRequest
"""

LOST_VOICE = {
    "id": "lost-voice",
    "tasks": ["text-to-speech"],
    "pipeline": "pipelines.piper:PiperPipeline",
    "source": [{"folder": "voices/lost.onnx"}],
    "resources": {"num_cpus": 0.1},
}

UPLOAD_LIMIT_BYTES = 60_000_000


@dataclass(frozen=True)
class Server:
    """A running server, as its operator sees it."""

    port: int
    key: str
    data_dir: Path
    metrics_url: str
    banner: str
    process: "subprocess.Popen[str]"

    @property
    def url(self) -> str:
        """Where clients find it."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def auth(self) -> dict[str, str]:
        """The header that opens it."""
        return {"Authorization": f"Bearer {self.key}"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def start(folder: Path, config_file: Path, port: int | None = None, **settings: str) -> Server:
    """Start `ai-server serve` and wait for its banner; `settings` go into its environment."""
    port = port or free_port()
    environment = {
        **os.environ,
        "AI_SERVER_DATA": str(folder / "data"),
        "RAY_AUTH_TOKEN_PATH": str(folder / "ray-token"),
        "PYTHONPATH": str(folder),
        **settings,
    }
    command = [sys.executable, "-m", "deployments.cli.main", "serve", str(config_file), "--port", str(port)]
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    banner = _read_banner(process)
    return Server(
        port=port,
        key=(folder / "data" / "api-key").read_text().strip(),
        data_dir=folder / "data",
        metrics_url=_found(r"Metrics:\s+(\S+)", banner),
        banner=banner,
        process=process,
    )


def stop(server: Server) -> int:
    """Press Ctrl-C and wait for the end."""
    server.process.send_signal(signal.SIGINT)
    server.process.communicate(timeout=120)
    return server.process.returncode


def _read_banner(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line)
        if "Ctrl-C stops it" in line:
            return "".join(lines)
    raise AssertionError("the server ended before it was ready:\n" + "".join(lines))


def _found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    assert match, f"{pattern} is not in:\n{text}"
    found: str = match.group(1)
    return found


def recipe(language: str, containing: str) -> str:
    """Give a code block of CONTRIBUTING.md: what it tells newcomers is what the tests run."""
    blocks: list[str] = re.findall(
        rf"```{language}\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.DOTALL
    )
    return next(block for block in blocks if containing in block)


def write_configuration(folder: Path) -> Path:
    """Write the default configuration with two models more: a newcomer's, and one that cannot load."""
    (folder / "my_beeper.py").write_text(IMPORTS + recipe("python", "class BeeperPipeline"))
    config = yaml.safe_load((ROOT / "serve_config.yaml").read_text())
    arguments = config["applications"][0]["args"]
    beeper = {**yaml.safe_load(recipe("yaml", "my_beeper"))[0], "resources": {"num_cpus": 0.1}}
    growing = {"min_replicas": 0, "max_replicas": 2, "upscale_delay_s": 0}
    naps = [sleeper(folder), sleeper(folder, id="growing", autoscaling=growing)]
    arguments["models"] += [beeper, LOST_VOICE, *naps]
    arguments["limits"] = {"upload_bytes": UPLOAD_LIMIT_BYTES}
    arguments["outside"] = {"allow_networks": ["127.0.0.0/8"]}
    path = folder / "serve.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


@pytest.fixture(scope="session")
def talker() -> Iterator[Talker]:
    """A provider that the server knows as its `ollama`."""
    with endless_talker() as talker:
        yield talker


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, talker: Talker) -> Iterator[Server]:
    """The server of the session; that it stops well is checked at its end."""
    folder = tmp_path_factory.mktemp("server")
    # Nobody listens there: a provider that is switched on, and away.
    away = {"GROQ_API_KEY": "gsk-fake", "GROQ_BASE_URL": f"http://127.0.0.1:{free_port()}/v1"}
    running = start(folder, write_configuration(folder), None, **away, OLLAMA_BASE_URL=talker.url)
    yield running
    assert stop(running) == 0


@pytest.fixture
def second_key(server: Server) -> str:
    """The key of somebody else."""
    database = Database(f"sqlite:///{server.data_dir / 'jobs.db'}")
    _, key = KeyStore(database).create("somebody else")
    database.close()
    return key


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, headers=server.auth, timeout=120) as client:
        yield client


@pytest.fixture
def openai_client(server: Server) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key=server.key, max_retries=0) as client:
        yield client


@pytest.fixture(scope="session")
def spoken(server: Server) -> bytes:
    """A sentence, spoken by the server."""
    body = {"input": SENTENCE, "response_format": "wav"}
    answer = httpx.post(f"{server.url}/v1/audio/speech", json=body, headers=server.auth, timeout=60)
    assert answer.status_code == 200, answer.text
    return answer.content
