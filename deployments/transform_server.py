"""TransformServer: the media operations without a model, on CPU replicas."""

from typing import Any

from cluster.artifacts.local import local_store
from configs.schema import ServerConfig
from configs.settings import Settings
from deployments.runs import RunInfo
from deployments.task_server import ReplicaError, TaskServer
from pipelines.tasks.base import TaskRequest, TaskResult
from pipelines.transforms import TRANSFORMS


class TransformServer(TaskServer):
    """Runs every transform of `pipelines.transforms`; Pillow leaves the GIL while it works."""

    def __init__(self, config: ServerConfig, settings: Settings) -> None:
        """Nothing to load."""
        super().__init__(local_store(settings, config), config, config.transforms.resources.concurrency)

    async def fault(self) -> str | None:
        """Nothing can be missing."""
        return None

    async def run(self, task: str, request: TaskRequest[Any], info: RunInfo) -> TaskResult | ReplicaError:
        """Do the work and give its result, or the error that it raised on purpose."""
        transform = TRANSFORMS[task]
        return await self._run(info, lambda space: transform.run(request, space))
