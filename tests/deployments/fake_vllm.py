"""A vLLM in a few lines, for the real Ray Serve LLM: what that imports, and an engine that plays a script.

Shapes after ``core/configs/openai_api_models.py`` and ``engines/vllm/vllm_engine.py`` in
``ray/llm/_internal/serve`` of Ray 2.60, which name vLLM's modules and what they take from each, and after
vLLM's own ``entrypoints/openai/chat_completion/{protocol,serving}.py``. No GPU has seen any of this.
"""

import asyncio
import sys
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

TRACES = ("vllm", "pyarrow", "ray.llm", "ray.serve.llm", "deployments.vllm_server")


class OpenAiModel(BaseModel):
    """vLLM takes fields that it does not know."""

    model_config = ConfigDict(extra="allow")


class VLLMValidationError(Exception):
    """Since vLLM 0.27 no ValueError: it leaves pydantic as it is."""

    def __init__(self, message: str, *, parameter: str | None = None) -> None:
        super().__init__(message)
        self.parameter = parameter


class ChatCompletionRequest(OpenAiModel):
    messages: list[dict[str, Any]]
    model: str | None = None
    temperature: float | None = None
    stream: bool | None = False
    stream_options: dict[str, Any] | None = None
    tools: list[dict[str, Any]] | None = None
    request_id: str = Field(default_factory=lambda: "made-by-vllm")

    @model_validator(mode="before")
    @classmethod
    def _check_logprobs(cls, body: Any) -> Any:
        if body.get("top_logprobs") and not body.get("logprobs"):
            raise VLLMValidationError("when using `top_logprobs`, set `logprobs`", parameter="top_logprobs")
        return body


class ChatCompletionResponse(OpenAiModel):
    id: str
    object: str = "chat.completion"
    created: int = 1
    model: str
    choices: list[dict[str, Any]]
    usage: dict[str, int]
    prompt_logprobs: list[Any] | None = None


class EmbeddingCompletionRequest(OpenAiModel):
    model: str | None = None
    input: list[int] | list[list[int]] | str | list[str]
    encoding_format: str = "float"
    dimensions: int | None = None


class EmbeddingChatRequest(OpenAiModel):
    messages: list[dict[str, Any]]


class EmbeddingResponse(OpenAiModel):
    model: str
    data: list[dict[str, Any]]
    usage: dict[str, int]


class ErrorInfo(OpenAiModel):
    message: str
    type: str
    param: str | None = None
    code: int


class ErrorResponse(OpenAiModel):
    error: ErrorInfo


@dataclass
class AsyncEngineArgs:
    max_model_len: int = 0
    tensor_parallel_size: int = 1
    pipeline_parallel_size: int = 1
    gpu_memory_utilization: float = 0.9
    enable_auto_tool_choice: bool = False


@dataclass
class FrontendArgs:
    tool_call_parser: str | None = None


def plain(name: str) -> type[BaseModel]:
    """A class that Ray names, and these tests do not use."""
    return type(name, (OpenAiModel,), {"__module__": __name__})


def answers(*names: str) -> dict[str, type[Any]]:
    return {name: globals().get(name) or plain(name) for name in names}


MODULES = {
    "vllm.engine.arg_utils": answers("AsyncEngineArgs"),
    "vllm.entrypoints.launchers.cli_args": answers("FrontendArgs"),
    "vllm.entrypoints.openai.chat_completion.protocol": answers(
        "ChatCompletionRequest", "ChatCompletionResponse", "ChatCompletionStreamResponse"
    ),
    "vllm.entrypoints.openai.completion.protocol": answers(
        "CompletionRequest", "CompletionResponse", "CompletionStreamResponse"
    ),
    "vllm.entrypoints.pooling.embed.protocol": answers(
        "EmbeddingChatRequest", "EmbeddingCompletionRequest", "EmbeddingResponse"
    ),
    "vllm.entrypoints.pooling.scoring.protocol": answers("ScoreResponse", "ScoreTextRequest"),
    "vllm.entrypoints.serve.engine.protocol": answers("ErrorInfo", "ErrorResponse"),
    "vllm.entrypoints.serve.tokenize.protocol": answers(
        "DetokenizeRequest",
        "DetokenizeResponse",
        "TokenizeChatRequest",
        "TokenizeCompletionRequest",
        "TokenizeResponse",
    ),
    "vllm.entrypoints.speech_to_text.transcription.protocol": answers(
        "TranscriptionRequest", "TranscriptionResponse", "TranscriptionStreamResponse"
    ),
    "pyarrow": {},
    "pyarrow.fs": answers("FileSystem", "FileSelector", "FileType", "S3FileSystem", "GcsFileSystem"),
}


@contextmanager
def installed() -> Iterator[None]:
    """Let Ray find this vLLM for the block; afterwards nothing of it is left."""
    before = set(sys.modules)
    for name, contents in MODULES.items():
        for package in parents(name):
            module = sys.modules.setdefault(package, ModuleType(package))
            module.__spec__ = ModuleSpec(package, None)
            module.__path__ = []
        for key, value in contents.items():
            setattr(sys.modules[name], key, value)
    try:
        yield
    finally:
        for name in set(sys.modules) - before:
            if name.startswith(TRACES):
                del sys.modules[name]
                package, _, child = name.rpartition(".")
                # `from package import child` looks here first, and would give the one that is gone.
                if package in sys.modules and hasattr(sys.modules[package], child):
                    delattr(sys.modules[package], child)


def parents(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[: count + 1]) for count in range(len(parts))]


class Engine:
    """Stands where ``VLLMEngine`` does: plays a script instead of a model."""

    def __init__(self, llm_config: Any) -> None:
        self.llm_config = llm_config
        self.script: Sequence[Any] = ()
        """Frames or whole answers to give, errors to raise, events to wait for."""
        self.requests: list[Any] = []
        self.is_waiting = asyncio.Event()
        self.aborted = False

    async def start(self) -> None:
        """As if it had loaded."""

    async def check_health(self) -> None:
        if "dead" in self.script:
            raise RuntimeError("EngineDeadError")

    async def chat(self, request: Any, raw_request_info: object = None) -> AsyncGenerator[Any, None]:
        self.requests.append(request)
        try:
            for part in self.script:
                if isinstance(part, Exception):
                    raise part
                if isinstance(part, asyncio.Event):
                    self.is_waiting.set()
                    await part.wait()
                    continue
                yield part
        except (asyncio.CancelledError, GeneratorExit):
            self.aborted = True  # as AsyncLLM.generate aborts a request
            raise

    embeddings = chat


class BrokenEngine(Engine):
    """Does not fit onto the card."""

    async def start(self) -> None:
        raise RuntimeError("CUDA out of memory")
