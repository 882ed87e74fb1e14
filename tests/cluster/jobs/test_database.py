"""What callers see while the database cannot be used, and that they see the end of it."""

import asyncio
import logging
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest
from sqlalchemy import text

from cluster.jobs import database as database_module
from cluster.jobs.database import THREADS, Database, DatabaseUrlError
from cluster.jobs.errors import StoreUnavailable
from cluster.jobs.job import JobFilter
from cluster.jobs.store import JobStore
from tests.cluster.jobs.builders import Bench, FakeClock, new_job
from tests.postgres import PostgresServer


@pytest.fixture
def on_postgres(postgres_url: str, clock: FakeClock) -> Iterator[Bench]:
    database = Database(postgres_url)
    yield Bench(database, clock)
    database.close()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_module, "ANSWER_LIMIT_S", 0.2)


def test_a_locked_file_is_unavailable_to_writers_and_open_to_readers(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "LOCK_LIMIT_S", 0.05)
    database = Database(sqlite_url)
    store = JobStore(database)
    [first] = store.submit([new_job()])
    holder = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"))
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable):
        store.submit([new_job()])
    assert [job.id for job in store.some(JobFilter(), 10)] == [first.id]
    holder.rollback()
    holder.close()
    assert store.submit([new_job()])[0].is_new
    database.close()


def test_a_server_that_stops_is_used_again_when_it_is_back(
    on_postgres: Bench, postgres: PostgresServer
) -> None:
    job_id = on_postgres.submit()
    postgres.stop()
    try:
        with pytest.raises(StoreUnavailable):
            on_postgres.get(job_id)
        with pytest.raises(StoreUnavailable):
            on_postgres.submit()
        with pytest.raises(StoreUnavailable):
            on_postgres.claim()
    finally:
        postgres.start()
    assert on_postgres.get(job_id).id == job_id
    assert [claimed.id for claimed in on_postgres.claim()] == [job_id]


def test_a_server_that_restarts_within_a_transaction_is_unavailable(
    on_postgres: Bench, postgres: PostgresServer
) -> None:
    def restart_within_a_transaction() -> None:
        with on_postgres.database.write() as connection:
            connection.execute(text("SELECT 1"))
            postgres.stop()
            postgres.start()
            connection.execute(text("SELECT 1"))

    with pytest.raises(StoreUnavailable):
        restart_within_a_transaction()
    assert on_postgres.submit()


@pytest.mark.usefixtures("impatient")
async def test_a_server_that_hangs_does_not_hang_its_callers(
    on_postgres: Bench, postgres: PostgresServer
) -> None:
    run, store = on_postgres.database.run, on_postgres.store
    [submitted] = await run(store.submit, [new_job()])
    postgres.pause()
    try:
        with pytest.raises(StoreUnavailable):
            await run(store.get, submitted.id)
    finally:
        postgres.resume()
    assert (await asyncio.to_thread(store.get, submitted.id)).id == submitted.id


def test_a_standby_that_only_reads_is_unavailable_to_writers(on_postgres: Bench, postgres_url: str) -> None:
    with on_postgres.database.write() as connection:
        connection.execute(text("ALTER DATABASE postgres SET default_transaction_read_only = on"))
    standby = Database(postgres_url)
    try:
        with pytest.raises(StoreUnavailable):
            JobStore(standby).submit([new_job()])
    finally:
        standby.close()
        with on_postgres.database.write() as connection:
            connection.execute(text("ALTER DATABASE postgres RESET default_transaction_read_only"))


def test_a_database_without_its_tables_is_unavailable(empty_database_url: str) -> None:
    database = Database(empty_database_url)
    with pytest.raises(StoreUnavailable):
        JobStore(database).submit([new_job()])
    with pytest.raises(StoreUnavailable):
        JobStore(database).get(1)
    database.close()


def test_a_file_in_a_folder_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    path = tmp_path / "later" / "jobs.sqlite"
    database = Database(f"sqlite:///{path}")
    with pytest.raises(StoreUnavailable):
        JobStore(database).get(1)
    path.parent.mkdir()
    with database.read() as connection:
        assert connection.execute(text("SELECT 1")).scalar_one() == 1
    database.close()


def test_what_was_written_before_an_error_is_taken_back(bench: Bench) -> None:
    class Halted(Exception):
        pass

    def write_and_halt() -> None:
        with bench.database.write() as connection:
            connection.execute(text("UPDATE jobs SET tag = 'half'"))
            raise Halted

    job_id = bench.submit()
    with pytest.raises(Halted):
        write_and_halt()
    assert bench.get(job_id).tag is None


@pytest.mark.usefixtures("impatient")
async def test_a_call_that_found_no_free_thread_in_time_is_never_made(sqlite: Database) -> None:
    released, made = Event(), Event()
    blockers = [asyncio.create_task(sqlite.run(released.wait, 10.0)) for _ in range(THREADS)]
    await asyncio.sleep(0)
    with pytest.raises(StoreUnavailable):
        await sqlite.run(made.set)
    await asyncio.sleep(0)  # the thread pool hears of it in the next round of the loop
    released.set()
    await asyncio.gather(*blockers, return_exceptions=True)
    await asyncio.gather(*(sqlite.run(int) for _ in range(THREADS)))
    assert not made.is_set()


async def test_a_call_whose_caller_gave_up_before_it_began_is_never_made(sqlite: Database) -> None:
    released, made = Event(), Event()
    blockers = [asyncio.create_task(sqlite.run(released.wait, 10.0)) for _ in range(THREADS)]
    impatient = asyncio.create_task(sqlite.run(made.set))
    await asyncio.sleep(0)
    impatient.cancel()
    with pytest.raises(asyncio.CancelledError):
        await impatient
    await asyncio.sleep(0)
    released.set()
    await asyncio.gather(*blockers)
    await asyncio.gather(*(sqlite.run(int) for _ in range(THREADS)))
    assert not made.is_set()


@pytest.mark.usefixtures("impatient")
async def test_an_error_that_comes_after_its_caller_left_makes_no_noise(
    sqlite: Database, caplog: pytest.LogCaptureFixture
) -> None:
    released = Event()

    def fail_late() -> None:
        released.wait(10.0)
        raise StoreUnavailable("late")

    with pytest.raises(StoreUnavailable, match="does not answer"):
        await sqlite.run(fail_late)
    released.set()
    with caplog.at_level(logging.ERROR, "asyncio"):
        await asyncio.gather(*(sqlite.run(int) for _ in range(THREADS)))
        await asyncio.sleep(0)
    assert caplog.records == []


@pytest.mark.parametrize(
    "url",
    [
        "",
        "jobs.sqlite",
        "mysql://host/name",
        "postgresql+asyncpg://host/name",
        "postgresql+nothing://host/name",
        "sqlite+aiosqlite:///jobs.sqlite",
        "sqlite://",
        "sqlite:///:memory:",
    ],
)
def test_a_url_that_cannot_be_used_is_refused(url: str) -> None:
    with pytest.raises(DatabaseUrlError, match="AI_SERVER_DATABASE_URL"):
        Database(url)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_the_usual_names_of_postgresql_are_understood(scheme: str) -> None:
    database = Database(f"{scheme}://user:secret@host/name")
    assert database.engine.url.drivername == "postgresql+psycopg"
    database.close()


def test_a_missing_driver_is_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(DatabaseUrlError, match="pip install"):
        Database("postgresql://host/name")
