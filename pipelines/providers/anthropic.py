"""Anthropic's Messages API (https://platform.claude.com/docs/en/api/messages)."""

import json
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing
from typing import Any, TypeVar, cast
from urllib.parse import quote

from pipelines.providers.anthropic_answer import (
    BlockReader,
    end,
    event_fault,
    read_fault,
    read_usage,
    whole,
)
from pipelines.providers.anthropic_request import AnthropicOptions, translated
from pipelines.providers.base import ListedModel, ProviderSettings
from pipelines.providers.http import ProviderHttp
from pipelines.providers.sse import ServerSentEvent
from pipelines.tasks.base import TaskRequest, TaskResult, Workspace
from pipelines.tasks.chat import ChatEvent, ChatRequest, ChatResult, UsageChunk
from pipelines.tasks.chat_shapes import ChatDelta, ChunkWriter, Collector, json_bytes

ResultT = TypeVar("ResultT", bound=TaskResult)

_PATH = "/v1/messages"
_MODELS_PATH = "/v1/models?limit=1000"
_MAX_PAGES = 20
_MISREAD = (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError)
"""What reading JSON of another shape than the documented one raises."""


class AnthropicProvider:
    """Anthropic, asked and heard in OpenAI's shape."""

    Options = AnthropicOptions
    tasks = frozenset({"chat"})
    fetches_images = True

    def __init__(self, settings: ProviderSettings, options: AnthropicOptions) -> None:
        """Prepare; nobody is contacted."""
        self._options = options
        key = {"x-api-key": settings.key} if settings.key else {}
        self._http = ProviderHttp(settings, {"anthropic-version": options.version, **key}, read_fault)

    async def run(self, task: str, request: TaskRequest[ResultT], workspace: Workspace) -> ResultT:
        """Do the work and give its result."""
        assert isinstance(request, ChatRequest)
        return cast("ResultT", await self._complete(request))

    async def stream(
        self, task: str, request: TaskRequest[Any], workspace: Workspace
    ) -> AsyncGenerator[ChatEvent, None]:
        """Do the work and give its events."""
        assert isinstance(request, ChatRequest)
        body = translated(request.body, request.model or "", self._options)
        answer = _Answer(request.model or "")
        events = self._http.events(_PATH, body | {"stream": True}, is_last=lambda _: answer.is_over)
        async with aclosing(events):
            async for event in events:
                for chunk in self._read(answer, event):
                    yield chunk
        if not answer.is_over:
            raise self._http.failed("broke off in the middle of its answer")

    async def models(self) -> tuple[ListedModel, ...]:
        """Ask for the list of models."""
        names: list[str] = []
        path = _MODELS_PATH
        for _ in range(_MAX_PAGES):
            page = await self._http.get(path)
            try:
                listed = json.loads(page)
                names += [str(model["id"]) for model in listed["data"]]
                if not (listed.get("has_more") and listed["data"]):
                    break
                path = f"{_MODELS_PATH}&after_id={quote(names[-1], safe='')}"
            except _MISREAD as error:
                raise self._http.failed("has no list of models that can be read") from error
        return tuple(ListedModel(name, ("chat",)) for name in names)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()

    async def _complete(self, request: ChatRequest) -> ChatResult:
        body = translated(request.body, request.model or "", self._options)
        answer = await self._http.post(_PATH, body)
        try:
            message = json.loads(answer)
            collector = Collector()
            for delta in whole(message):
                collector.add(delta)
            usage, details = read_usage(message["usage"])
            writer = ChunkWriter(str(message["model"]), str(message["id"]))
            completion = writer.completion(collector.choices(), usage, details)
        except _MISREAD as error:
            raise self._http.failed("answers with something else than a message") from error
        return ChatResult(completion=json_bytes(completion).decode(), tokens=usage)

    def _read(self, answer: "_Answer", event: ServerSentEvent) -> Iterator[ChatEvent]:
        try:
            read = json.loads(event.data)
            chunks = list(answer.chunks(read)) if read["type"] != "error" else None
            fault = event_fault(read) if chunks is None else None
        except _MISREAD as error:
            raise self._http.failed("sends an event that cannot be read") from error
        if fault is not None:
            raise self._http.fault_error(fault)
        yield from chunks or ()


class _Answer:
    """One streamed answer."""

    def __init__(self, model: str) -> None:
        self.is_over = False
        self._blocks = BlockReader()
        self._writer = ChunkWriter(model)
        self._usage: dict[str, Any] = {}

    def chunks(self, event: Mapping[str, Any]) -> Iterator[ChatEvent]:
        """Read one event; pings, and kinds that are new, say nothing."""
        for delta in self._deltas(event):
            yield self._writer.chunk(delta)
        if event["type"] == "message_stop":
            self.is_over = True
            usage, details = read_usage(self._usage)
            yield UsageChunk(self._writer.usage_chunk(usage, details), usage)

    def _deltas(self, event: Mapping[str, Any]) -> Iterator[ChatDelta]:
        match event["type"]:
            case "message_start":
                message = event["message"]
                self._writer = ChunkWriter(str(message["model"]), str(message["id"]))
                self._count(message["usage"])
                yield ChatDelta({"role": "assistant", "content": ""})
            case "content_block_start":
                yield from self._blocks.start(event["index"], event["content_block"])
            case "content_block_delta":
                yield from self._blocks.add(event["index"], event["delta"])
            case "content_block_stop":
                yield from self._blocks.stop(event["index"])
            case "message_delta":
                self._count(event.get("usage") or {})
                if event["delta"].get("stop_reason"):
                    yield end(event["delta"])

    def _count(self, usage: Mapping[str, Any]) -> None:
        """Take the latest figures, which are sums; what an event does not tell stays as it was."""
        self._usage |= {name: value for name, value in usage.items() if value is not None}
