"""Whoever speaks OpenAI's wire format: OpenAI itself, OpenRouter, Groq, Mistral, Ollama, vLLM and others."""

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from fnmatch import fnmatch
from typing import Any, TypeVar, cast

from pydantic import Field

from pipelines.providers.base import ListedModel, ProviderOptions, ProviderSettings
from pipelines.providers.http import Fault, ProviderHttp
from pipelines.tasks.base import TaskRequest, TaskResult, Workspace
from pipelines.tasks.chat import ChatEvent, ChatRequest, ChatResult, UsageChunk
from pipelines.tasks.chat_shapes import usage_of

ResultT = TypeVar("ResultT", bound=TaskResult)

_DONE = b"[DONE]"


class OpenAiOptions(ProviderOptions):
    """How a server differs from OpenAI's own."""

    tasks: dict[str, tuple[str, ...]] = Field(default={"chat": ("*",)})
    """Task -> patterns of the names of the models that do it; the first task that fits counts."""
    fetches_images: bool = True
    asks_for_usage: bool = True
    """Whether it knows ``stream_options``."""
    headers: dict[str, str] = Field(default_factory=dict)
    """Beside the key, e.g. OpenRouter's ``X-Title``."""


class OpenAiProvider:
    """A server that speaks OpenAI's wire format: what it says is passed on as it is."""

    Options = OpenAiOptions

    def __init__(self, settings: ProviderSettings, options: OpenAiOptions) -> None:
        """Prepare; nobody is contacted."""
        self.tasks = frozenset(options.tasks)
        self.fetches_images = options.fetches_images
        self._options = options
        key = {"Authorization": f"Bearer {settings.key}"} if settings.key else {}
        self._http = ProviderHttp(settings, {**options.headers, **key}, read_fault)

    async def run(self, task: str, request: TaskRequest[ResultT], workspace: Workspace) -> ResultT:
        """Do the work and give its result."""
        assert isinstance(request, ChatRequest)
        return cast("ResultT", await self._complete(request))

    async def stream(
        self, task: str, request: TaskRequest[Any], workspace: Workspace
    ) -> AsyncGenerator[ChatEvent, None]:
        """Do the work and give its events."""
        assert isinstance(request, ChatRequest)
        options = request.body.get("stream_options") or {}
        usage = {"stream_options": {**options, "include_usage": True}} if self._options.asks_for_usage else {}
        body = {**request.body, "model": request.model, "stream": True, **usage}
        async with aclosing(self._http.events("/chat/completions", body)) as events:
            async for event in events:
                if event.data == _DONE:
                    return
                if chunk := self._read_chunk(event.data):
                    yield chunk
        raise self._http.failed("broke off in the middle of its answer")

    async def models(self) -> tuple[ListedModel, ...]:
        """Ask for the list of models."""
        try:
            listed = json.loads(await self._http.get("/models"))["data"]
            names = [str(model["id"]) for model in listed]
        except (ValueError, KeyError, TypeError) as error:
            raise self._http.failed("has no list of models that can be read") from error
        return tuple(ListedModel(name, (task,)) for name in names for task in self._tasks_of(name))

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()

    async def _complete(self, request: ChatRequest) -> ChatResult:
        answer = await self._http.post("/chat/completions", {**request.body, "model": request.model})
        try:
            body = json.loads(answer)
            if body.get("choices") is None and (error := body.get("error")):
                raise self._http.fault_error(_fault(_status(error), error))
            usage = usage_of(body.get("usage"))
            if not isinstance(body["choices"], list):
                raise self._http.failed("answers without choices")
            return ChatResult(completion=answer.decode(), tokens=usage)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise self._http.failed("answers with something else than a completion") from error

    def _read_chunk(self, data: bytes) -> ChatEvent | None:
        # Looking for words is a hundred times cheaper than reading the JSON of every chunk.
        if b'"usage":{' in data or b'"usage": {' in data or b'"error"' in data or data[:1] != b"{":
            return self._read_special_chunk(data)
        return data

    def _read_special_chunk(self, data: bytes) -> ChatEvent | None:
        try:
            chunk = json.loads(data)
            choices, usage, error = chunk.get("choices"), chunk.get("usage"), chunk.get("error")
        except (ValueError, AttributeError) as fault:
            raise self._http.failed("sends a chunk that is no JSON object") from fault
        if error and not choices:
            raise self._http.fault_error(_fault(_status(error), error))
        if usage and not choices:
            return UsageChunk(data, usage_of(usage))
        return data

    def _tasks_of(self, model: str) -> tuple[str, ...]:
        for task, patterns in self._options.tasks.items():
            if any(fnmatch(model, pattern) for pattern in patterns):
                return (task,)
        return ()


def read_fault(status: int, body: Any) -> Fault:
    """Read ``{"error": {...}}``; some servers write text there, or a list around it."""
    if isinstance(body, list) and body:
        body = body[0]
    return _fault(status, body.get("error", body))


def _fault(status: int, error: Any) -> Fault:
    if not isinstance(error, dict):
        return Fault(status, str(error))
    code = error.get("code") or error.get("type") or ""
    param = error.get("param")
    return Fault(
        status,
        str(error.get("message") or ""),
        code if isinstance(code, str) else "",
        param if isinstance(param, str) else None,
    )


def _status(error: Any) -> int:
    """Give the status of an error that came after a good status line, as OpenRouter writes it in ``code``."""
    code = error.get("code") if isinstance(error, dict) else None
    return code if isinstance(code, int) and 400 <= code < 600 else 502
