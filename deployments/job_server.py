"""JobServer: dispatches the queue, delivers webhooks, sweeps. One replica; two may overlap in a roll-out."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import ray
from ray import serve
from ray.serve.handle import DeploymentHandle

from cluster.address_guard import AddressGuard
from cluster.artifacts.local import local_store
from cluster.artifacts.store import StoreFull
from cluster.jobs.database import Database
from cluster.jobs.deliveries import Deliveries
from cluster.jobs.dispatcher import Dispatcher, RunnerLost
from cluster.jobs.errors import StoreUnavailable
from cluster.jobs.job import ClaimedJob
from cluster.jobs.queue import JobQueue
from cluster.jobs.retention import Retention
from cluster.jobs.upgrade import upgrade
from cluster.key_store import KeyStore
from cluster.metrics import QueueMetrics
from cluster.sweeper import Sweeper
from cluster.webhook_sender import WebhookSender
from configs.schema import ServerConfig
from configs.settings import Settings
from deployments.log_lines import log_to_stdout
from deployments.places import ReplicaPlaces, scales_of
from deployments.runners import Runners
from deployments.runs import QueueState
from deployments.task_places import TaskPlaces
from deployments.webhooks import Webhooks

logger = logging.getLogger("ai_server.jobs")

REFRESH_S = 1.0
COUNTED_JOBS = 10_000
"""Of each model; the gauge of waiting jobs ends here, because counting costs."""
NO_RUNNER = "the process that waits for running jobs is being started"
SWEEP_S = 600.0
AGAIN_S = 2.0
"""Pause before a loop that failed begins again."""


class JobServer:
    """The clock of the queue. Keeps nothing that the job store does not know: it may die at any moment."""

    def __init__(
        self, config: ServerConfig, settings: Settings, deployments: Mapping[str, DeploymentHandle[Any]]
    ) -> None:
        """Take the deployments that do the work; the loops begin with the first health check."""
        log_to_stdout("ai_server.jobs", "%(asctime)s %(levelname)s %(message)s")
        context = serve.get_replica_context()
        self._database = Database(settings.database_url)
        self._artifacts = local_store(settings, config)
        self._queue = JobQueue.of(self._database, config.jobs)
        self._models = ReplicaPlaces(context.app_name, scales_of(config), deployments)
        self._transforms = TaskPlaces(config)
        self._dispatcher = Dispatcher(self._database, self._queue, self._places, self._launch)
        self._dispatcher.paused_because = NO_RUNNER
        guard = AddressGuard(config.outside.allow_networks)
        self._webhooks = Webhooks(
            self._database,
            Deliveries(self._database),
            KeyStore(self._database),
            WebhookSender(guard, config.timeouts.webhook_s),
        )
        self._sweeper = Sweeper(self._artifacts, Retention(self._database), config.storage)
        self._loops: list[asyncio.Task[None]] = []
        self._is_open = False
        self._metrics = QueueMetrics()
        # Last, because they would outlive a constructor that fails.
        self._runners = Runners(context.replica_id.unique_id, context.app_name, config, settings)

    async def check_health(self) -> None:
        """Start the loops when Serve asks for the first time: a constructor has no event loop."""
        if not self._loops:
            self._loops = [asyncio.create_task(self._run())]

    async def wake(self) -> None:
        """Hear that there is a new job."""
        self._dispatcher.wake()

    async def stop(self, job_id: int) -> None:
        """Stop the run of a job that was cancelled; runs of other JobServers see it by themselves."""
        self._dispatcher.stop_job(job_id)

    async def drain(self) -> int:
        """Give the jobs that run back to the queue, uncounted, because the whole server stops."""
        return await self._dispatcher.give_back()

    async def state(self) -> QueueState:
        """Tell how the queue is."""
        dispatcher = self._dispatcher
        is_open = self._is_open and not dispatcher.is_cut_off
        return QueueState(is_open, dispatcher.running, dispatcher.paused_because or "")

    async def places(self) -> dict[str, int]:
        """Tell how many jobs of each model may run at once."""
        return self._places()

    def _places(self) -> dict[str, int]:
        return {**self._models(), **self._transforms()}

    async def _run(self) -> None:
        await _until_done(self._open)
        loops = (
            self._dispatcher.run,
            self._webhooks.run,
            _every(REFRESH_S, self._refresh),
            _every(SWEEP_S, self._sweep),
        )
        self._loops += [asyncio.create_task(_for_ever(loop)) for loop in loops]

    async def _open(self) -> None:
        await asyncio.to_thread(upgrade, self._database)  # may take as long as it takes
        self._is_open = True

    async def _launch(self, job: ClaimedJob) -> bool:
        try:
            return await self._runners.run(job)
        except RunnerLost:
            self._dispatcher.paused_because = NO_RUNNER  # until it answers again
            raise

    async def _refresh(self) -> None:
        await self._runners.check()
        await self._models.refresh()
        cluster = await asyncio.to_thread(ray.cluster_resources)
        self._transforms.look(cluster.get("CPU", 0.0), self._models.replicas)
        fullness = await asyncio.to_thread(self._fullness)
        self._dispatcher.paused_because = fullness if self._runners.are_up else NO_RUNNER
        self._dispatcher.wake()
        counted = dict.fromkeys(self._places(), COUNTED_JOBS)
        waiting = await self._database.run(self._queue.waiting, counted)
        self._models.ask_for(waiting)
        is_paused = self._dispatcher.paused_because is not None
        self._metrics.show(waiting=waiting, running=self._dispatcher.running_by_model, paused=is_paused)

    def _fullness(self) -> str | None:
        try:
            self._artifacts.check_room()
        except StoreFull as error:
            return str(error)
        return None

    async def _sweep(self) -> None:
        swept = await asyncio.to_thread(self._sweeper.sweep)
        if swept:
            logger.info("deleted %s", swept)


def _every(
    seconds: float, act: Callable[[], Coroutine[Any, Any, None]]
) -> Callable[[], Coroutine[Any, Any, None]]:
    async def loop() -> None:
        while True:
            await act()
            await asyncio.sleep(seconds)

    return loop


async def _for_ever(loop: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a loop, and begin it again when it fails: a queue that stands still is the worst that can be."""
    while True:
        await _until_done(loop)


async def _until_done(act: Callable[[], Coroutine[Any, Any, None]]) -> None:
    while True:
        try:
            return await act()
        except StoreUnavailable as error:
            logger.warning("waiting for the job store: %s", error.__cause__ or error)
        except Exception:
            logger.exception("%s failed; it begins again", getattr(act, "__qualname__", act))
        await asyncio.sleep(AGAIN_S)
