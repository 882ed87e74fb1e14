"""A whole queue in this process: real store, real dispatcher, real keeper; only Ray is not here."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx

from cluster.address_guard import AddressGuard
from cluster.artifacts.store import ArtifactStore
from cluster.jobs.database import Database
from cluster.jobs.dispatcher import Dispatcher
from cluster.jobs.job import ClaimedJob, Job
from cluster.jobs.keeper import JobKeeper
from cluster.jobs.queue import JobQueue
from cluster.jobs.store import JobStore, version_of
from cluster.jobs.upgrade import upgrade
from cluster.key_rights import KeyRights
from cluster.key_store import KeyStore
from cluster.usage import UsageLedger
from configs.schema import TimeoutsConfig
from deployments.gateway import Gateway
from deployments.job_watch import JobWatch
from deployments.job_work import JobWork
from deployments.jobs import Jobs
from deployments.runs import QueueState

LEASE_S = 15.0
BEAT_S = 0.05
LOOK_S = 0.02


async def open_queue() -> QueueState:
    """Say that all is well."""
    return QueueState(is_open=True, running=0)


@cache
def _empty_database() -> bytes:
    """Make the tables once: a copy costs a test less."""
    with TemporaryDirectory() as folder:
        file = Path(folder, "jobs.db")
        database = Database(f"sqlite:///{file}")
        upgrade(database)
        database.close()
        return file.read_bytes()


class CountedWatch(JobWatch):
    """Tells which jobs are watched."""

    @property
    def watched(self) -> set[int]:
        """Their ids."""
        return set(self._watchers)

    def has_told(self, job: Job) -> bool:
        """Whether those who watch the job, if anybody does, have heard that it is so."""
        return self._versions.get(job.id, version_of(job)) == version_of(job)


class LocalQueue:
    """Stands where JobServer and JobRunner stand in a cluster, and does with their parts what they do."""

    def __init__(self, folder: Path, artifacts: ArtifactStore, gateway: Gateway) -> None:
        file = folder / "jobs.db"
        file.write_bytes(_empty_database())
        self.database = Database(f"sqlite:///{file}")
        self.queue = JobQueue(self.database, max_attempts=3, lease_s=LEASE_S)
        self.keeper = JobKeeper(self.database, self.queue, beat_s=BEAT_S)
        self.jobs = Jobs(self.database, artifacts, self, self.keeper, AddressGuard(("127.0.0.0/8",)), LEASE_S)
        self.watch = CountedWatch(self.database, JobStore(self.database), look_s=LOOK_S)
        self.jobs._watch = self.watch
        self._dispatcher: Dispatcher | None = None
        self.serve(gateway)

    def serve(self, gateway: Gateway) -> None:
        """Run jobs by these routes from now on."""
        self._gateway = gateway
        keys = KeyStore(self.database)
        rights = KeyRights(lambda owner: self.database.run(keys.get, owner))
        self._work = JobWork(gateway, TimeoutsConfig(), "nobody", rights, UsageLedger(self.database))

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
        return {route.id: 1 for route in (*self._gateway.routes, *self._gateway.providers.values())}

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

    async def ended(self, job_id: int) -> Job:
        """Wait for a job's end."""
        job = await self.jobs.wait(await self.jobs.get(job_id, None), 10)
        assert job.state.is_final, job
        return job

    async def progressed(self, job_id: int, progress: float, step: str) -> None:
        """Let a running job be so far, and wait until everybody can see it."""
        job = await self.jobs.get(job_id, None)
        self.keeper.note_progress(job_id, job.fence, progress, step)
        await self.seen(job_id, lambda latest: latest.step == step)

    async def watched(self, job_id: int) -> None:
        """Wait until somebody watches a job."""
        async with asyncio.timeout(5):
            while job_id not in self.watch.watched:
                await self.database.run(lambda: None)  # a turn of the loop, and of a thread

    async def seen(self, job_id: int, is_so: Callable[[Job], bool]) -> Job:
        """Wait until a job is seen in a state, by everybody who watches it."""
        job = await self.jobs.get(job_id, None)
        async with aclosing(self.jobs.changes(job)) as changes:
            async for job in changes:
                if is_so(job):
                    break
        assert is_so(job), job
        async with asyncio.timeout(5):
            while not self.watch.has_told(job):
                await self.database.run(lambda: None)  # a turn of the loop, and of a thread
        return job

    async def _launch(self, job: ClaimedJob) -> None:
        await self.keeper.keep(job.id, job.fence, self._work.do(job))


_words = (f"word{number}" for number in itertools.count())


async def submitted(client: httpx.AsyncClient, text: str | None = None, **fields: Any) -> int:
    """Queue a text to be spoken, another one each time unless it is given; give the job's id."""
    body = {"text": next(_words) if text is None else text, **fields}
    answer = await client.post("/api/QueueTextToSpeech", json=body)
    assert answer.status_code == 200, answer.text
    job_id: int = answer.json()["jobId"]
    return job_id


async def shown(client: httpx.AsyncClient, job_id: int) -> dict[str, Any]:
    """Look at a job."""
    answer = await client.get(f"/jobs/{job_id}")
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body
