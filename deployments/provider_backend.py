"""A provider as a backend of the gateway: called straight from this process."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, TypeVar

from cluster.artifacts.store import ArtifactStore
from configs.schema import ServerConfig
from deployments.errors import RunTooLong
from deployments.runs import RunInfo
from deployments.workspace import RunWorkspace
from pipelines.providers.base import Provider
from pipelines.tasks.base import MediaLimits, RunLimits, TaskRequest, TaskResult

ResultT = TypeVar("ResultT", bound=TaskResult)


def run_limits(config: ServerConfig) -> RunLimits:
    """Take from the configuration what every run must stay within."""
    transforms = config.transforms
    media = MediaLimits(
        **config.limits.media.model_dump(), threads=transforms.threads, ffmpeg=transforms.ffmpeg
    )
    return RunLimits(image_pixels=config.limits.image_pixels, media=media)


class ProviderBackend:
    """Calls one provider."""

    def __init__(self, provider: Provider, artifacts: ArtifactStore, limits: RunLimits) -> None:
        """Take the provider, and where the files of its inputs and outputs lie."""
        self._provider = provider
        self._artifacts = artifacts
        self._limits = limits

    async def run(self, task: str, request: TaskRequest[ResultT], info: RunInfo) -> ResultT:
        """Do the work and give its result."""
        try:
            async with asyncio.timeout(info.limit_s) as limit:
                return await self._provider.run(task, request, self._workspace(info))
        except TimeoutError:
            if not limit.expired():
                raise
            raise RunTooLong(f"The run did not end within {info.limit_s:g} s, its time limit.") from None

    async def stream(self, task: str, request: TaskRequest[Any], info: RunInfo) -> AsyncGenerator[Any, None]:
        """Do the work and give its events; a caller that stops listening closes the connection."""
        async with aclosing(self._provider.stream(task, request, self._workspace(info))) as events:
            async for event in events:
                yield event

    def _workspace(self, info: RunInfo) -> RunWorkspace:
        return RunWorkspace(self._artifacts, info.owner, self._limits, info.priority)
