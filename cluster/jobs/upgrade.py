"""Brings the schema of a database up to date when a server starts."""

import logging
from pathlib import Path

from sqlalchemy import Connection, inspect, text

from cluster.jobs.database import Database
from cluster.jobs.schema import REVISION

logger = logging.getLogger("ai_server.jobs")

MIGRATIONS = Path(__file__).parent / "migrations"
_LOCK = 4_106_210_915
"""Any number: whoever holds PostgreSQL's advisory lock of it may change the schema."""


class NewerSchema(Exception):
    """The database was changed by a newer version of this program."""


def upgrade(database: Database) -> None:
    """Bring the schema up to date, in one transaction; of several processes one does it, the others wait.

    Raises:
        StoreUnavailable: the database cannot be reached.
        NewerSchema: this program is older than its database.
    """
    with database.read() as connection:
        if _revision(connection) == REVISION:
            return
    with database.write() as connection:
        if connection.dialect.name == "postgresql":
            # A change of a large table takes longer than any answer may.
            connection.execute(text("SET LOCAL statement_timeout = 0"))
            connection.execute(text("SET LOCAL lock_timeout = 0"))
            connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
        found = _revision(connection)
        if found is not None and found > REVISION:
            raise NewerSchema(f"The job store has version {found}; this program knows {REVISION}. Update it.")
        if found != REVISION:
            _run_migrations(connection)
            was = "made" if found is None else f"brought from version {found} to {REVISION}"
            logger.info("The job store was %s.", was)


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(
        text("SELECT version_num FROM alembic_version")
    ).scalar_one_or_none()
    return found


def _run_migrations(connection: Connection) -> None:
    # Imported here: most starts find the schema as it should be.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
