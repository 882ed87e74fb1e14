"""`ai-server usage`, and what `keys list` says of spending, on a database of the test's own."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cluster.jobs.database import Database
from cluster.usage_records import Totals, UsageKey
from cluster.usage_store import UsageStore
from deployments.cli.main import app

TODAY = f"{datetime.now(UTC).date()}"
USED = Totals(requests=3, failures=1, prompt_tokens=1200, completion_tokens=5, cost=1.5)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


@pytest.fixture(autouse=True)
def used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AI_SERVER_DATA", str(tmp_path / "data"))
    monkeypatch.delenv("AI_SERVER_DATABASE_URL", raising=False)
    monkeypatch.setenv("COLUMNS", "300")
    assert run("keys", "create", "Ada", "--budget", "20").exit_code == 0
    database = Database(f"sqlite:///{tmp_path / 'data' / 'jobs.db'}")
    today = UsageKey(TODAY, "1", "chat", "[red]gpt", "openai")
    UsageStore(database).add({today: USED, UsageKey("2020-02-02", "0", "chat", "old", "openai"): USED})
    database.close()


def test_it_shows_this_month() -> None:
    shown = run("usage").stdout
    assert "[red]gpt" in shown
    assert "1,200" in shown
    assert "1.5000" in shown
    assert "old" not in shown


def test_it_prints_json_for_machines() -> None:
    lines = run("usage", "--from", "2020-01-01", "--json").stdout.splitlines()
    old, new = map(json.loads, lines)
    assert (old["day"], old["owner"], old["model"]) == ("2020-02-02", "0", "old")
    assert (new["day"], new["requests"], new["cost"]) == (TODAY, 3, 1.5)
    assert run("usage", "--from", "2020-01-01", "--key", "1", "--json").stdout.splitlines() == lines[1:]


@pytest.mark.parametrize("days", [["--from", "2020-02-03", "--to", "2020-02-02"], ["--from", "yesterday"]])
def test_days_that_make_no_sense_are_refused(days: list[str]) -> None:
    assert run("usage", *days).exit_code == 2


def test_the_list_of_keys_says_what_each_spent() -> None:
    row = next(line for line in run("keys", "list").stdout.splitlines() if "Ada" in line)
    assert [cell.strip() for cell in row.strip("│").split("│")][-2:] == ["1.50", "$20.00 a month"]
