"""A database that is away when a test says so, and waiting without sleeping."""

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from cluster.jobs.database import Database
from cluster.jobs.errors import StoreUnavailable
from tests.cluster.jobs.builders import Bench

T = TypeVar("T")
P = ParamSpec("P")


class FlakyDatabase(Database):
    """A database that is away when a test says so."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.is_away = False
        self.was_missed = asyncio.Event()
        self.calls: list[str] = []

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        self.calls.append(getattr(work, "__name__", ""))
        if self.is_away:
            self.was_missed.set()
            raise StoreUnavailable("away")
        return await super().run(work, *args, **kwargs)


def database_of(bench: Bench) -> FlakyDatabase:
    assert isinstance(bench.database, FlakyDatabase)
    return bench.database


async def until(bench: Bench, condition: Callable[[], bool]) -> None:
    """Wait as many beats as it takes, each of which asks the database."""
    while not condition():
        await bench.database.run(int)
