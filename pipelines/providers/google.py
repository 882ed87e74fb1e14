"""Google's Gemini API (https://ai.google.dev/api), not its OpenAI endpoint, which says less."""

import json
import re
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from typing import Any, TypeVar, cast
from urllib.parse import quote

from pipelines.errors import InvalidInput
from pipelines.providers.base import ListedModel, ProviderSettings
from pipelines.providers.google_answer import (
    AnswerFailed,
    CandidateReader,
    event_fault,
    read_fault,
    read_usage,
)
from pipelines.providers.google_embedding import batches, vectors
from pipelines.providers.google_request import GoogleOptions, translated
from pipelines.providers.http import ProviderHttp
from pipelines.tasks.base import TaskRequest, TaskResult, Usage, Workspace
from pipelines.tasks.chat import ChatEvent, ChatRequest, ChatResult, UsageChunk
from pipelines.tasks.chat_shapes import ChunkWriter, Collector, json_bytes
from pipelines.tasks.embedding import EmbeddingRequest, EmbeddingResult

ResultT = TypeVar("ResultT", bound=TaskResult)

_MODEL = re.compile(r"((?:models|tunedModels)/)?([A-Za-z0-9][A-Za-z0-9._-]*)")
_METHODS = {
    "generateContent": "chat",
    "embedContent": "embedding",
    "batchEmbedContents": "embedding",
}
_MAX_PAGES = 20
_MISREAD = (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError)
"""What reading JSON of another shape than the documented one raises."""


class GoogleProvider:
    """Gemini, asked and heard in OpenAI's shape."""

    Options = GoogleOptions
    tasks = frozenset({"chat", "embedding"})
    fetches_images = False

    def __init__(self, settings: ProviderSettings, options: GoogleOptions) -> None:
        """Prepare; nobody is contacted."""
        self._options = options
        key = {"x-goog-api-key": settings.key} if settings.key else {}
        self._http = ProviderHttp(settings, key, read_fault)

    async def run(self, task: str, request: TaskRequest[ResultT], workspace: Workspace) -> ResultT:
        """Do the work and give its result."""
        if isinstance(request, EmbeddingRequest):
            return cast("ResultT", await self._embed(request))
        assert isinstance(request, ChatRequest)
        return cast("ResultT", await self._complete(request))

    async def stream(
        self, task: str, request: TaskRequest[Any], workspace: Workspace
    ) -> AsyncGenerator[ChatEvent, None]:
        """Do the work and give its events."""
        assert isinstance(request, ChatRequest)
        folder, model = _model(request)
        body = translated(request.body, model, self._options)
        answer = _Answer(model)
        path = f"/{self._options.version}/{folder}{model}:streamGenerateContent?alt=sse"
        async with aclosing(self._http.events(path, body)) as events:
            async for event in events:
                for chunk in self._read(answer, event.data):
                    yield chunk
        if not answer.reader.is_over:
            raise self._http.failed("broke off in the middle of its answer")
        try:
            usage = answer.usage_chunk()
        except _MISREAD as error:
            raise self._http.failed("tells a usage that cannot be read") from error
        yield usage

    async def models(self) -> tuple[ListedModel, ...]:
        """Ask for the list of models."""
        models: list[ListedModel] = []
        path = first_path = f"/{self._options.version}/models?pageSize=1000"
        for _ in range(_MAX_PAGES):
            page = await self._http.get(path)
            try:
                listed = json.loads(page)
                models += [_listed(model) for model in listed.get("models") or ()]
                if not (token := listed.get("nextPageToken")):
                    break
                path = f"{first_path}&pageToken={quote(token, safe='')}"
            except _MISREAD as error:
                raise self._http.failed("has no list of models that can be read") from error
        return tuple(model for model in models if model.tasks)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()

    async def _complete(self, request: ChatRequest) -> ChatResult:
        folder, model = _model(request)
        body = translated(request.body, model, self._options)
        data = await self._http.post(f"/{self._options.version}/{folder}{model}:generateContent", body)
        answer, collector = _Answer(model), Collector()
        try:
            for delta in answer.reader.read(answer.begun(json.loads(data))):
                collector.add(delta)
            usage, details = read_usage(answer.usage)
            completion = answer.writer.completion(
                [_without_empty_content(choice) for choice in collector.choices()], usage, details
            )
        except AnswerFailed as error:
            raise self._http.failed(f"gave up with {error}") from error
        except _MISREAD as error:
            raise self._http.failed("answers with something else than an answer") from error
        if not answer.reader.is_over:
            raise self._http.failed("answers without a whole candidate")
        return ChatResult(completion=json_bytes(completion).decode(), tokens=usage)

    def _read(self, answer: "_Answer", data: bytes) -> Iterator[ChatEvent]:
        try:
            chunk = json.loads(data)
            fault = event_fault(chunk) if "error" in chunk else None
            deltas = [] if fault else list(answer.reader.read(answer.begun(chunk)))
        except AnswerFailed as error:
            raise self._http.failed(f"gave up with {error}") from error
        except _MISREAD as error:
            raise self._http.failed("sends a chunk that cannot be read") from error
        if fault is not None:
            raise self._http.fault_error(fault)
        yield from (answer.writer.chunk(delta) for delta in deltas)

    async def _embed(self, request: EmbeddingRequest) -> EmbeddingResult:
        folder, model = _model(request)
        found: list[tuple[float, ...]] = []
        tokens = 0
        for body in batches(request, f"{folder}{model}"):
            answer = await self._http.post(
                f"/{self._options.version}/{folder}{model}:batchEmbedContents", body
            )
            try:
                more, count = vectors(
                    answer, len(body["requests"]), is_shortened=request.dimensions is not None
                )
            except _MISREAD as error:
                raise self._http.failed("answers with something else than vectors") from error
            found += more
            tokens += count
        return EmbeddingResult(
            vectors=tuple(found), model=request.model or "", tokens=Usage(prompt_tokens=tokens)
        )


