"""The ledger, on both databases: memory first, the database later, nothing twice."""

import pytest

from cluster.jobs.database import Database
from cluster.jobs.errors import StoreUnavailable
from cluster.usage import UsageLedger
from cluster.usage_records import Totals, UsageEntry, UsageKey, day_of, month_of
from tests.deployments.clock import Clock

NOON = 1_795_600_000.0  # 2026-11-25
DAY = day_of(NOON)
USED = Totals(requests=1, prompt_tokens=10, completion_tokens=5, seconds=0.5, cost=0.25)
RUN = UsageEntry("3", "chat", "gpt", "openai", USED)


@pytest.fixture
def ledger(database: Database) -> UsageLedger:
    return UsageLedger(database, Clock(NOON))


async def test_runs_become_sums_by_day(ledger: UsageLedger) -> None:
    ledger.add(RUN)
    ledger.add(RUN)
    ledger.add(UsageEntry("4", "chat", "gpt", "openai", Totals(requests=1, failures=1)))
    rows = await ledger.rows(DAY, DAY)
    assert [(row.key, row.totals) for row in rows] == [
        (UsageKey(DAY, "3", "chat", "gpt", "openai"), Totals(2, 0, 20, 10, 0, 0.0, 1.0, 0.5)),
        (UsageKey(DAY, "4", "chat", "gpt", "openai"), Totals(1, 1)),
    ]
    assert len(await ledger.rows(DAY, DAY, owner="3")) == 1
    assert await ledger.rows("2026-11-01", "2026-11-02") == []


async def test_two_processes_add_to_the_same_sums(database: Database, ledger: UsageLedger) -> None:
    other = UsageLedger(database, Clock(NOON))
    for each in (ledger, other, ledger):
        each.add(RUN)
        await each.flush()
    assert (await other.rows(DAY, DAY))[0].totals.requests == 3


async def test_what_was_spent_counts_at_once_and_once(ledger: UsageLedger) -> None:
    assert await ledger.spent("3") == 0
    ledger.add(RUN)
    assert await ledger.spent("3") == 0.25
    await ledger.flush()
    assert await ledger.spent("3") == 0.25
    assert await ledger.spent("4") == 0
    assert await ledger.spent_by_all() == 0.25


async def test_a_new_month_begins_with_nothing(database: Database) -> None:
    clock = Clock(NOON)
    ledger = UsageLedger(database, clock)
    ledger.add(RUN)
    await ledger.flush()
    clock.now += 10 * 86_400
    assert month_of(clock.now) == "2026-12"
    assert await ledger.spent("3") == 0


async def test_nothing_is_lost_while_the_database_is_away(
    ledger: UsageLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise StoreUnavailable("away")

    ledger.add(RUN)
    with monkeypatch.context() as broken:
        broken.setattr(ledger._store, "add", away)
        with pytest.raises(StoreUnavailable):
            await ledger.flush()
    ledger.add(RUN)
    assert (await ledger.rows(DAY, DAY))[0].totals.requests == 2
