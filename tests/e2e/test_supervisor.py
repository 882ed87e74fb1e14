"""The server recovers when its Ray cluster dies, and leaves nothing behind when its supervisor dies."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest
import yaml

from tests.e2e.conftest import ROOT, Server, start

pytestmark = pytest.mark.e2e

DEADLINE_S = 90


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Server]:
    """A server of the test's own: it is killed piece by piece."""
    config = yaml.safe_load((ROOT / "serve_config.yaml").read_text())
    config["applications"][0]["args"]["models"] = []
    (tmp_path / "serve.yaml").write_text(yaml.safe_dump(config))
    server = start(tmp_path, tmp_path / "serve.yaml")
    yield server
    if server.process.poll() is None:
        server.process.terminate()
    server.process.communicate(timeout=120)


def test_the_server_outlives_its_cluster_and_nothing_outlives_the_server(own_server: Server) -> None:
    before = family_of(own_server)
    next(process for process in before if process.name() == "raylet").kill()
    wait_until(
        lambda: not any(is_alive(process) for process in before), "something of the old cluster remains"
    )
    wait_until(lambda: answers(own_server), "the server did not come back on its port")
    assert own_server.process.poll() is None

    after = family_of(own_server)
    assert len(after) > 5
    own_server.process.kill()
    wait_until(lambda: not any(is_alive(process) for process in after), "something outlives the supervisor")
    assert not list(own_server.data_dir.glob("cluster-*.env"))


def family_of(server: Server) -> list[psutil.Process]:
    return psutil.Process(server.process.pid).children(recursive=True)


def answers(server: Server) -> bool:
    try:
        return httpx.get(f"{server.url}/ready", timeout=2).status_code == 200
    except httpx.TransportError:
        return False


def is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_until(condition: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, otherwise
