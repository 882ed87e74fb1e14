"""The ledger: what every API key used and what that cost, noted in memory and written every few seconds."""

import asyncio
import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace

from cluster.jobs.database import Database
from cluster.jobs.errors import StoreUnavailable
from cluster.jobs.job import Clock, system_clock
from cluster.jobs.texts import storable
from cluster.usage_records import Totals, UsageEntry, UsageKey, UsageRow, day_of, month_of
from cluster.usage_store import UsageStore

logger = logging.getLogger("ai_server.usage")

FLUSH_S = 2.0
REREAD_S = 10.0
"""What others wrote of an owner's spending is seen after at most so long."""
MAX_UNWRITTEN = 10_000
"""Rows that wait for the database; what more comes loses the names of its task, model and provider."""
MAX_OWNERS = 10_000
"""Whose spending is remembered."""
OTHER = "(other)"


@dataclass
class _Spent:
    """What the database said of an owner's month, and what this process wrote since."""

    month: str
    dollars: float
    read_at: float


class UsageLedger:
    """Notes usage without ever waiting, and tells what an owner spent this month."""

    def __init__(self, database: Database, clock: Clock = system_clock) -> None:
        """Take the database and the time."""
        self._database = database
        self._store = UsageStore(database)
        self._clock = clock
        self._noted: dict[UsageKey, Totals] = {}
        self._being_written: dict[UsageKey, Totals] = {}
        self._spent: dict[str, _Spent] = {}
        self._stale: set[str] = set()
        self._refresh: asyncio.Task[None] | None = None
        # What is read must be compared with what is not written yet at the same moment.
        self._lock = asyncio.Lock()

    def add(self, entry: UsageEntry) -> None:
        """Note what a run used."""
        key = UsageKey(
            day_of(self._clock()),
            storable(entry.owner, 64),
            storable(entry.task, 64),
            storable(entry.model, 255),
            storable(entry.provider, 64),
        )
        self._note(key, entry.totals)

    def _note(self, key: UsageKey, totals: Totals) -> None:
        if key not in self._noted and len(self._noted) >= MAX_UNWRITTEN:
            key = replace(key, task=OTHER, model=OTHER, provider=OTHER)
        self._noted.setdefault(key, Totals()).add(totals)

    async def flush(self) -> None:
        """Write what was noted; whoever is cancelled meanwhile does not stop it half-way.

        Raises:
            StoreUnavailable: it is kept, for the next time.
        """
        await asyncio.shield(asyncio.ensure_future(self._flush()))

    async def _flush(self) -> None:
        async with self._lock:
            if not self._noted:
                return
            self._being_written, self._noted = self._noted, {}
            try:
                await self._database.run(self._store.add, self._being_written)
            except BaseException:
                for key, totals in self._being_written.items():
                    self._note(key, totals)
                raise
            else:
                self._count_written()
            finally:
                self._being_written = {}

    def _count_written(self) -> None:
        for key, totals in self._being_written.items():
            known = self._spent.get(key.owner)
            if known is not None and key.day.startswith(known.month):
                known.dollars += totals.cost

    async def keep(self) -> None:
        """Write every few seconds, for ever."""
        while True:
            await asyncio.sleep(FLUSH_S)
            try:
                await self.flush()
            except StoreUnavailable as error:
                logger.warning("usage waits for the job store: %s", error.__cause__ or error)
            except Exception:
                logger.exception("usage could not be written; it is tried again")

    async def spent(self, owner: str) -> float:
        """Give the US dollars that an owner spent this month (UTC).

        Only the first question about an owner waits for the database; later ones may not know yet what
        other processes wrote within the last `REREAD_S`.

        Raises:
            StoreUnavailable: it is the first question, and the database does not answer.
        """
        month = month_of(self._clock())
        if owner not in self._spent:
            await self._read(month, {owner})
        known = self._spent.get(owner)
        if known is None or known.month != month:
            known = self._spent[owner] = _Spent(month, 0.0, read_at=0.0)  # a new month begins with nothing
        if self._clock() - known.read_at >= REREAD_S:
            self._stale.add(owner)
            self._refresh_soon()
        return known.dollars + sum(self._unwritten(owner, month))

    def _unwritten(self, owner: str, month: str) -> Iterator[float]:
        for rows in (self._noted, self._being_written):
            for key, totals in rows.items():
                if key.owner == owner and key.day.startswith(month):
                    yield totals.cost

    def _refresh_soon(self) -> None:
        if self._refresh is None or self._refresh.done():
            self._refresh = asyncio.create_task(self._read_stale())

    async def _read_stale(self) -> None:
        owners, self._stale = self._stale, set()
        try:
            await self._read(month_of(self._clock()), owners)
        except StoreUnavailable as error:
            logger.warning("what was spent could not be read: %s", error.__cause__ or error)
        except Exception:
            logger.exception("what was spent could not be read")

    async def _read(self, month: str, owners: set[str]) -> None:
        async with self._lock:
            found = await self._database.run(self._store.spent, month, owners)
            if len(self._spent) + len(owners) > MAX_OWNERS:
                self._spent.clear()
            now = self._clock()
            self._spent.update({each: _Spent(month, found.get(each, 0.0), now) for each in owners})

    async def rows(
        self, from_day: str, to_day: str, owner: str | None = None, task: str | None = None
    ) -> list[UsageRow]:
        """Give the days from the first to the last, with what this process has noted until now.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        await self.flush()
        return await self._database.run(self._store.rows, from_day, to_day, owner, task)

    async def spent_by_all(self) -> float:
        """Give what everybody together spent this month (UTC).

        Raises:
            StoreUnavailable: the database does not answer.
        """
        await self.flush()
        return sum((await self._database.run(self._store.spent, month_of(self._clock()))).values())
