"""The database under the job store: SQLite in a file, or PostgreSQL, with the same statements on both."""

import asyncio
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from math import inf
from typing import Any, ParamSpec, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from cluster.jobs.errors import StoreUnavailable

T = TypeVar("T")
P = ParamSpec("P")

THREADS = 8
ANSWER_LIMIT_S = 15.0
"""A database that hangs must not hang its callers; above both limits below, so that theirs speak first."""
LOCK_LIMIT_S = 5.0
"""How long a writer waits for another one's lock."""
CONNECT_LIMIT_S = 5

_READ = {"ai_server_read": True}
_PASSING = {
    "42P01",  # no such table: the server that makes them is just starting
    "25006",  # only for reading: the standby that we reached will be replaced
}
"""States of PostgreSQL that pass, though its driver counts them as mistakes of the program."""


class DatabaseUrlError(Exception):
    """``AI_SERVER_DATABASE_URL`` cannot be used; the message names the remedy."""


class Database:
    """Hands out connections in transactions; its errors are `StoreUnavailable` where waiting helps.

    Blocks; `run` does it in a thread. May be made before the database is there: nothing is opened
    until the first use.
    """

    def __init__(self, url: str) -> None:
        """Take ``sqlite:///file`` or ``postgresql://user@host/name``.

        Raises:
            DatabaseUrlError: it is neither, or its driver is not installed.
        """
        self._engine = _engine(url)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="database")
        self._wanted = threading.local()
        self._writers = threading.Lock() if self._engine.dialect.name == "sqlite" else None

    @property
    def engine(self) -> Engine:
        """For schema versions and tests; everybody else uses `read` and `write`."""
        return self._engine

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a transaction that changes nothing and waits for no writer."""
        with _named_faults(), self._engine.connect() as plain:
            connection = plain.execution_options(**_READ)
            with connection.begin():
                yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Open a transaction; when its block has ended well, what it wrote is on the disk."""
        with self._turn(), _named_faults(), self._engine.begin() as connection:
            yield connection
            if time.monotonic() > getattr(self._wanted, "until", inf):
                raise StoreUnavailable("The job store answered too late.")  # and so nothing is written

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Let the threads of this process write to SQLite one after the other: it would have them poll."""
        if self._writers is None:
            yield
            return
        if not self._writers.acquire(timeout=LOCK_LIMIT_S):
            raise StoreUnavailable("The job store is busy. Try again soon.")
        try:
            yield
        finally:
            self._writers.release()

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do blocking work in a thread of our own: a hanging database must not take everybody's threads.

        Raises:
            StoreUnavailable: the database did not answer in time. Nothing is written then, unless the very
                last word of the transaction was under way.
        """
        until = time.monotonic() + ANSWER_LIMIT_S

        def call() -> T:
            self._wanted.until = until
            return work(*args, **kwargs)

        future = asyncio.get_running_loop().run_in_executor(self._threads, call)
        try:
            done, _ = await asyncio.wait([future], timeout=ANSWER_LIMIT_S)
            if not done:
                raise StoreUnavailable("The job store does not answer. Try again in a moment.")
            return future.result()
        finally:
            future.cancel()  # what still waits for a thread must not happen when nobody expects it any more

    def close(self) -> None:
        """Close every connection."""
        self._threads.shutdown(wait=False)
        self._engine.dispose()


def _engine(url: str) -> Engine:
    parsed = _with_driver(url)
    if parsed.get_backend_name() == "sqlite":
        engine = create_engine(parsed, connect_args={"timeout": LOCK_LIMIT_S}, hide_parameters=True)
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    try:
        return create_engine(
            parsed,
            pool_size=THREADS,
            hide_parameters=True,  # in errors: they are people's texts, and secrets
            pool_pre_ping=True,  # the connections of before a restart are dead
            connect_args={
                "connect_timeout": CONNECT_LIMIT_S,
                # A machine that vanished would otherwise keep a thread for hours.
                "keepalives_idle": CONNECT_LIMIT_S,
                "keepalives_interval": CONNECT_LIMIT_S,
                "keepalives_count": 2,
                "tcp_user_timeout": int(ANSWER_LIMIT_S * 1000),
                "options": f"-c lock_timeout={LOCK_LIMIT_S:.0f}s -c statement_timeout={ANSWER_LIMIT_S:.0f}s",
            },
        )
    except ModuleNotFoundError as error:
        raise DatabaseUrlError(
            "AI_SERVER_DATABASE_URL: PostgreSQL needs its driver: pip install 'ai-server-on-ray[postgres]'"
        ) from error


def _with_driver(url: str) -> URL:
    try:
        parsed = make_url(url)
    except Exception as error:
        raise DatabaseUrlError("AI_SERVER_DATABASE_URL: not a database URL") from error
    if parsed.drivername in ("postgres", "postgresql", "postgresql+psycopg"):
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername == "sqlite" and parsed.database not in (None, "", ":memory:"):
        return parsed
    raise DatabaseUrlError(
        f"AI_SERVER_DATABASE_URL: {parsed.drivername} is not supported. Use sqlite:///… or postgresql://…"
    )


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    _hide_file(connection)
    connection.isolation_level = None  # Python's driver would begin transactions on its own, and late
    connection.execute("PRAGMA journal_mode = WAL")  # readers and the writer do not wait for each other
    connection.execute("PRAGMA synchronous = FULL")  # an accepted job outlives a power cut


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that reads first and writes then would fail where another one wrote in between.
    reads = connection.get_execution_options().get("ai_server_read", False)
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


def _hide_file(connection: Any) -> None:
    """Let only its owner read the file: it holds requests and the secrets of webhooks."""
    for _, name, path in connection.execute("PRAGMA database_list"):
        if name == "main" and os.stat(path).st_uid == os.getuid():
            os.chmod(path, 0o600)  # SQLite gives its side files the same mode


@contextmanager
def _named_faults() -> Iterator[None]:
    try:
        yield
    except (OperationalError, InterfaceError, PoolTimeoutError) as error:
        raise StoreUnavailable("The job store cannot be used at the moment. Try again soon.") from error
    except DBAPIError as error:
        if not error.connection_invalidated and getattr(error.orig, "sqlstate", None) not in _PASSING:
            raise
        raise StoreUnavailable("The job store went away. Try again soon.") from error
