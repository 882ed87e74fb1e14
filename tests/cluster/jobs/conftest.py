import os
from collections.abc import Iterator
from pathlib import Path
from shutil import copy
from tempfile import TemporaryDirectory

import pytest
from sqlalchemy import text

from cluster.jobs.database import Database
from cluster.jobs.schema import metadata
from cluster.jobs.upgrade import upgrade
from tests.cluster.jobs.builders import Bench, FakeClock
from tests.cluster.jobs.flaky import FlakyDatabase
from tests.postgres import PostgresMissing, PostgresServer, postgres_server

BACKENDS = ("sqlite", "postgresql")


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """Skips on a laptop without PostgreSQL; CI must have it."""
    with TemporaryDirectory(prefix="pg-", dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        data = Path(folder, "data")
        data.mkdir()
        try:
            with postgres_server(data) as server:
                yield server
        except PostgresMissing as error:
            if os.environ.get("CI") == "true":
                pytest.fail(str(error))
            pytest.skip(str(error))


@pytest.fixture(scope="session")
def cleaner(postgres: PostgresServer) -> Iterator[Database]:
    """The connection that empties the tables of PostgreSQL between tests."""
    database = Database(postgres.url)
    yield database
    database.close()


@pytest.fixture
def empty_postgres_url(postgres: PostgresServer, cleaner: Database) -> str:
    with cleaner.write() as connection:
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))
    return postgres.url


@pytest.fixture
def postgres_url(postgres: PostgresServer, cleaner: Database) -> str:
    """Of a server whose tables are there, and empty."""
    upgrade(cleaner)
    with cleaner.write() as connection:
        names = ", ".join(table.name for table in metadata.sorted_tables)
        connection.execute(text(f"TRUNCATE {names} RESTART IDENTITY"))
    return postgres.url


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file whose tables are there: a copy takes less time than an upgrade."""
    path = tmp_path_factory.mktemp("template") / "jobs.sqlite"
    database = Database(f"sqlite:///{path}")
    upgrade(database)
    database.close()
    return path


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    return f"sqlite:///{copy(sqlite_template, tmp_path / 'jobs.sqlite')}"


@pytest.fixture(params=BACKENDS)
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Of a database without any table."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'jobs.sqlite'}"
    url: str = request.getfixturevalue("empty_postgres_url")
    return url


@pytest.fixture(params=BACKENDS)
def database_url(request: pytest.FixtureRequest) -> str:
    """Of a database whose tables are there, and empty."""
    url: str = request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url")
    return url


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database(database_url)
    yield database
    database.close()


@pytest.fixture
def sqlite(sqlite_url: str) -> Iterator[Database]:
    """For tests of what does not depend on the database."""
    database = Database(sqlite_url)
    yield database
    database.close()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def flaky(sqlite_url: str, clock: FakeClock) -> Iterator[Bench]:
    """For tests of who must live with a database that goes away."""
    database = FlakyDatabase(sqlite_url)
    yield Bench(database, clock)
    database.close()


@pytest.fixture
def bench(database: Database, clock: FakeClock) -> Bench:
    return Bench(database, clock)
