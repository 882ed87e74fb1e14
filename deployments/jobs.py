"""The queue, as the HTTP layer sees it."""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Awaitable, Mapping, Sequence
from contextlib import aclosing
from typing import Protocol

from cluster.address_guard import AddressGuard, ForbiddenAddress, UnresolvableAddress
from cluster.artifacts.store import ArtifactNotFound, ArtifactStore
from cluster.jobs.database import Database
from cluster.jobs.deliveries import Deliveries, Delivery
from cluster.jobs.errors import JobConflict, StoreUnavailable
from cluster.jobs.estimates import Estimate, Estimates
from cluster.jobs.job import Job, JobFilter, JobInput, NewJob, Submitted
from cluster.jobs.keeper import JobKeeper
from cluster.jobs.store import JobStore
from cluster.key_store import KeyStore
from deployments.errors import BadRequest
from deployments.job_watch import JobWatch
from deployments.job_work import outcome_of
from pipelines.tasks.base import TaskResult

RESOLVE_LIMIT_S = 2.0


class JobSignals(Protocol):
    """The way to the JobServer."""

    def wake(self) -> None:
        """Tell it that there is a new job; nobody waits for that."""

    async def stop(self, job_id: int) -> None:
        """Have it stop a run."""

    async def places(self) -> Mapping[str, int]:
        """Ask how many jobs of each model may run at once."""


class Jobs:
    """Everything that routes do with jobs."""

    def __init__(
        self,
        database: Database,
        artifacts: ArtifactStore,
        signals: JobSignals,
        keeper: JobKeeper,
        guard: AddressGuard,
        lease_s: float,
    ) -> None:
        """Take the stores, the way to the JobServer, and who keeps the runs that become jobs here."""
        self._database = database
        self._artifacts = artifacts
        self._signals = signals
        self._keeper = keeper
        self._guard = guard
        self._lease_s = lease_s
        self._store = JobStore(database)
        self._estimates = Estimates(database)
        self._deliveries = Deliveries(database)
        self._keys = KeyStore(database)
        self._watch = JobWatch(database, self._store)
        self._adopted: set[asyncio.Task[bool]] = set()

    async def submit(self, new: Sequence[NewJob]) -> list[Submitted]:
        """Accept jobs, all or none; they are on the disk when this returns.

        Raises:
            JobConflict: a `ref_id` or idempotency key was used for something else.
            StoreUnavailable: try again.
            StoreFull: the results would have no room.
        """
        await asyncio.to_thread(self._artifacts.check_room)
        await asyncio.to_thread(self._make_safe, [each for job in new for each in job.inputs])
        submitted = await self._database.run(self._store.submit, new)
        self._signals.wake()
        return submitted

    def _make_safe(self, inputs: Sequence[JobInput]) -> None:
        for each in inputs:
            self._artifacts.persist(each.key)

    async def adopt(self, new: NewJob, started_at: float, work: Awaitable[TaskResult]) -> Submitted:
        """Make a run that is under way a job, and keep it until it ends."""
        await asyncio.to_thread(self._make_safe, new.inputs)
        submitted = await self._database.run(self._store.adopt, new, started_at, self._lease_s)
        kept = asyncio.create_task(self._keeper.keep(submitted.id, 1, outcome_of(work, attempt=1)))
        self._adopted.add(kept)
        kept.add_done_callback(self._adopted.discard)
        return submitted

    async def get(self, job_id: int, owner: str | None) -> Job:
        """Give a job of `owner`; None is whoever may see all."""
        return await self._database.run(self._store.get, job_id, owner)

    async def find(self, ref_id: str, owner: str) -> Job:
        """Give a job by its owner's own id."""
        return await self._database.run(self._store.find, ref_id, owner)

    async def some(self, wanted: JobFilter, limit: int) -> list[Job]:
        """Give the newest jobs that the filter lets through."""
        return await self._database.run(self._store.some, wanted, limit)

    async def cancel(self, job_id: int, owner: str | None) -> None:
        """End a job, and its run if it has begun."""
        if await self._database.run(self._store.cancel, job_id, owner):
            await self._signals.stop(job_id)

    async def requeue(self, job_id: int, owner: str | None) -> None:
        """Give a failed or cancelled job its attempts back.

        Raises:
            JobConflict: its inputs have been deleted, or its state forbids it.
        """
        job = await self.get(job_id, owner)
        try:
            for each in job.inputs:
                await asyncio.to_thread(self._artifacts.stat, each.key)
        except ArtifactNotFound as error:
            raise JobConflict(
                f"The files of job {job_id} are not kept any more. Send the request again.", "jobId"
            ) from error
        await self._database.run(self._store.requeue, job_id, owner)
        self._signals.wake()

    def changes(self, job: Job, silence_s: float | None = None) -> AsyncGenerator[Job, None]:
        """Yield the job as it is, then after every change, until it has ended."""
        return self._watch.changes(job, silence_s)

    async def wait(self, job: Job, seconds: float | None) -> Job:
        """Wait until a job has ended, but no longer than `seconds`; give it as it then is."""
        try:
            async with asyncio.timeout(seconds), aclosing(self.changes(job)) as changes:
                async for latest in changes:
                    job = latest
        except TimeoutError:
            pass
        return job

    async def estimate(self, job: Job) -> Estimate:
        """Tell when an unfinished job will be done."""
        if job.state.is_final:
            return Estimate(None, None)
        places = await self._signals.places()
        return await self._database.run(self._estimates.of, job, places.get(job.model, 1))

    async def deliveries(self, job: Job) -> list[Delivery]:
        """Give the attempts to deliver a job's webhook."""
        return await self._database.run(self._deliveries.of, job.id)

    async def replay_webhook(self, job: Job) -> None:
        """Deliver a job's webhook once more."""
        await self._database.run(self._deliveries.replay, job)

    async def webhook_secret(self, owner: str) -> str:
        """Give what signs the webhooks of an API key."""
        secret = await self._database.run(self._keys.webhook_secret, owner)
        if secret is None:
            raise StoreUnavailable("The key was just removed.")
        return secret

    async def check_reply_to(self, url: str) -> None:
        """Refuse an address that the server must not contact.

        Raises:
            BadRequest: it is none, or leads into a network that is not allowed.
        """
        try:
            async with asyncio.timeout(RESOLVE_LIMIT_S):
                await self._guard.resolve(url)
        except ForbiddenAddress as error:
            raise BadRequest(f"'Reply To' is not accepted: {error}", "replyTo", "ForbiddenAddress") from error
        except (UnresolvableAddress, TimeoutError):
            return  # the name may be known by the time the job ends; it is checked again then

    async def fingerprint(self, parts: Sequence[str], inputs: Sequence[JobInput]) -> str:
        """Give what two requests share that ask for the same: of their files the content counts."""
        return await asyncio.to_thread(self._fingerprint, parts, inputs)

    def _fingerprint(self, parts: Sequence[str], inputs: Sequence[JobInput]) -> str:
        text = "\0".join(parts)
        for each in inputs:
            with self._artifacts.local_path(each.key).open("rb") as file:
                text = text.replace(each.key, hashlib.file_digest(file, "sha256").hexdigest())
        return hashlib.sha256(text.encode()).hexdigest()
