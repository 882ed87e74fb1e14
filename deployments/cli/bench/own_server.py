"""A server of our own for a benchmark, on a cluster of its own; it ends with the context."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import yaml

from deployments.cli.bench.machine import seconds_to_ready


@dataclass(frozen=True)
class OwnServer:
    """A server that runs."""

    url: str
    key: str
    database_url: str
    process: psutil.Process


@contextmanager
def own_server(
    folder: Path, port: int, arguments: Mapping[str, Any], environment: Mapping[str, str] | None = None
) -> Iterator[OwnServer]:
    """Serve an application for the block.

    Args:
        folder: where its data lie.
        port: a free one.
        arguments: the ``args`` of its configuration.
        environment: of its processes, beside ours.
    """
    settings = {"AI_SERVER_DATA": str(folder / "data"), "RAY_AUTH_TOKEN_PATH": str(folder / "token")}
    module = (sys.executable, "-m", "deployments.cli.main")
    command = [*module, "serve", str(_config(folder, arguments)), "--port", str(port)]
    process = subprocess.Popen(  # noqa: S603  # our own command
        command, env={**os.environ, **settings, **(environment or {})}, stdout=subprocess.DEVNULL
    )
    try:
        url = f"http://127.0.0.1:{port}"
        seconds_to_ready(f"{url}/ready", process, time.monotonic())
        key = (folder / "data" / "api-key").read_text().strip()
        yield OwnServer(url, key, f"sqlite:///{folder / 'data' / 'jobs.db'}", psutil.Process(process.pid))
    finally:
        process.terminate()
        process.wait()


def _config(folder: Path, arguments: Mapping[str, Any]) -> Path:
    path = folder / "serve.yaml"
    logging = {"encoding": "JSON", "enable_access_log": False}
    application = {"name": "ai-server", "import_path": "deployments.app:build", "args": dict(arguments)}
    path.write_text(yaml.safe_dump({"logging_config": logging, "applications": [application]}))
    return path
