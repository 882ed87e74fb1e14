"""The peer of `ai-server bench chat`: LiteLLM's proxy from PyPI, in an environment of its own."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import yaml

from deployments.cli.bench.chat_load import Side

START_LIMIT_S = 120.0
KEY = f"sk-{'0123456789abcdef' * 2}"
"""It refuses to start with a shorter one."""


def install(folder: Path) -> Path:
    """Make its environment where it is missing (a few minutes), and give its command."""
    command = folder / "bin" / "litellm"
    if not command.exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)  # noqa: S603  # our own command
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "litellm[proxy]"]
        subprocess.run(pip, check=True)  # noqa: S603  # our own command
    return command


@contextmanager
def litellm(command: Path, folder: Path, port: int, upstream: str) -> Iterator[Side]:
    """Run the proxy in front of `upstream` for the block.

    Raises:
        RuntimeError: it does not start; shows what it said.
    """
    parameters = {"model": "openai/bench", "api_base": upstream, "api_key": "sk-none"}
    config = folder / "litellm.yaml"
    config.write_text(yaml.safe_dump({"model_list": [{"model_name": "bench", "litellm_params": parameters}]}))
    # Without the second it asks for a list of prices on the internet.
    environment = {"LITELLM_MASTER_KEY": KEY, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    log = folder / "litellm.log"
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603  # our own command
            [command, "--config", config, "--host", "127.0.0.1", "--port", str(port)],
            env={**os.environ, **environment},
            stdout=output,
            stderr=output,
        )
    try:
        _await(f"http://127.0.0.1:{port}/health/liveliness", process, log)
        yield Side("LiteLLM", f"http://127.0.0.1:{port}/v1", KEY)
    finally:
        process.terminate()
        process.wait()


def _await(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    until = time.monotonic() + START_LIMIT_S
    while process.poll() is None and time.monotonic() < until:
        try:
            if httpx.get(url).is_success:
                return
        except httpx.TransportError:
            time.sleep(0.2)
    raise RuntimeError(f"LiteLLM does not start: {log.read_text()[-2_000:]}")
