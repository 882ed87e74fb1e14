"""Watching jobs: one look at the database for everybody who watches in this process."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from typing import Any

from cluster.jobs.database import Database
from cluster.jobs.errors import StoreUnavailable
from cluster.jobs.job import Job
from cluster.jobs.store import JobStore, version_of

logger = logging.getLogger("ai_server.jobs")

LOOK_S = 0.2
"""Between two looks; there are none while nobody watches."""

_Version = tuple[Any, ...]


class JobWatch:
    """Tells watchers of every change of their job that they can still see."""

    def __init__(self, database: Database, store: JobStore, look_s: float = LOOK_S) -> None:
        """Take the store."""
        self._database = database
        self._store = store
        self._look_s = look_s
        self._watchers: dict[int, list[Callable[[Job], None]]] = {}
        self._versions: dict[int, _Version] = {}
        self._looking: asyncio.Task[None] | None = None

    async def changes(self, job: Job, silence_s: float | None = None) -> AsyncGenerator[Job, None]:
        """Yield the job as it is, then again after every change, until it has ended.

        Args:
            job: as it was just read.
            silence_s: yield it again after so long without a change; None never does.
        """
        news: asyncio.Queue[Job] = asyncio.Queue()
        self._watchers.setdefault(job.id, []).append(news.put_nowait)
        if self._versions.setdefault(job.id, version_of(job)) != version_of(job):
            self._versions[job.id] = ()  # one of the two is old: the next look tells everybody how the job is
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        try:
            yield job
            while not job.state.is_final:
                try:
                    async with asyncio.timeout(silence_s):
                        job = await news.get()
                except TimeoutError:
                    pass
                yield job
        finally:
            self._leave(job.id, news.put_nowait)

    def _leave(self, job_id: int, tell: Callable[[Job], None]) -> None:
        self._watchers[job_id].remove(tell)
        if not self._watchers[job_id]:
            del self._watchers[job_id], self._versions[job_id]

    async def _look(self) -> None:
        while self._watchers:
            try:
                changed = await self._database.run(self._store.changed, dict(self._versions))
            except StoreUnavailable as error:
                logger.warning("Watchers wait for the job store: %s", error.__cause__ or error)
                changed = []
            except Exception:
                logger.exception("watchers could not be told of changes")
                changed = []
            for job in changed:
                if job.id in self._versions:
                    self._versions[job.id] = version_of(job)
                for tell in self._watchers.get(job.id, []):
                    tell(job)
            await asyncio.sleep(self._look_s)
