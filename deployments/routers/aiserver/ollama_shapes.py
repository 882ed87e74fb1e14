"""Ollama's shapes of a request to generate and of its answer, and what they are in OpenAI's words.

After https://github.com/ollama/ollama/blob/main/docs/api.md#generate-a-completion.
"""

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pydantic import Field

from deployments.chat_spelling import image_address
from deployments.errors import BadRequest
from deployments.routers.aiserver.wire import Wire
from pipelines.tasks.base import NO_USAGE, Usage
from pipelines.tasks.chat_shapes import usage_of

_OPTIONS = {
    "temperature": "temperature",
    "top_p": "top_p",
    "seed": "seed",
    "stop": "stop",
    "num_predict": "max_tokens",
    "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
}
"""What OpenAI's format can say of Ollama's options; the others only tune."""
_BEYOND = ("suffix", "template", "raw", "context")
"""What a chat cannot do."""


class OllamaFields(Wire):
    """A request to generate."""

    model: str | None = None
    prompt: str = ""
    system: str | None = None
    images: list[str] | None = None
    format: str | dict[str, Any] | None = None
    options: dict[str, Any] = Field(default_factory=dict)
    stream: bool = False
    suffix: str | None = None
    template: str | None = None
    raw: bool | None = None
    context: list[int] | None = None


def chat_body(fields: OllamaFields) -> dict[str, Any]:
    """Say it in OpenAI's words.

    Raises:
        BadRequest: it asks for nothing, or for what a chat cannot do.
    """
    if not fields.prompt and not fields.images:
        raise BadRequest("'Prompt' must not be empty.", "prompt", "NotEmpty")
    for name in _BEYOND:
        if getattr(fields, name):
            raise BadRequest(f"'{name}' is not supported. Leave it out, or use chat messages.", name)
    content: Any = fields.prompt
    if fields.images:
        pictures = (
            {"type": "image_url", "image_url": {"url": image_address(each)}} for each in fields.images
        )
        content = [{"type": "text", "text": fields.prompt}, *pictures]
    messages = [{"role": "system", "content": fields.system}] if fields.system else []
    body: dict[str, Any] = {"messages": [*messages, {"role": "user", "content": content}]}
    options = fields.options.items()
    body |= {_OPTIONS[name]: value for name, value in options if name in _OPTIONS and value is not None}
    _limit(body)
    if isinstance(fields.format, dict):
        body["response_format"] = {
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": fields.format},
        }
    elif fields.format == "json":
        body["response_format"] = {"type": "json_object"}
    return {"model": fields.model, **body, **({"stream": True} if fields.stream else {})}


def _limit(body: dict[str, Any]) -> None:
    limit = body.get("max_tokens", 1)
    if not isinstance(limit, int):
        raise BadRequest("'options.num_predict' must be a whole number.", "options.num_predict")
    if limit < 1:
        del body["max_tokens"]  # -1 and -2 mean "as many as you like"


@dataclass
class OllamaAnswer:
    """An answer in the making."""

    model: str
    started: float = field(default_factory=time.perf_counter)
    first: float | None = None
    finish: str = "stop"
    usage: Usage = NO_USAGE

    def piece(self, text: str) -> dict[str, Any]:
        """Write what was said, as a part of a stream."""
        return {"model": self.model, "created_at": _now(), "response": text, "done": False}

    def end(self, text: str) -> dict[str, Any]:
        """Write the end, or the whole; durations are in nanoseconds."""
        now = time.perf_counter()
        first = self.first or self.started  # a whole answer is not told apart
        return {
            **self.piece(text),
            "done": True,
            "done_reason": self.finish,
            "context": [],
            "total_duration": _ns(now - self.started),
            "load_duration": 0,
            "prompt_eval_count": self.usage.prompt_tokens,
            "prompt_eval_duration": _ns(first - self.started),
            "eval_count": self.usage.completion_tokens,
            "eval_duration": _ns(now - first),
        }


def ollama_answer(completion: dict[str, Any], model: str, duration_s: float) -> dict[str, Any]:
    """Write a whole completion as Ollama does."""
    choice = completion["choices"][0]
    answer = OllamaAnswer(model, time.perf_counter() - duration_s)
    answer.finish = choice.get("finish_reason") or "stop"
    answer.usage = usage_of(completion.get("usage"))
    return answer.end(choice["message"].get("content") or "")


def _now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


def _ns(seconds: float) -> int:
    return round(seconds * 1e9)
