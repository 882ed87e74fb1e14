"""A whole queue in this process: real store, real dispatcher, real keeper; only Ray is not here."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from cluster.address_guard import AddressGuard
from cluster.artifacts.store import ArtifactStore
from cluster.jobs.database import Database
from cluster.jobs.dispatcher import Dispatcher
from cluster.jobs.job import ClaimedJob
from cluster.jobs.keeper import JobKeeper
from cluster.jobs.queue import JobQueue
from cluster.jobs.upgrade import upgrade
from configs.schema import TimeoutsConfig
from deployments.gateway import Gateway
from deployments.job_work import JobWork
from deployments.jobs import Jobs
from deployments.runs import QueueState

LEASE_S = 15.0
BEAT_S = 0.05


async def open_queue() -> QueueState:
    """Say that all is well."""
    return QueueState(is_open=True, running=0)


class LocalQueue:
    """Stands where JobServer and JobRunner stand in a cluster, and does with their parts what they do."""

    def __init__(self, folder: Path, artifacts: ArtifactStore, gateway: Gateway) -> None:
        self.database = Database(f"sqlite:///{folder / 'jobs.db'}")
        upgrade(self.database)
        self.queue = JobQueue(self.database, max_attempts=3, lease_s=LEASE_S)
        self.keeper = JobKeeper(self.database, self.queue, beat_s=BEAT_S)
        self.jobs = Jobs(self.database, artifacts, self, self.keeper, AddressGuard(("127.0.0.0/8",)), LEASE_S)
        self._gateway = gateway
        self._work = JobWork(gateway, TimeoutsConfig(), "nobody")
        self._dispatcher: Dispatcher | None = None

    def wake(self) -> None:
        """Wake the dispatcher, if it runs."""
        if self._dispatcher is not None:
            self._dispatcher.wake()

    async def stop(self, job_id: int) -> None:
        """Stop a run."""
        if self._dispatcher is not None:
            self._dispatcher.stop_job(job_id)

    async def places(self) -> Mapping[str, int]:
        """Give one place to each model."""
        return {route.id: 1 for route in self._gateway.routes}

    @asynccontextmanager
    async def dispatching(self) -> AsyncIterator[None]:
        """Run jobs for the block."""
        places = await self.places()
        self._dispatcher = Dispatcher(self.database, self.queue, lambda: places, self._launch, tick_s=BEAT_S)
        running = asyncio.create_task(self._dispatcher.run())
        try:
            yield
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            self._dispatcher = None

    async def _launch(self, job: ClaimedJob) -> None:
        await self.keeper.keep(job.id, job.fence, self._work.do(job))
