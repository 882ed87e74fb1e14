"""Whoever runs jobs keeps them with this: leases renewed, results written, lost runs stopped."""

import asyncio
import logging
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Self

from cluster.jobs.database import Database
from cluster.jobs.errors import StoreUnavailable
from cluster.jobs.job import Finished, Outcome, Sign
from cluster.jobs.queue import JobQueue
from cluster.jobs.texts import storable

logger = logging.getLogger("ai_server.jobs")

BEAT_S = 1.0
"""A run whose job was cancelled behind our back is stopped after at most this."""
MAX_STEP = 500
"""Characters of what a run says of itself."""
MAX_PAUSE_S = 5.0
"""Between attempts to reach a database that is away."""


@dataclass
class _Run:
    sign: Sign
    task: "asyncio.Task[Outcome]"


class JobKeeper:
    """Holds the jobs of this process. Its loops begin with the first job and end with the context."""

    def __init__(self, database: Database, queue: JobQueue, beat_s: float = BEAT_S) -> None:
        """Take the database, the queue on it, and the pause between signs of life."""
        self._database = database
        self._queue = queue
        self._beat_s = beat_s
        self._runs: dict[int, _Run] = {}
        self._ended: list[tuple[Finished, asyncio.Future[bool]]] = []
        self._has_ended = asyncio.Event()
        self._loops: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._start()
        return self

    async def __aexit__(self, *_: object) -> None:
        for loop in self._loops:
            loop.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)

    @property
    def running(self) -> int:
        """How many jobs are held."""
        return len(self._runs)

    def _start(self) -> None:
        if not self._loops:
            self._loops = [asyncio.create_task(self._beat()), asyncio.create_task(self._write())]

    async def keep(self, job_id: int, fence: int, work: Coroutine[Any, Any, Outcome]) -> bool:
        """Let `work` run to its end and write its outcome, however long the database may be away.

        Cancelling this cancels the work, and so does the loss of the job: cancelled, or given to
        somebody else. Returns whether the outcome was taken.
        """
        self._start()
        if (older := self._runs.get(job_id)) is not None:
            older.task.cancel()  # the beat would not see any more that its job was lost
        task = asyncio.create_task(work)
        run = self._runs[job_id] = _Run(Sign(job_id, fence), task)
        try:
            outcome = await task
            return await self._written(Finished(job_id, fence, outcome))
        except asyncio.CancelledError:
            stopped_from_outside = _is_being_cancelled()
            task.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await task
            if stopped_from_outside:
                raise
            return False
        finally:
            if self._runs.get(job_id) is run:
                del self._runs[job_id]

    def note_progress(self, job_id: int, fence: int, progress: float, step: str) -> None:
        """Remember how far a run is; the next sign of life tells it."""
        run = self._runs.get(job_id)
        if run is not None and run.sign.fence == fence:
            run.sign = replace(run.sign, progress=min(1.0, max(0.0, progress)), step=storable(step, MAX_STEP))

    async def _written(self, finished: Finished) -> bool:
        written: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._ended.append((finished, written))
        self._has_ended.set()
        # A result that is there is not thrown away because its caller was told to stop just now.
        return await asyncio.shield(written)

    async def _write(self) -> None:
        """Write outcomes; those that come while a transaction is under way go into the next one together."""
        while True:
            await self._has_ended.wait()
            self._has_ended.clear()
            batch, self._ended = self._ended, []
            await self._write_batch(batch)

    async def _write_batch(self, batch: list[tuple[Finished, asyncio.Future[bool]]]) -> None:
        try:
            taken = await self._finish([finished for finished, _ in batch])
        except Exception as error:
            # A text that no database can hold must not keep the others from being written.
            logger.exception("outcomes of %d jobs could not be written together", len(batch))
            if len(batch) == 1:
                batch[0][1].set_exception(error)
                return
            for each in batch:
                await self._write_batch([each])
            return
        for finished, written in batch:
            written.set_result(finished.id in taken)

    async def _finish(self, batch: list[Finished]) -> set[int]:
        pause_s = 0.1
        while True:
            try:
                return await self._database.run(self._queue.finish, batch)
            except StoreUnavailable as error:
                logger.warning("%d results wait for the job store: %s", len(batch), error.__cause__ or error)
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, MAX_PAUSE_S)

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self._beat_s)
            runs = dict(self._runs)
            if not runs:
                continue
            try:
                held = await self._database.run(self._queue.renew, [run.sign for run in runs.values()])
            except StoreUnavailable as error:
                logger.warning("No sign of life could be given: %s", error.__cause__ or error)
                continue
            except Exception:
                logger.exception("signs of life could not be written")
                continue
            for job_id, run in runs.items():
                if job_id not in held and self._runs.get(job_id) is run:
                    run.task.cancel()


def _is_being_cancelled() -> bool:
    """Tell whether the caller of a coroutine wants it to end, and not something that it awaits."""
    current = asyncio.current_task()
    return current is not None and current.cancelling() > 0
