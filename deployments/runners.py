"""The JobServer's runners: started, watched, and replaced when they are gone for good."""

import asyncio
import logging
from typing import Any

import ray
from ray.exceptions import ActorDiedError, ActorUnavailableError, RayTaskError

from cluster.jobs.dispatcher import RunnerLost
from cluster.jobs.job import ClaimedJob
from configs.schema import ServerConfig
from configs.settings import Settings
from deployments.job_runner import start_runner
from deployments.progress import ACTOR_NAMESPACE

logger = logging.getLogger("ai_server.jobs")

PING_LIMIT_S = 10.0
_AWAY = (ActorDiedError, ActorUnavailableError)


class Runners:
    """Some processes that wait for running jobs, under names that no other JobServer has."""

    def __init__(self, name: str, application: str, config: ServerConfig, settings: Settings) -> None:
        """Start them; `name` is the JobServer's own."""
        self._name = name
        self._application = application
        self._config = config
        self._settings = settings
        self._started = 0
        self._runners = dict(self._start() for _ in range(config.jobs.runners))
        self.are_up = False
        """Whether all of them answered when they were last asked, and none was lost since."""

    async def run(self, job: ClaimedJob) -> bool:
        """Have a job run to its end; it is a Ray task, and cancelling this cancels the task.

        Returns whether the job's model can do nothing now.

        Raises:
            RunnerLost: the runner died, or did not take the job.
        """
        names = list(self._runners)
        ref = self._runners[names[job.id % len(names)]].run.remote(job)
        try:
            is_not_ready: bool = await ref
        except asyncio.CancelledError:
            ray.cancel(ref)
            logger.info("job %d was stopped", job.id)
            raise
        except _AWAY as error:
            self.are_up = False
            raise RunnerLost("The process that ran this job died.") from error
        except RayTaskError as error:
            raise RunnerLost(f"The process that ran this job failed: {error.cause!r}") from error
        return is_not_ready

    async def check(self) -> None:
        """Ask every runner for a sign of life, which also tells it that it is still needed."""
        answers = await asyncio.gather(*(self._is_up(name) for name in list(self._runners)))
        self.are_up = all(answers)

    async def _is_up(self, name: str) -> bool:
        try:
            async with asyncio.timeout(PING_LIMIT_S):
                await self._runners[name].ping.remote()
        except (*_AWAY, TimeoutError):
            if not await asyncio.to_thread(_is_known, name):
                logger.warning("the runner %s is gone; another one takes its place", name)
                del self._runners[name]
                self._runners.update([self._start()])
            return False  # otherwise Ray is starting it again
        return True

    def _start(self) -> tuple[str, Any]:
        self._started += 1
        name = f"jobs:{self._name}:{self._started}"
        return name, start_runner(name, self._application, self._config, self._settings)


def _is_known(name: str) -> bool:
    try:
        ray.get_actor(name, ACTOR_NAMESPACE)
    except ValueError:
        return False
    return True
