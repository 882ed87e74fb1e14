import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from cluster.jobs.database import Database
from cluster.jobs.schema import REVISION, metadata
from cluster.jobs.store import JobStore
from cluster.jobs.upgrade import MIGRATIONS, NewerSchema, upgrade
from tests.cluster.jobs.builders import new_job

PROGRAM = """
import sys
from cluster.jobs.database import Database
from cluster.jobs.upgrade import upgrade
sys.stdin.readline()
upgrade(Database(sys.argv[1]))
"""


@pytest.fixture
def empty(empty_database_url: str) -> Iterator[Database]:
    database = Database(empty_database_url)
    yield database
    database.close()


def definitions(database: Database) -> set[str]:
    """Give the indexes as the database itself writes them, with their conditions."""
    is_sqlite = database.engine.dialect.name == "sqlite"
    query = (
        "SELECT sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
        if is_sqlite
        else "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename <> 'alembic_version'"
    )
    with database.read() as connection:
        return set(connection.execute(text(query)).scalars())


def test_an_empty_database_can_be_used_afterwards(empty: Database) -> None:
    upgrade(empty)
    assert JobStore(empty).submit([new_job()])[0].is_new


def test_a_second_upgrade_changes_nothing(empty: Database) -> None:
    upgrade(empty)
    [submitted] = JobStore(empty).submit([new_job()])
    before = definitions(empty)
    upgrade(empty)
    assert definitions(empty) == before
    assert JobStore(empty).get(submitted.id).id == submitted.id


def test_threads_that_start_at_once_upgrade_once(empty: Database) -> None:
    barrier = Barrier(4)

    def start() -> None:
        barrier.wait()
        upgrade(empty)

    with ThreadPoolExecutor(4) as pool:
        for future in [pool.submit(start) for _ in range(4)]:
            future.result()
    assert JobStore(empty).submit([new_job()])[0].is_new


def test_processes_that_start_at_once_upgrade_once(empty_database_url: str) -> None:
    command = [sys.executable, "-c", PROGRAM, empty_database_url]
    servers = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(3)
    ]
    for server in servers:
        assert server.stdin is not None
        server.stdin.write("\n")
        server.stdin.flush()
    complaints = [server.communicate()[1] for server in servers]
    assert complaints == ["", "", ""]
    assert [server.returncode for server in servers] == [0, 0, 0]


def test_a_database_of_a_newer_program_is_refused(empty: Database) -> None:
    upgrade(empty)
    with empty.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(NewerSchema, match=f"has version 9999; this program knows {REVISION}"):
        upgrade(empty)


def test_the_migrations_make_the_tables_of_the_schema(empty: Database) -> None:
    upgrade(empty)
    with empty.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
    migrated = definitions(empty)
    with empty.write() as connection:
        metadata.drop_all(connection)
        metadata.create_all(connection)
    assert definitions(empty) == migrated


def test_the_revision_of_the_schema_is_the_newest_migration() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_current_head() == REVISION
