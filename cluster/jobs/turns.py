"""Whose job is next: priority first, then turn by turn between the API keys, then age."""

from sqlalchemy import Connection, func, select

from cluster.jobs.schema import WAITING, jobs


class Turns:
    """Chooses waiting jobs of a model; remembers whose turn it was last, in memory.

    Costs a few look-ups in the index `jobs_waiting` for each owner that gets a turn, however many
    jobs wait: no count, no sort.
    """

    def __init__(self) -> None:
        """Begin with nobody served."""
        self._last: dict[tuple[str, int], str] = {}

    def next(self, connection: Connection, model: str, count: int) -> list[int]:
        """Give the ids of up to `count` waiting jobs in the order in which they should run."""
        chosen: list[int] = []
        below: int | None = None
        while len(chosen) < count:
            priority = _highest(connection, model, below)
            if priority is None:
                break
            chosen += self._of_priority(connection, model, priority, count - len(chosen))
            below = priority
        return chosen

    def _of_priority(self, connection: Connection, model: str, priority: int, count: int) -> list[int]:
        last = self._last.get((model, priority), "")
        owners = _owners(connection, model, priority, last, count)
        lines = {owner: _oldest(connection, model, priority, owner, count) for owner in owners}
        chosen: list[int] = []
        for place in range(count):
            for owner, line in lines.items():
                if place < len(line) and len(chosen) < count:
                    chosen.append(line[place])
                    self._last[model, priority] = owner
        return chosen


def _highest(connection: Connection, model: str, below: int | None) -> int | None:
    query = select(func.max(jobs.c.priority)).where(WAITING, jobs.c.model == model)
    if below is not None:
        query = query.where(jobs.c.priority < below)
    highest: int | None = connection.execute(query).scalar_one()
    return highest


def _owners(connection: Connection, model: str, priority: int, last: str, count: int) -> list[str]:
    """Give the owners with waiting jobs, beginning after the one who had the last turn."""
    owners: list[str] = []
    after, wrapped = last, False
    while len(owners) < count:
        query = select(func.min(jobs.c.owner)).where(
            WAITING, jobs.c.model == model, jobs.c.priority == priority, jobs.c.owner > after
        )
        owner = connection.execute(query).scalar_one()
        if owner is None and not wrapped and last:
            after, wrapped = "", True
        elif owner is None or owner in owners:
            break
        else:
            owners.append(owner)
            after = owner
    return owners


def _oldest(connection: Connection, model: str, priority: int, owner: str, count: int) -> list[int]:
    query = (
        select(jobs.c.id)
        .where(WAITING, jobs.c.model == model, jobs.c.priority == priority, jobs.c.owner == owner)
        .order_by(jobs.c.id)
        .limit(count)
    )
    return list(connection.execute(query).scalars())
