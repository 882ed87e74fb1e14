"""The backend of queued transforms: each is a plain Ray task with the CPUs that it declares."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any, TypeVar

import ray
from ray.exceptions import OutOfMemoryError, RayError, RayTaskError, TaskCancelledError

from configs.schema import ServerConfig
from configs.settings import Settings
from deployments.backends import unwrapped, value_of
from deployments.errors import NotSupported, ReplicaLost
from deployments.runs import RunInfo
from deployments.transform_task import run_transform
from pipelines.errors import Cancelled, OutOfMemory
from pipelines.tasks.base import TaskRequest, TaskResult

ResultT = TypeVar("ResultT", bound=TaskResult)


class TransformTasks:
    """Starts a task for each run, wherever the cluster has CPUs for it."""

    def __init__(self, config: ServerConfig, settings: Settings) -> None:
        """Take the configuration, which says what a task declares."""
        self._config = config.model_copy(update={"transforms": config.transforms.for_jobs})
        self._settings = settings
        self._remote: Any = ray.remote(run_transform)

    async def run(self, task: str, request: TaskRequest[ResultT], info: RunInfo) -> ResultT:
        """Do the work and give its result; a caller that is cancelled stops the work.

        Raises:
            ReplicaLost: the task's process died; whoever counts attempts repeats it.
        """
        declared = {"num_cpus": self._config.transforms.resources.num_cpus, "max_retries": 0, "name": task}
        ref = self._remote.options(**declared).remote(self._config, self._settings, task, request, info)
        try:
            answer = await ref
        except asyncio.CancelledError:
            ray.cancel(ref)
            raise
        except TaskCancelledError as error:
            raise Cancelled("The run was cancelled.") from error
        except OutOfMemoryError as error:
            raise OutOfMemory("The node had no memory left for the run.") from error
        except RayTaskError as error:
            raise unwrapped(error) from error
        except RayError as error:
            raise ReplicaLost("The process that did this work died; try again.") from error
        result: ResultT = value_of(answer)
        return result

    def stream(self, task: str, request: TaskRequest[Any], info: RunInfo) -> AsyncGenerator[Any, None]:
        """Refuse: no transform has anything to tell before its end."""
        raise NotSupported(f"{task} does not stream.")
