"""Replicate (https://replicate.com/docs/reference/http): anybody's models, by their names there."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, TypeVar, cast

from pipelines.providers import replicate_pictures as pictures
from pipelines.providers.base import ListedModel, ProviderSettings
from pipelines.providers.http import ProviderHttp
from pipelines.providers.replicate_pictures import ReplicateApi
from pipelines.providers.replicate_predictions import Pause, Predictions
from pipelines.providers.replicate_wire import ReplicateOptions, ReplicateTaskName, read_fault
from pipelines.tasks.base import TaskRequest, TaskResult, Workspace

__all__ = ["ReplicateOptions", "ReplicateProvider"]

ResultT = TypeVar("ResultT", bound=TaskResult)

_TASKS: dict[ReplicateTaskName, Callable[[ReplicateApi, Any, Workspace], Awaitable[TaskResult]]] = {
    "image-to-image": pictures.image_to_image,
    "image-upscale": pictures.image_upscale,
    "image-with-mask": pictures.image_with_mask,
    "text-to-image": pictures.text_to_image,
}


class ReplicateProvider:
    """Replicate; a model is ``owner/name`` (official ones) or ``owner/name:version`` (any)."""

    Options = ReplicateOptions

    def __init__(
        self, settings: ProviderSettings, options: ReplicateOptions, pause: Pause = asyncio.sleep
    ) -> None:
        """Prepare; nobody is contacted.

        Args:
            settings: where Replicate is, and the key.
            options: its models.
            pause: waits so many seconds.
        """
        self.tasks: frozenset[str] = frozenset(options.tasks)
        self.fetches_images = options.fetches_images
        key = {"Authorization": f"Bearer {settings.key}"} if settings.key else {}
        self._http = ProviderHttp(settings, key, read_fault)
        self._predictions = Predictions(self._http, options, settings.first_byte_s, pause)
        self._api = ReplicateApi(self._http, options, settings.id, self._predictions)

    async def run(self, task: str, request: TaskRequest[ResultT], workspace: Workspace) -> ResultT:
        """Do the work and give its result; cancelling cancels it there too."""
        done = await _TASKS[cast("ReplicateTaskName", task)](self._api, request, workspace)
        return cast("ResultT", done)

    async def stream(
        self, task: str, request: TaskRequest[Any], workspace: Workspace
    ) -> AsyncGenerator[Any, None]:
        """Do the work and give its result as the only event."""
        yield await self.run(task, request, workspace)

    async def models(self) -> tuple[ListedModel, ...]:
        """Give none: its list has all that anybody ever published."""
        return ()

    async def close(self) -> None:
        """Cancel what was left behind, and close the connections."""
        await self._predictions.close()
        await self._http.close()
