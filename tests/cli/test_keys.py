"""`ai-server keys`: the keys of others, on a database of the test's own."""

import os
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cluster.api_keys import ApiKey
from cluster.jobs.database import Database
from cluster.key_store import KeyStore, digest_of
from deployments.cli.main import app


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AI_SERVER_DATA", str(tmp_path / "data"))
    monkeypatch.delenv("AI_SERVER_DATABASE_URL", raising=False)
    monkeypatch.setenv("COLUMNS", "300")
    return tmp_path / "data"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["keys", *arguments])


def rows(result: Result) -> list[list[str]]:
    lines = [line for line in result.stdout.splitlines() if line.startswith("│")]
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in lines]


def test_a_new_key_stands_alone_on_its_stream_and_opens_the_server(data: Path) -> None:
    result = run("create", "Ada")
    key = result.stdout.removesuffix("\n")
    assert key.startswith("ak-")
    assert len(key) == 35
    assert "key 1, for Ada" in result.stderr
    assert "cannot be shown again" in result.stderr
    database = Database(f"sqlite:///{data / 'jobs.db'}")
    assert KeyStore(database).find(digest_of(key)) == ApiKey("1")
    database.close()


@pytest.mark.parametrize("name", ["", "  ", "a" * 256])
def test_a_name_that_the_database_cannot_hold_is_refused(name: str) -> None:
    assert run("create", name).exit_code == 2


def test_the_list_begins_with_the_file_of_the_admin(data: Path) -> None:
    admin = f"admin ({data / 'api-key'})"
    assert rows(run("list")) == [["0", admin, "", "not made yet", "", ""]]
    run()
    os.utime(data / "api-key", (0, 0))
    run("create", "[red]Ada")
    run("create", "Bob")
    run("revoke", "1")
    first, *others = rows(run("list"))
    assert first == ["0", admin, "1970-01-01 00:00:00Z", "valid", "", ""]
    assert [(key_id, name, state) for key_id, name, _, state, *_ in others] == [
        ("1", "[red]Ada", "revoked"),
        ("2", "Bob", "valid"),
    ]


def test_a_revoked_key_says_how_long_it_may_still_work() -> None:
    run("create", "Ada")
    assert "Key 1 (Ada) is revoked. It may take 15 s" in run("revoke", "1").stdout
    again = run("revoke", "1")
    assert (again.exit_code, again.stdout) == (0, "Key 1 (Ada) was revoked already.\n")


@pytest.mark.parametrize("command", ["revoke", "webhook-secret"])
@pytest.mark.parametrize("key_id", ["7", "ada", "9" * 30, "٣"])
def test_an_unknown_id_is_named(command: str, key_id: str) -> None:
    result = run(command, key_id)
    assert result.exit_code == 1
    assert result.stderr == (
        f"There is no key with the id {key_id}. `ai-server keys list` shows those that there are.\n"
    )


def test_the_admin_key_is_revoked_with_its_file(data: Path) -> None:
    result = run("revoke", "0")
    assert result.exit_code == 1
    assert f"Delete {data / 'api-key'}" in result.stderr


def test_every_key_has_a_webhook_secret_that_stays() -> None:
    run("create", "Ada")
    admins, adas = run("webhook-secret").stdout, run("webhook-secret", "1").stdout
    assert admins.startswith("whsec_")
    assert adas.startswith("whsec_")
    assert admins != adas
    assert run("webhook-secret", "0").stdout == admins
    assert "whsec_" not in run("list").stdout


def test_a_database_that_cannot_be_opened_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AI_SERVER_DATABASE_URL", f"sqlite:///{tmp_path / 'nowhere' / 'jobs.db'}")
    result = run("list")
    assert result.exit_code == 1
    assert "nowhere/jobs.db: (sqlite3.OperationalError) unable to open database file" in result.stderr


def test_the_password_of_a_database_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AI_SERVER_DATABASE_URL", "postgresql://ada:hunter2@127.0.0.1:9/jobs")
    result = run("list")
    assert result.exit_code == 1
    assert "127.0.0.1:9/jobs" in result.stderr
    assert "hunter2" not in result.stderr


def test_an_address_that_is_no_database_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AI_SERVER_DATABASE_URL", "mysql://localhost/jobs")
    result = run("list")
    assert (result.exit_code, "mysql is not supported" in result.stderr) == (1, True)


def test_a_database_of_a_newer_program_is_left_alone(data: Path) -> None:
    run("create", "Ada")
    database = Database(f"sqlite:///{data / 'jobs.db'}")
    with database.write() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    database.close()
    result = run("create", "Bob")
    assert (result.exit_code, "Update it." in result.stderr) == (1, True)


def test_a_key_may_have_limits(data: Path) -> None:
    run("create", "team", "--budget", "20", "--models", "gpt-*, smollm2", "--providers", "OpenAI")
    assert rows(run("list"))[1][5] == "$20.00 a month; models gpt-*, smollm2; providers openai"
    assert "Key 1 (team): $5.00 a month" in run("limit", "1", "--budget", "5").stdout
    assert "no limits" in run("limit", "1").stdout
