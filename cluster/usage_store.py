"""Usage by day in the job store's database. Every method blocks, and is one transaction."""

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import func, select, text

from cluster.jobs.database import Database
from cluster.jobs.schema import usage_days
from cluster.usage_records import Totals, UsageKey, UsageRow, days_of

_KEYS = tuple(column.name for column in usage_days.primary_key)
_SUMS = tuple(column.name for column in usage_days.columns if not column.primary_key)
# SQLAlchemy has another class for this on each database; the words are the same on both.
_ADD = text(
    f"INSERT INTO usage_days ({', '.join(_KEYS + _SUMS)}) "  # noqa: S608  # names of our own columns
    f"VALUES ({', '.join(f':{name}' for name in _KEYS + _SUMS)}) "
    f"ON CONFLICT ({', '.join(_KEYS)}) DO UPDATE SET "
    + ", ".join(f"{name} = usage_days.{name} + excluded.{name}" for name in _SUMS)
)


class UsageStore:
    """Adds to the days, and reads them."""

    def __init__(self, database: Database) -> None:
        """Take the database."""
        self._database = database

    def add(self, increments: Mapping[UsageKey, Totals]) -> None:
        """Write increments; always in the same order, so that two writers cannot block each other.

        Raises:
            StoreUnavailable: nothing was written.
        """
        rows: list[dict[str, Any]] = [
            {**vars(key), **vars(totals)}
            for key, totals in sorted(increments.items(), key=lambda each: each[0])
        ]
        with self._database.write() as connection:
            connection.execute(_ADD, rows)

    def spent(self, month: str, owners: Collection[str] | None = None) -> dict[str, float]:
        """Give what owners (all of them for None) spent in a month; those that spent nothing may lack."""
        first, last = days_of(month)
        query = (
            select(usage_days.c.owner, func.sum(usage_days.c.cost))
            .where(usage_days.c.day >= first, usage_days.c.day <= last)
            .group_by(usage_days.c.owner)
        )
        if owners is not None:
            query = query.where(usage_days.c.owner.in_(owners))
        with self._database.read() as connection:
            return {row[0]: row[1] for row in connection.execute(query)}

    def rows(
        self, from_day: str, to_day: str, owner: str | None = None, task: str | None = None
    ) -> list[UsageRow]:
        """Give the days from the first to the last one; of all owners and tasks where None is given."""
        query = select(*(usage_days.c[name] for name in _KEYS + _SUMS)).order_by(
            *(usage_days.c[name] for name in _KEYS)
        )
        query = query.where(usage_days.c.day >= from_day, usage_days.c.day <= to_day)
        if owner is not None:
            query = query.where(usage_days.c.owner == owner)
        if task is not None:
            query = query.where(usage_days.c.task == task)
        with self._database.read() as connection:
            found = connection.execute(query).all()
        return [UsageRow(UsageKey(*row[: len(_KEYS)]), Totals(*row[len(_KEYS) :])) for row in found]
