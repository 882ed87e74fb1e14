"""OpenAI's shapes of a completion, whole and in chunks, for whoever does not get them from an API.

Field names after https://platform.openai.com/docs/api-reference/chat (object and streaming).
"""

import json
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipelines.tasks.base import Usage


@dataclass(frozen=True)
class ChatDelta:
    """What a chunk adds to one choice."""

    delta: Mapping[str, Any] = field(default_factory=dict)
    """``role``, ``content``, ``refusal``, ``tool_calls`` (each with its ``index``), as OpenAI has them."""
    index: int = 0
    """Of the choice."""
    finish_reason: str | None = None
    """``stop``, ``length``, ``tool_calls`` or ``content_filter``; given once, at the end of the choice."""
    logprobs: Mapping[str, Any] | None = None


class ChunkWriter:
    """Writes the chunks of one completion, or the whole of it."""

    def __init__(self, model: str, completion_id: str | None = None, created: int | None = None) -> None:
        """Take the model's name as the client shall see it; an id and a time are made where none is given."""
        self._id = completion_id or f"chatcmpl-{uuid.uuid4().hex}"
        self._created = created or int(time.time())
        self._model = model

    def chunk(self, event: ChatDelta) -> bytes:
        """Write one chunk."""
        choice = {
            "index": event.index,
            "delta": dict(event.delta),
            "logprobs": event.logprobs,
            "finish_reason": event.finish_reason,
        }
        return json_bytes(self._head("chat.completion.chunk") | {"choices": [choice]})

    def usage_chunk(self, usage: Usage, details: Mapping[str, Any] | None = None) -> bytes:
        """Write the chunk without choices that ends a stream; `details` are further fields of the usage."""
        body = usage_body(usage) | dict(details or {})
        return json_bytes(self._head("chat.completion.chunk") | {"choices": [], "usage": body})

    def completion(
        self, choices: Sequence[Mapping[str, Any]], usage: Usage, details: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Give the whole completion; `details` are further fields of the usage."""
        body = usage_body(usage) | dict(details or {})
        return self._head("chat.completion") | {"choices": list(choices), "usage": body}

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": self._id, "object": kind, "created": self._created, "model": self._model}


class Collector:
    """Puts the deltas of a completion together again."""

    def __init__(self) -> None:
        """Begin with no choice."""
        self._choices: dict[int, dict[str, Any]] = {}

    def add(self, event: ChatDelta) -> None:
        """Add what a chunk says."""
        choice = self._choices.setdefault(event.index, _new_choice(event.index))
        _extend(choice["message"], event.delta)
        if event.finish_reason is not None:
            choice["finish_reason"] = event.finish_reason
        for name, tokens in (event.logprobs or {}).items():
            choice["logprobs"] = choice["logprobs"] or {}
            choice["logprobs"][name] = [*(choice["logprobs"].get(name) or ()), *(tokens or ())]

    def choices(self) -> list[dict[str, Any]]:
        """Give the choices in order."""
        return [self._choices[index] for index in sorted(self._choices)]


def usage_body(usage: Usage) -> dict[str, int]:
    """Write a usage as OpenAI does."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
    }


def usage_of(body: Mapping[str, Any] | None) -> Usage:
    """Read a usage that OpenAI's shape gives; what is missing counts as 0."""
    found = body or {}
    return Usage(
        prompt_tokens=found.get("prompt_tokens") or 0, completion_tokens=found.get("completion_tokens") or 0
    )


_CALL_FIELDS = ("index", "id", "type", "function")


def _new_choice(index: int) -> dict[str, Any]:
    message = {"role": "assistant", "content": None, "refusal": None}
    return {"index": index, "message": message, "logprobs": None, "finish_reason": None}


def _extend(message: dict[str, Any], delta: Mapping[str, Any]) -> None:
    for name, value in delta.items():
        if name == "tool_calls":
            for call in value:
                _extend_call(message.setdefault("tool_calls", []), call)
        elif isinstance(value, str) and name != "role":
            message[name] = (message.get(name) or "") + value
        elif isinstance(value, list):
            message[name] = [*(message.get(name) or ()), *value]
        elif value is not None:
            message[name] = value


def _extend_call(calls: list[dict[str, Any]], piece: Mapping[str, Any]) -> None:
    place = piece.get("index", len(calls))
    while len(calls) <= place:
        calls.append({"id": "", "type": "function", "function": {"name": "", "arguments": ""}})
    call, function = calls[place], piece.get("function") or {}
    call["id"] = piece.get("id") or call["id"]
    call["function"]["name"] += function.get("name") or ""
    call["function"]["arguments"] += function.get("arguments") or ""
    call |= {name: value for name, value in piece.items() if name not in _CALL_FIELDS}  # a vendor's own


def json_bytes(value: Any) -> bytes:
    """Write JSON in one line of UTF-8."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":")).encode()  # half of a surrogate pair, as an escape
