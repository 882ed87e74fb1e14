"""VllmServer: one model that vLLM runs, behind the same handle as all others.

Imported only where an entry asks for it: it needs the extra ``vllm``. Never run on a GPU: no machine of ours
has one. Written against ``ray/llm/_internal/serve/core/server/llm_server.py`` of Ray 2.60.
"""

import asyncio
import logging
import math
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

from ray.serve.llm import LLMConfig, LLMServer

from cluster.gate import PriorityGate
from configs.schema import ModelConfig, ServerConfig
from deployments.errors import Busy, RunTooLong
from deployments.runs import Activity, RunInfo
from deployments.task_server import ReplicaError, ReplicaStalled
from deployments.vllm_wire import chat_body, chat_event, embedding_body, validated, without_error
from pipelines.errors import EngineError, ModelLoadError, PipelineError
from pipelines.providers.openai_embeddings import result_of
from pipelines.tasks.base import TaskRequest, TaskResult
from pipelines.tasks.chat import ChatEvent, ChatRequest, ChatResult
from pipelines.tasks.chat_shapes import usage_of
from pipelines.tasks.embedding import EmbeddingRequest, EmbeddingResult

logger = logging.getLogger("ray.serve")


@dataclass(eq=False)
class _Run:
    """One request that vLLM works on."""

    alive_at: float = math.inf
    """When a stream last said something. What answers as a whole is ended by its limit."""


class VllmServer(LLMServer):
    """Serves one model with vLLM, which batches what runs at once by itself.

    The gate in front of it lets `concurrency` requests in, the urgent first. Like `ModelServer` it
    stays where the model could not be loaded, and says why. Where vLLM dies later, Serve replaces it.
    """

    async def __init__(  # type: ignore[misc]  # Serve awaits a constructor, and Ray's is one to await
        self, llm_config: LLMConfig, *, model: ModelConfig, config: ServerConfig
    ) -> None:
        """Start vLLM, or remember why that is impossible."""
        self._id = model.id
        self._stall_s = config.timeouts.stall_s
        self._queue_limit = config.limits.queued_requests
        self._gate = PriorityGate(model.resources.concurrency)
        self._running: set[_Run] = set()
        self._fault: str | None = None
        started = time.perf_counter()
        try:
            await super().__init__(llm_config)
        except Exception as error:
            self._fault = f"{model.id}: vLLM could not load it: {error!r}"
            self.engine = None  # of which Ray's own methods, which Serve calls, then ask nothing
            logger.exception("model %s cannot be loaded", model.id)
        else:
            logger.info("model %s loaded in %.1f s", model.id, time.perf_counter() - started)

    async def fault(self) -> str | None:
        """Say why the model could not be loaded; None when all is well."""
        return self._fault

    async def activity(self) -> Activity:
        """Tell what is under way and how long the quietest stream has been silent."""
        silent_s = max((time.monotonic() - run.alive_at for run in self._running), default=0.0)
        return Activity(len(self._running), self._gate.waiting, max(silent_s, 0.0))

    async def demand(self, seconds: float) -> None:
        """Do nothing for a while: the autoscaler counts this call, so waiting jobs make it add replicas."""
        await asyncio.sleep(seconds)

    async def check_health(self) -> None:
        """Raise where vLLM is dead, or a stream has been silent for too long (Serve calls this)."""
        if self._fault is not None:
            return
        activity = await self.activity()
        if activity.silent_s > self._stall_s:
            raise ReplicaStalled(f"a stream has said nothing for {activity.silent_s:.0f} s")
        await super().check_health()

    async def run(self, task: str, request: TaskRequest[Any], info: RunInfo) -> TaskResult | ReplicaError:
        """Do the work and give its result, or the error that is expected."""
        if refusal := self._refusal():
            return refusal
        try:
            async with self._admitted(info), asyncio.timeout(info.limit_s) as limit:
                return await self._result(request)
        except TimeoutError:
            if not limit.expired():
                raise
            return RunTooLong(f"The run did not end within {info.limit_s:g} s, its time limit.")
        except PipelineError as error:
            return error

    async def stream(
        self, task: str, request: TaskRequest[Any], info: RunInfo
    ) -> AsyncGenerator[ChatEvent | ReplicaError, None]:
        """Chat and give the events one by one; an expected error is the last of them."""
        assert isinstance(request, ChatRequest), f"{task} has no stream"
        if refusal := self._refusal():
            yield refusal
            return
        try:
            async with self._admitted(info) as run, aclosing(self._events(request, run)) as events:
                async for event in events:
                    yield event
        except PipelineError as error:
            yield error

    def _refusal(self) -> ReplicaError | None:
        if self._fault is not None:
            return ModelLoadError(self._fault)
        return Busy() if self._gate.waiting >= self._queue_limit else None

    @asynccontextmanager
    async def _admitted(self, info: RunInfo) -> AsyncIterator[_Run]:
        async with self._gate.permit(info.priority):
            run = _Run()
            self._running.add(run)
            try:
                yield run
            finally:
                self._running.discard(run)

    async def _result(self, request: TaskRequest[Any]) -> TaskResult:
        if isinstance(request, EmbeddingRequest):
            return await self._embedding(request)
        assert isinstance(request, ChatRequest), "the binding lets no other task through"
        return await self._chat(request)

    async def _chat(self, request: ChatRequest) -> ChatResult:
        from ray.serve.llm.openai_api_models import ChatCompletionRequest

        asked = validated(ChatCompletionRequest, chat_body(request, self._id, is_stream=False))
        with _failures_named():
            answer = await _only(await self.chat(asked))
            tokens = usage_of(answer.model_dump(include={"usage"})["usage"])
            return ChatResult(completion=answer.model_dump_json(), tokens=tokens)

    async def _embedding(self, request: EmbeddingRequest) -> EmbeddingResult:
        from ray.serve.llm.openai_api_models import EmbeddingRequest as VllmRequest

        asked = validated(VllmRequest, embedding_body(request, self._id))
        with _failures_named():
            answer = await _only(await self.embeddings(asked))
            return await asyncio.to_thread(lambda: result_of(answer.model_dump()))

    async def _events(self, request: ChatRequest, run: _Run) -> AsyncGenerator[ChatEvent, None]:
        from ray.serve.llm.openai_api_models import ChatCompletionRequest

        asked = validated(ChatCompletionRequest, chat_body(request, self._id, is_stream=True))
        run.alive_at = time.monotonic()
        with _failures_named():
            # Closing what Ray gives ends the task that reads from vLLM, which then drops the request.
            async with aclosing(await self.chat(asked)) as batches:
                async for batch in batches:
                    run.alive_at = time.monotonic()
                    for frame in batch if isinstance(batch, list) else [batch]:
                        if (event := chat_event(without_error(frame))) is not None:
                            yield event


async def _only(answers: AsyncGenerator[Any, None]) -> Any:
    async with aclosing(answers):
        async for answer in answers:
            return without_error(answer)
    raise EngineError("vLLM gave no answer.")


@contextmanager
def _failures_named() -> Iterator[None]:
    """Make what vLLM raises an error of the engine, after which another candidate is asked."""
    try:
        yield
    except PipelineError:
        raise
    except Exception as error:
        logger.exception("vLLM failed")
        raise EngineError(f"vLLM failed: {error!r:.300}") from error