class _Answer:
    """One answer, whole or streamed: the head of its chunks and the latest usage."""

    def __init__(self, model: str) -> None:
        self.reader = CandidateReader()
        self.writer = ChunkWriter(model)
        self.usage: dict[str, Any] = {}
        self._model = model
        self._has_begun = False

    def begun(self, answer: dict[str, Any]) -> dict[str, Any]:
        """Take the head of the first chunk, and the usage of every one: each has the sums so far."""
        if not self._has_begun:
            self._has_begun = True
            self.writer = ChunkWriter(answer.get("modelVersion") or self._model, answer.get("responseId"))
        self.usage |= answer.get("usageMetadata") or {}
        return answer

    def usage_chunk(self) -> UsageChunk:
        """Give the last event."""
        usage, details = read_usage(self.usage)
        return UsageChunk(self.writer.usage_chunk(usage, details), usage)


def _model(request: TaskRequest[Any]) -> tuple[str, str]:
    """Give the folder and the name of the model, which become part of the path."""
    match = _MODEL.fullmatch(request.model or "")
    if match is None or ".." in match[2]:
        raise InvalidInput("A Gemini model's name has letters, digits, dots and dashes only.", "model")
    return match[1] or "models/", match[2]


def _listed(model: dict[str, Any]) -> ListedModel:
    tasks = {_METHODS.get(method, "") for method in model.get("supportedGenerationMethods") or ()}
    return ListedModel(str(model["name"]).removeprefix("models/"), tuple(sorted(tasks - {""})))


def _without_empty_content(choice: dict[str, Any]) -> dict[str, Any]:
    """Write null for no text beside calls, as OpenAI does."""
    message = choice["message"]
    if message.get("tool_calls") and not message["content"]:
        message["content"] = None
    return choice
