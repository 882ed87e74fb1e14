"""TransformServer: the media operations without a model, on CPU replicas."""

import logging
from typing import Any

from cluster.artifacts.local import local_store
from configs.schema import ServerConfig
from configs.settings import Settings
from deployments.runs import RunInfo
from deployments.task_server import ReplicaError, TaskServer
from pipelines.errors import ModelLoadError
from pipelines.media.ffmpeg import fault as ffmpeg_fault
from pipelines.tasks.base import TaskRequest, TaskResult
from pipelines.transforms import TRANSFORMS
from pipelines.transforms.base import ImageRequest

logger = logging.getLogger(__name__)


class TransformServer(TaskServer):
    """Runs every transform of `pipelines.transforms`; Pillow leaves the GIL while it works."""

    def __init__(self, config: ServerConfig, settings: Settings) -> None:
        """Nothing to load, but ffmpeg must be there; pictures need none."""
        super().__init__(local_store(settings, config), config, config.transforms.resources.concurrency)
        self._fault = ffmpeg_fault(self._limits.media)
        if self._fault is not None:
            logger.error("sound and video are not served: %s", self._fault)

    async def fault(self) -> str | None:
        """Say what is wrong with ffmpeg; None when all is well."""
        return self._fault

    async def run(self, task: str, request: TaskRequest[Any], info: RunInfo) -> TaskResult | ReplicaError:
        """Do the work and give its result, or the error that it raised on purpose."""
        if self._fault is not None and not isinstance(request, ImageRequest):
            return ModelLoadError(self._fault)
        transform = TRANSFORMS[task]
        return await self._run(info, lambda space: transform.run(request, space))
