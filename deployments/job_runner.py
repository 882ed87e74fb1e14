"""JobRunner: the process that waits for running jobs; each is a task of this Ray actor, so an ObjectRef."""

import asyncio
import logging
import os
import time
from contextlib import suppress
from threading import Thread
from typing import Any

import ray
from ray import serve

from cluster.address_guard import AddressGuard
from cluster.artifacts.local import local_store
from cluster.jobs.database import Database
from cluster.jobs.job import Broken, ClaimedJob, Outcome
from cluster.jobs.keeper import JobKeeper
from cluster.jobs.queue import JobQueue
from cluster.key_rights import KeyRights
from cluster.key_store import KeyStore
from cluster.metrics import JobMetrics, ProviderMetrics
from cluster.usage import UsageLedger
from configs.schema import JOBS_ID, TRANSFORMS_ID, ServerConfig
from configs.settings import Settings
from deployments.attempts import AttemptBook
from deployments.backends import RAY_ERRORS, HandleBackend
from deployments.job_work import JobWork
from deployments.log_lines import log_to_stdout
from deployments.outside import Outside
from deployments.progress import ACTOR_NAMESPACE
from deployments.provider_backend import ProviderBackend, run_limits
from deployments.routes import Builder
from deployments.transform_tasks import TransformTasks

ALONE_S = 30.0
"""A runner that nobody asked for anything for so long, and that has nothing to do, ends."""
RUNNER_ENVIRONMENT = {
    # Everything in a runner is asynchronous: its handles need no loop, and no thread, of their own.
    "RAY_SERVE_RUN_ROUTER_IN_SEPARATE_LOOP": "0",
    # Half the work of a call by reference; but it refuses answers above 4 MB unless told otherwise.
    "RAY_SERVE_USE_GRPC_BY_DEFAULT": "1",
    "RAY_SERVE_REPLICA_GRPC_MAX_MESSAGE_LENGTH": str(256 * 1024 * 1024),
    # How busy a replica was 10 s ago (the default) sends two long jobs to one of two replicas.
    "RAY_SERVE_QUEUE_LENGTH_CACHE_TIMEOUT_S": "0.5",
}
"""What Ray Serve reads in the runner's process alone."""
AT_ONCE = 1_000
"""Jobs of one runner, and more than the models of a cluster have places."""

logger = logging.getLogger("ai_server.jobs")


class JobRunner:
    """Runs jobs for a JobServer, and outlives it: what is under way then still ends well."""

    def __init__(self, name: str, application: str, config: ServerConfig, settings: Settings) -> None:
        """Take the actor's own name, and whose jobs these are. Nothing is opened before the first call."""
        log_to_stdout("ai_server.jobs", "%(asctime)s %(levelname)s %(message)s")
        logging.getLogger("ray.serve").setLevel(logging.WARNING)
        database = Database(settings.database_url)
        self._keeper = JobKeeper(database, JobQueue.of(database, config.jobs))
        artifacts = local_store(settings, config)
        ledger = UsageLedger(database)
        self._book = AttemptBook(ledger, ProviderMetrics())
        tasks = TransformTasks(config, settings)
        gateway = Builder(
            config,
            native=lambda name: tasks if name == TRANSFORMS_ID else _backend(name, application),
            external=lambda provider: ProviderBackend(provider, artifacts, run_limits(config)),
            outside=Outside.of(config.providers, os.environ, AddressGuard(config.outside.allow_networks)),
            observe=self._book.note,
        ).gateway()
        keys = KeyStore(database)
        rights = KeyRights(lambda owner: database.run(keys.get, owner))
        self._work = JobWork(gateway, config.timeouts, name, rights, ledger)
        self._asked_at = time.monotonic()
        self._application = application
        self._metrics = JobMetrics()
        self._not_ready: set[int] = set()
        self._warm: asyncio.Task[None] | None = None
        me = ray.get_runtime_context().current_actor
        # A thread, because it must also end a runner that nobody ever called.
        Thread(target=self._end_when_alone, args=(me,), daemon=True).start()

    async def ping(self) -> int:
        """Hear that the JobServer is there; tell how many jobs run."""
        self._start()
        self._asked_at = time.monotonic()
        return self._keeper.running

    async def run(self, job: ClaimedJob) -> bool:
        """Run a job to its end and write its outcome; cancelling the task stops the run.

        Returns whether it was not the job that could not be done, but its model that can do nothing now.
        """
        self._start()
        try:
            await self._keeper.keep(job.id, job.fence, self._observed(job))
            return job.id in self._not_ready
        finally:
            self._not_ready.discard(job.id)

    async def note_progress(self, job_id: int, fence: int, progress: float, step: str) -> None:
        """Hear from a replica how far a run is."""
        self._keeper.note_progress(job_id, fence, progress, step)

    async def _observed(self, job: ClaimedJob) -> Outcome:
        started = time.perf_counter()
        outcome = await self._work.do(job)
        if isinstance(outcome, Broken) and not outcome.counts:
            self._not_ready.add(job.id)
        self._metrics.observe(
            task=job.task,
            model=job.model,
            outcome=outcome.code if isinstance(outcome, Broken) else "ok",
            seconds=time.perf_counter() - started,
        )
        return outcome

    def _start(self) -> None:
        # An actor's constructor runs outside its event loop.
        self._book.start()
        if self._warm is None:
            self._warm = asyncio.create_task(self._warm_up())

    async def _warm_up(self) -> None:
        """Make any call: the first one of a process takes a second longer, and the first job should not."""
        with suppress(*RAY_ERRORS):
            await serve.get_deployment_handle(JOBS_ID, self._application).places.remote()

    def _end_when_alone(self, me: Any) -> None:
        while self._keeper.running or time.monotonic() - self._asked_at < ALONE_S:
            time.sleep(1)
        ray.kill(me, no_restart=True)


def _backend(model: str, application: str) -> HandleBackend:
    return HandleBackend(serve.get_deployment_handle(model, application), repeats=False)


def start_runner(name: str, application: str, config: ServerConfig, settings: Settings) -> Any:
    """Start a runner; if its process dies Ray starts it again, and the dispatcher queues its jobs again."""
    actor: Any = ray.remote(JobRunner)
    return actor.options(
        name=name,
        namespace=ACTOR_NAMESPACE,
        lifetime="detached",
        num_cpus=0,
        runtime_env={"env_vars": RUNNER_ENVIRONMENT},
        max_concurrency=AT_ONCE,
        max_restarts=-1,
        max_task_retries=0,
    ).remote(name, application, config, settings)
