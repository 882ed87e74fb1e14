"""The job store's database, for commands that need no running server."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from cluster.jobs.errors import StoreUnavailable
from configs.settings import Settings

if TYPE_CHECKING:
    from cluster.jobs.database import Database


@contextmanager
def opened_database() -> Iterator["Database"]:
    """Open it with its schema up to date; end the command with the reason if that fails."""
    # Imported here because `ai-server serve` should not wait for SQLAlchemy.
    from cluster.jobs.database import Database, DatabaseUrlError
    from cluster.jobs.upgrade import NewerSchema, upgrade

    settings = Settings.from_environment()
    try:
        database = Database(settings.database_url)
    except DatabaseUrlError as error:
        raise failure(str(error)) from error
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    try:
        upgrade(database)
        yield database
    except StoreUnavailable as error:
        # SQLAlchemy leaves the password out.
        raise failure(f"{error} ({database.engine.url!r}: {_first_line(error.__cause__)})") from error
    except NewerSchema as error:
        raise failure(str(error)) from error
    finally:
        database.close()


def failure(reason: str) -> typer.Exit:
    """Say why the command ends, and give what ends it."""
    typer.echo(reason, err=True)
    return typer.Exit(1)


def _first_line(error: BaseException | None) -> str:
    return str(error).partition("\n")[0]
