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

ROOT = Path(__file__).parents[2]
START_LIMIT_S = 180

BEEPER = '''
"""A pipeline as a newcomer would write it: every word is a beep."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pipelines.loading import EngineSettings, PipelineOptions
from pipelines.tasks.base import Workspace
from pipelines.tasks.text_to_speech import SpokenAudio, TextToSpeechRequest


class BeeperPipeline:
    """Speaks in beeps."""

    class Options(PipelineOptions):
        frequency_hz: float = 440.0

    def __init__(self, weights: Path | None, options: Options, engine: EngineSettings) -> None:
        seconds = np.arange(1_600) / 16_000
        self._beep = (8_000 * np.sin(2 * np.pi * options.frequency_hz * seconds)).astype(np.int16)

    def text_to_speech(self, request: TextToSpeechRequest, workspace: Workspace) -> Iterator[SpokenAudio]:
        for _ in request.text.split():
            yield SpokenAudio(self._beep, 16_000)
'''

EXTRA_MODELS = """
- {id: beeper, tasks: [text-to-speech], pipeline: "my_beeper:BeeperPipeline", resources: {num_cpus: 0.1}}
- {id: lost-voice, tasks: [text-to-speech], pipeline: "pipelines.piper:PiperPipeline",
   source: [{folder: voices/lost.onnx}], resources: {num_cpus: 0.1}}
"""


@dataclass(frozen=True)
class Server:
    """A running server, as its operator sees it."""

    url: str
    key: str
    data_dir: Path
    ray_address: str
    banner: str
    environment: dict[str, str]
    process: "subprocess.Popen[str]"

    @property
    def auth(self) -> dict[str, str]:
        """The header that opens it."""
        return {"Authorization": f"Bearer {self.key}"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def start(folder: Path, config_file: Path) -> Server:
    """Start `ai-server serve` and wait for its banner."""
    port = free_port()
    environment = {
        **os.environ,
        "AI_SERVER_DATA": str(folder / "data"),
        "RAY_AUTH_TOKEN_PATH": str(folder / "ray-token"),
        "PYTHONPATH": str(folder),
    }
    command = [sys.executable, "-m", "deployments.cli.main", "serve", str(config_file), "--port", str(port)]
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    banner = _read_banner(process)
    return Server(
        url=f"http://127.0.0.1:{port}",
        key=(folder / "data" / "api-key").read_text().strip(),
        data_dir=folder / "data",
        ray_address=_found(r"RAY_ADDRESS=(\S+)", banner),
        banner=banner,
        environment=environment,
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
    return match.group(1)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The default configuration, with two models more: one of a newcomer, one that cannot load."""
    folder = tmp_path_factory.mktemp("server")
    (folder / "my_beeper.py").write_text(BEEPER)
    config = yaml.safe_load((ROOT / "serve_config.yaml").read_text())
    arguments = config["applications"][0]["args"]
    arguments["models"] += yaml.safe_load(EXTRA_MODELS)
    arguments["limits"] = {"upload_bytes": 60_000_000}
    (folder / "serve.yaml").write_text(yaml.safe_dump(config))
    running = start(folder, folder / "serve.yaml")
    yield running
    assert stop(running) == 0


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, headers=server.auth, timeout=120) as client:
        yield client


@pytest.fixture
def openai_client(server: Server) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key=server.key, max_retries=0) as client:
        yield client
