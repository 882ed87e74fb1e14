"""Whoever speaks OpenAI's wire format: OpenAI itself, OpenRouter, Groq, Mistral, Ollama, vLLM and others."""

import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar, cast

from pipelines.providers import (
    openai_chat,
    openai_embeddings,
    openai_images,
    openai_sight,
    openai_speech,
    openai_transcription,
)
from pipelines.providers.base import ListedModel, ProviderSettings, fits
from pipelines.providers.http import ProviderHttp
from pipelines.providers.openai_wire import OpenAiApi, OpenAiOptions, OpenAiTaskName, read_fault
from pipelines.tasks.base import TaskRequest, TaskResult, Workspace

__all__ = ["OpenAiOptions", "OpenAiProvider", "read_fault"]

ResultT = TypeVar("ResultT", bound=TaskResult)


Run: TypeAlias = Callable[[OpenAiApi, Any, Workspace], Awaitable[TaskResult]]
Stream: TypeAlias = Callable[[OpenAiApi, Any, Workspace], AsyncGenerator[Any, None]]


@dataclass(frozen=True)
class _Task:
    """How one task is done."""

    run: Run
    stream: Stream | None = None


_TASKS: dict[OpenAiTaskName, _Task] = {
    "chat": _Task(openai_chat.run, openai_chat.stream),
    "embedding": _Task(openai_embeddings.run),
    "image-to-image": _Task(openai_images.image_to_image, openai_images.stream_image_to_image),
    "image-to-text": _Task(openai_sight.run),
    "image-with-mask": _Task(openai_images.image_to_image, openai_images.stream_image_to_image),
    "speech-to-text": _Task(openai_transcription.run, openai_transcription.stream),
    "text-to-image": _Task(openai_images.text_to_image, openai_images.stream_text_to_image),
    "text-to-speech": _Task(openai_speech.run, openai_speech.stream),
}
_KINDS: tuple[set[OpenAiTaskName], ...] = (
    {"text-to-image", "image-to-image", "image-with-mask"},
    {"chat", "image-to-text"},
)
"""Tasks that one model may do."""


class OpenAiProvider:
    """A server that speaks OpenAI's wire format."""

    Options = OpenAiOptions

    def __init__(self, settings: ProviderSettings, options: OpenAiOptions) -> None:
        """Prepare; nobody is contacted."""
        self.tasks: frozenset[str] = frozenset(options.tasks)
        self.fetches_images = options.fetches_images
        self._options = options
        key = {"Authorization": f"Bearer {settings.key}"} if settings.key else {}
        self._http = ProviderHttp(settings, {**options.headers, **key}, read_fault)
        self._api = OpenAiApi(self._http, options, settings.id)

    async def run(self, task: str, request: TaskRequest[ResultT], workspace: Workspace) -> ResultT:
        """Do the work and give its result."""
        done = await _TASKS[cast("OpenAiTaskName", task)].run(self._api, request, workspace)
        return cast("ResultT", done)

    def stream(self, task: str, request: TaskRequest[Any], workspace: Workspace) -> AsyncGenerator[Any, None]:
        """Do the work and give its events; what does not stream gives its result as the only one."""
        known = _TASKS[cast("OpenAiTaskName", task)]
        return (known.stream or _only(known.run))(self._api, request, workspace)

    async def models(self) -> tuple[ListedModel, ...]:
        """Ask for the list of models."""
        try:
            listed = json.loads(await self._http.get("/models"))["data"]
            names = [str(model["id"]) for model in listed]
        except (ValueError, KeyError, TypeError) as error:
            raise self._http.failed("has no list of models that can be read") from error
        return tuple(ListedModel(name, tasks) for name in names if (tasks := self._tasks_of(name)))

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()

    def _tasks_of(self, model: str) -> tuple[str, ...]:
        fitting = [task for task, patterns in self._options.tasks.items() if fits(model, patterns)]
        kind = next((kind for kind in _KINDS if fitting and fitting[0] in kind), set(fitting[:1]))
        return tuple(task for task in fitting if task in kind)


def _only(run: Run) -> Stream:
    async def stream(api: OpenAiApi, request: Any, workspace: Workspace) -> AsyncGenerator[Any, None]:
        yield await run(api, request, workspace)

    return stream
