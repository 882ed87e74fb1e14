"""Takes waiting jobs and hands them to who runs them: never more of a model than it has places for."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from cluster.jobs.database import Database
from cluster.jobs.errors import StoreUnavailable
from cluster.jobs.job import Broken, ClaimedJob, Clock, Finished, system_clock
from cluster.jobs.queue import LOST_CODE, JobQueue
from cluster.jobs.retries import backoff_s

logger = logging.getLogger("ai_server.jobs")

TICK_S = 1.0
"""What nobody tells us of (a lease that ends, a job of another machine) is seen after at most this."""
PAUSE_S = 0.005
"""Between two claims; what ends meanwhile is replaced by one claim together. An idle queue never waits."""
HOLD_S = 5.0
"""A model that is overrun, or could not be loaded, gets no job for so long."""
GONE_AFTER_S = 600.0
"""When a model that is not configured is taken for gone."""
GRACE_S = 5.0
"""A living holder renews its lease within two beats of `cluster.jobs.keeper`."""
SLOW_S = 2.0
"""Who waited longer to write waited for a lock, and so did the holders."""


class RunnerLost(Exception):
    """The process that ran a job died, or cannot be reached."""


class Places(Protocol):
    """How many jobs of each configured model may run at once."""

    def __call__(self) -> Mapping[str, int]:
        """Give the number for every configured model, from memory."""


class Dispatcher:
    """The loop between the queue and the runners.

    Several may work on one database, as during a roll-out: what each claims is its own.
    """

    def __init__(
        self,
        database: Database,
        queue: JobQueue,
        places: Places,
        launch: Callable[[ClaimedJob], Awaitable[bool | None]],
        *,
        clock: Clock = system_clock,
        tick_s: float = TICK_S,
    ) -> None:
        """Take the queue, the places, and who runs a job.

        Args:
            database: under the queue.
            queue: whose jobs these are.
            places: asked before every claim.
            launch: runs a job to its end and writes its outcome; raises `RunnerLost`. True says that its
                model could do nothing now, so that the others' turn has not come either.
            clock: seconds since the epoch.
            tick_s: pause between looks at the database where nobody wakes us.
        """
        self._database = database
        self._queue = queue
        self._places = places
        self._launch = launch
        self._clock = clock
        self._tick_s = tick_s
        self._woken = asyncio.Event()
        self._flying: dict[int, tuple[ClaimedJob, asyncio.Task[None]]] = {}
        self._others: Counter[str] = Counter()
        self._gone: dict[str, float] = {}
        self._held: dict[str, float] = {}
        self._reachable_since: float | None = None
        self.paused_because: str | None = None
        """Set from outside: while there is a reason, nothing is claimed."""
        self.is_stopping = False
        self.is_cut_off = False
        """Whether the job store could not be used when we last tried."""

    @property
    def running(self) -> int:
        """How many jobs of ours run."""
        return len(self._flying)

    @property
    def running_by_model(self) -> Counter[str]:
        """How many jobs run, also those of others."""
        return self._others + Counter(job.model for job, _ in self._flying.values())

    def wake(self) -> None:
        """Say that there is a new job."""
        self._woken.set()

    def stop_job(self, job_id: int) -> bool:
        """Stop the run of a job that was cancelled; False if it is not one of ours."""
        if job_id not in self._flying:
            return False
        self._flying[job_id][1].cancel()
        return True

    async def give_back(self) -> int:
        """Put the jobs that run back into the queue, because the server stops; that costs no attempt.

        Gives their number. Nothing is claimed from then on.
        """
        self.is_stopping = True
        flying = list(self._flying.values())
        broken = Broken("ServerStopped", "The server was stopped.", 0.0, counts=False)
        finished = [Finished(job.id, job.fence, broken) for job, _ in flying]
        given_back = await self._database.run(self._queue.finish, finished)
        for _, task in flying:
            task.cancel()
        return len(given_back)

    async def run(self) -> None:
        """Dispatch for ever; cancelling it leaves the runs to their runners."""
        next_tick = may_claim = 0.0
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(max(0.0, may_claim - loop.time()))
            may_claim = loop.time() + PAUSE_S
            self._woken.clear()
            try:
                if loop.time() >= next_tick:
                    await self._tick()
                    next_tick = loop.time() + self._tick_s
                await self._claim()
                self._reachable_since = self._reachable_since or self._clock()
                self.is_cut_off = False
            except StoreUnavailable as error:
                self._reachable_since = None
                self.is_cut_off = True
                next_tick = 0.0
                logger.warning("The dispatcher waits for the job store: %s", error.__cause__ or error)
                await asyncio.sleep(self._tick_s)
            await self._wait(max(0.0, next_tick - loop.time()))

    async def _wait(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            pass

    async def _tick(self) -> None:
        await self._check_writable()
        await self._database.run(self._queue.wake_delayed)
        if self._may_reap():
            lost = await self._database.run(self._queue.reap, backoff_s(1))
            if lost:
                logger.warning("%d jobs were taken back from runners that disappeared", lost)
        await self._refuse_gone_models()
        ours = set(self._flying)  # as of before the look: what ends meanwhile takes nobody's place
        running = await self._database.run(self._queue.running)
        self._others = Counter(model for job_id, model in running.items() if job_id not in ours)

    async def _refuse_gone_models(self) -> None:
        """End the jobs of models that nobody has configured for a while; during a roll-out servers differ."""
        now = self._clock()
        waiting = await self._database.run(self._queue.waiting_models)
        gone = set(waiting) - self._places().keys()
        self._gone = {model: self._gone.get(model, now) for model in gone}
        for model, since in self._gone.items():
            if now - since >= GONE_AFTER_S:
                refused = await self._database.run(self._queue.refuse, model)
                logger.warning("%d jobs of the model %s failed: it is not configured", refused, model)

    async def _check_writable(self) -> None:
        """Write as the holders of jobs do: a full disk or somebody's lock lets everybody read."""
        began = time.monotonic()
        await self._database.run(self._queue.touch)
        if time.monotonic() - began > SLOW_S:
            self._reachable_since = None

    def _may_reap(self) -> bool:
        """While the database was away, holders could not renew their leases; first they may do so now."""
        return self._reachable_since is not None and self._clock() - self._reachable_since >= GRACE_S

    async def _claim(self) -> None:
        if self.is_stopping or self.paused_because is not None:
            return
        for job in await self._database.run(self._queue.claim, self._free()):
            self._flying[job.id] = (job, asyncio.create_task(self._follow(job)))

    def _free(self) -> dict[str, int]:
        busy = self.running_by_model
        now = self._clock()
        return {
            model: max(0, places - busy[model])
            for model, places in self._places().items()
            if self._held.get(model, 0.0) <= now
        }

    async def _follow(self, job: ClaimedJob) -> None:
        try:
            if await self._launch(job):
                self._held[job.model] = self._clock() + HOLD_S
        except RunnerLost as error:
            await self._give_back(job, str(error))
        except Exception:
            logger.exception("job %d could not be launched", job.id)
            await self._give_back(job, "The job could not be launched; the server's log has the reason.")
        finally:
            if self._flying.get(job.id, (None,))[0] is job:
                del self._flying[job.id]
            self._woken.set()

    async def _give_back(self, job: ClaimedJob, reason: str) -> None:
        broken = Broken(LOST_CODE, reason, backoff_s(job.attempt))
        try:
            await self._database.run(self._queue.finish, [Finished(job.id, job.fence, broken)])
        except StoreUnavailable:
            logger.warning("job %d is given back when its lease ends", job.id)
