"""Ctrl-C stops everything that the server started; a replica that dies is replaced."""

from pathlib import Path

import httpx
import psutil
import pytest
import yaml

from tests.e2e.conftest import ROOT, Server, start, stop

pytestmark = pytest.mark.e2e


def test_ctrl_c_stops_every_process(tmp_path: Path) -> None:
    config = yaml.safe_load((ROOT / "serve_config.yaml").read_text())
    config["applications"][0]["args"]["models"] = []
    (tmp_path / "serve.yaml").write_text(yaml.safe_dump(config))
    server = start(tmp_path, tmp_path / "serve.yaml")
    family = psutil.Process(server.process.pid).children(recursive=True)
    assert len(family) > 5
    assert stop(server) == 0
    _, alive = psutil.wait_procs(family, timeout=10)
    assert alive == []
    assert not (server.data_dir / "cluster.env").exists()


def test_a_replica_that_dies_is_replaced_and_its_caller_hardly_notices(
    server: Server, client: httpx.Client
) -> None:
    body = {"input": "Still here.", "voice": "hibari"}
    family = psutil.Process(server.process.pid).children(recursive=True)
    replica = next(process for process in family if process.name().startswith("ray::ServeRepli")
                   and "hibari" in " ".join(process.cmdline()))  # fmt: skip
    replica.kill()
    assert client.post("/v1/audio/speech", json=body).status_code in {200, 503}
    deadline_tries = 200
    while client.post("/v1/audio/speech", json=body).status_code != 200:
        deadline_tries -= 1
        assert deadline_tries, "no new replica answered"
