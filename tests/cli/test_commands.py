"""The commands that need no server, and what the others say when there is none."""

import os
import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from configs.load import ConfigError
from configs.schema import ModelConfig, ServerConfig
from deployments.app import build
from deployments.cli import environment
from deployments.cli.bench.measure import Comparison, medians
from deployments.cli.local_cluster import check_port_is_free
from deployments.cli.main import app

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AI_SERVER_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("AI_SERVER_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("COLUMNS", "300")


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_keys_makes_the_key_once_and_shows_it_only_when_asked(tmp_path: Path) -> None:
    key = run("keys", "--show").output.strip()
    assert key.startswith("ak-")
    assert len(key) == 35
    assert run("keys", "--show").output.strip() == key
    assert run("keys").output.strip() == f"admin: {tmp_path / 'data' / 'api-key'}"


def test_models_says_where_the_weights_lie(tmp_path: Path) -> None:
    output = run("models", ROOT / "serve_config.yaml").output
    assert "en_US-joe-medium.onnx" in output
    assert str(tmp_path / "data" / "models" / "whisper-base") in output


def test_models_names_what_is_missing_with_the_remedy(tmp_path: Path) -> None:
    file = tmp_path / "serve.yaml"
    file.write_text(
        "applications: [{args: {models: [{id: m, tasks: [text-to-speech], "
        "pipeline: 'pipelines.piper:PiperPipeline', source: [{folder: nowhere}]}]}}]"
    )
    assert "Put the files into one of the folders" in run("models", file).output


@pytest.mark.parametrize("command", ["models", "serve"])
def test_a_broken_configuration_is_named_by_its_key(tmp_path: Path, command: str) -> None:
    file = tmp_path / "serve.yaml"
    file.write_text("applications: [{args: {modles: []}}]")
    result = run(command, file)
    assert result.exit_code == 2
    assert "applications[0].args.modles" in result.output


@pytest.mark.parametrize("command", ["status", "try"])
def test_without_a_server_they_say_how_to_start_one(tmp_path: Path, command: str) -> None:
    result = run(command, *([tmp_path / "out"] if command == "try" else []))
    assert result.exit_code == 1
    assert "Start the server with `make run`" in result.output


def test_a_task_that_there_is_not_is_named_by_its_key() -> None:
    model = ModelConfig(id="m", tasks=("speech2text",), pipeline="pipelines.whisper:WhisperPipeline")
    with pytest.raises(
        ConfigError, match=r"models\[0\]\.tasks: unknown: speech2text\. Tasks: .*speech-to-text"
    ):
        build(ServerConfig(models=(model,)))


def test_bench_lists_what_it_measures() -> None:
    output = run("bench", "--help").output
    assert all(name in output for name in ("speech", "transforms", "media", "memory", "startup"))


def test_a_port_in_use_is_refused_with_the_remedy() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ConfigError, match=r"http_options\.port: .*--port"):
            check_port_is_free("127.0.0.1", taken.getsockname()[1])


def test_the_cluster_gets_a_token_that_only_its_owner_reads(tmp_path: Path) -> None:
    path = tmp_path / "ray" / "token"
    environ = {"RAY_AUTH_TOKEN_PATH": str(path), "RAY_DEDUP_LOGS": "1"}
    environment.prepare(environ)
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(path.read_text()) == 64
    assert environ["RAY_AUTH_MODE"] == "token"
    assert environ["RAY_DEDUP_LOGS"] == "1"
    assert os.environ.get("RAY_AUTH_TOKEN_PATH") != str(path)


def test_a_ratio_is_ours_over_bare_and_throughput_the_other_way() -> None:
    slower = Comparison("a", bare_s=2.0, ours_s=3.0, limit=1.5)
    throughput = Comparison("b", bare_s=3.0, ours_s=2.0, limit=1.6, kind="throughput")
    assert (slower.ratio, slower.holds) == (1.5, True)
    assert (throughput.ratio, throughput.holds) == (1.5, False)


def test_both_sides_take_turns_after_a_warm_up() -> None:
    turns: list[str] = []
    medians(lambda: turns.append("bare"), lambda: turns.append("ours"), runs=2)
    assert turns == ["bare", "ours"] * 3
