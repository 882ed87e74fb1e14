"""Ctrl-C stops everything that the server started; a replica that dies is replaced."""

import time
from pathlib import Path

import httpx
import psutil
import pytest
import yaml

from cluster.jobs.database import Database
from cluster.usage_store import UsageStore
from tests.e2e.conftest import ROOT, Server, start, stop

pytestmark = pytest.mark.e2e


def test_ctrl_c_stops_every_process(tmp_path: Path) -> None:
    config = yaml.safe_load((ROOT / "serve_config.yaml").read_text())
    arguments = config["applications"][0]["args"]
    arguments["models"] = [each for each in arguments["models"] if each["tasks"] == ["chat"]]
    (tmp_path / "serve.yaml").write_text(yaml.safe_dump(config))
    server = start(tmp_path, tmp_path / "serve.yaml")
    family = psutil.Process(server.process.pid).children(recursive=True)
    assert len(family) > 5
    hello = {"messages": [{"role": "user", "content": "Hello!"}], "max_tokens": 1}
    said = httpx.post(f"{server.url}/v1/chat/completions", json=hello, headers=server.auth, timeout=60)
    assert said.status_code == 200
    assert stop(server) == 0
    _, alive = psutil.wait_procs(family, timeout=10)
    assert alive == []
    assert not list(server.data_dir.glob("cluster-*.env"))
    database = Database(f"sqlite:///{server.data_dir / 'jobs.db'}")
    (used,) = UsageStore(database).rows("0000-00-00", "9999-12-31")
    assert used.totals.completion_tokens == 1
    database.close()


def replica_of(server: Server, model: str) -> psutil.Process:
    """Find the process that serves a model."""
    family = psutil.Process(server.process.pid).children(recursive=True)
    return next(process for process in family if process.cmdline()[0].endswith(f":{model}"))


def test_a_replica_that_hangs_makes_the_server_unready(server: Server, client: httpx.Client) -> None:
    replica = replica_of(server, "hibari")
    replica.suspend()
    try:
        answer = client.get("/ready")
    finally:
        replica.resume()
    states = {model["id"]: model["state"] for model in answer.json()["models"]}
    assert answer.status_code == 503
    assert states["hibari"] == "stalled"
    assert states["piper-joe"] == "ready"


def test_a_replica_that_dies_is_replaced(server: Server, client: httpx.Client) -> None:
    body = {"input": "Still here.", "voice": "beeper"}
    replica_of(server, "beeper").kill()
    deadline = time.monotonic() + 60
    answer = client.post("/v1/audio/speech", json=body)
    while answer.status_code != 200:
        assert answer.status_code == 503, answer.text
        assert answer.headers["retry-after"]
        assert time.monotonic() < deadline, "no new replica answered"
        answer = client.post("/v1/audio/speech", json=body)
