"""Anthropic's answers, whole and as events, as deltas of OpenAI's shape.

https://platform.claude.com/docs/en/api/messages and .../build-with-claude/streaming. A whole answer is read
as a stream whose blocks come in one piece, so that both give the same.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pipelines.providers.faults import Fault
from pipelines.tasks.base import Usage
from pipelines.tasks.chat_shapes import ChatDelta

_FINISHES = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",  # of tools that run at Anthropic, which are never asked for
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
_STATUSES = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
"""https://platform.claude.com/docs/en/api/errors"""


@dataclass
class _Block:
    """A block of the answer in the making."""

    start: dict[str, Any]
    call: int = 0
    has_arguments: bool = False
    thought: list[str] = field(default_factory=list)
    """Kept until the signature, which is worth nothing without it; a few thousand tokens at most."""
    signature: str = ""


class BlockReader:
    """Turns the blocks of one answer into deltas; what it does not know is left out."""

    def __init__(self) -> None:
        """Begin before the first block."""
        self._blocks: dict[int, _Block] = {}
        self._calls = 0

    def start(self, index: int, start: dict[str, Any]) -> Iterator[ChatDelta]:
        """Read ``content_block_start``."""
        block = self._blocks[index] = _Block(start)
        match start["type"]:
            case "text" if start["text"]:
                yield ChatDelta({"content": start["text"]})
            case "tool_use":
                block.call, self._calls = self._calls, self._calls + 1
                function = {"name": start["name"], "arguments": ""}
                yield _call_delta(block, id=start["id"], type="function", function=function)
            case "thinking":
                block.signature = start.get("signature") or ""
                yield from _think(block, start["thinking"])

    def add(self, index: int, delta: Mapping[str, Any]) -> Iterator[ChatDelta]:
        """Read ``content_block_delta``."""
        block = self._blocks[index]
        match delta["type"]:
            case "text_delta":
                yield ChatDelta({"content": delta["text"]})
            case "input_json_delta" if delta["partial_json"]:
                block.has_arguments = True
                yield _call_delta(block, function={"arguments": delta["partial_json"]})
            case "thinking_delta":
                yield from _think(block, delta["thinking"])
            case "signature_delta":
                block.signature += delta["signature"]

    def stop(self, index: int) -> Iterator[ChatDelta]:
        """Read ``content_block_stop``."""
        block = self._blocks.pop(index)
        start = block.start
        match start["type"]:
            case "tool_use" if not block.has_arguments:
                # Those of a whole answer; or of a tool without parameters, whose clients read JSON, too.
                arguments = json.dumps(start.get("input") or {}, ensure_ascii=False)
                yield _call_delta(block, function={"arguments": arguments})
            case "thinking" if block.signature:
                thought = {"type": "thinking", "thinking": "".join(block.thought)}
                yield ChatDelta({"thinking_blocks": [{**thought, "signature": block.signature}]})
            case "redacted_thinking":
                yield ChatDelta({"thinking_blocks": [start]})


def whole(message: Mapping[str, Any]) -> Iterator[ChatDelta]:
    """Read a whole answer."""
    reader = BlockReader()
    if not any(block["type"] == "tool_use" for block in message["content"]):
        yield ChatDelta({"content": ""})  # clients expect text where there is no call, be it empty
    for index, block in enumerate(message["content"]):
        yield from reader.start(index, block)
        yield from reader.stop(index)
    yield end(message)


def end(message: Mapping[str, Any]) -> ChatDelta:
    """Read why an answer ended: ``stop_reason`` of a message, or of the ``delta`` of a late event."""
    details = message.get("stop_details") or {}
    refusal = {"refusal": details["explanation"]} if details.get("explanation") else {}
    reason = message["stop_reason"]
    return ChatDelta(refusal, finish_reason=_FINISHES.get(reason, "stop") if reason else None)


def read_usage(usage: Mapping[str, Any]) -> tuple[Usage, dict[str, Any]]:
    """Read a usage: all that was read counts as prompt, whether it came from the cache or not.

    Returns:
        The usage, and OpenAI's details of it.
    """
    created = usage.get("cache_creation_input_tokens") or 0
    cached = usage.get("cache_read_input_tokens") or 0
    details: dict[str, Any] = {"prompt_tokens_details": {"cached_tokens": cached}}
    if (thinking := (usage.get("output_tokens_details") or {}).get("thinking_tokens")) is not None:
        details["completion_tokens_details"] = {"reasoning_tokens": thinking}
    tokens = Usage(
        prompt_tokens=(usage.get("input_tokens") or 0) + created + cached,
        completion_tokens=usage.get("output_tokens") or 0,
    )
    return tokens, details


def read_fault(status: int, body: Any) -> Fault:
    """Read ``{"type": "error", "error": {"type", "message"}}``."""
    error = body["error"]
    return Fault(status, str(error.get("message") or ""), str(error.get("type") or ""))


def event_fault(event: Mapping[str, Any]) -> Fault:
    """Read an ``error`` event, which has no status: it is that of the error's type."""
    return read_fault(_STATUSES.get(str(event["error"].get("type")), 502), event)


def _think(block: _Block, text: str) -> Iterator[ChatDelta]:
    if text:
        block.thought.append(text)
        yield ChatDelta({"reasoning_content": text})


def _call_delta(block: _Block, **call: Any) -> ChatDelta:
    return ChatDelta({"tool_calls": [{"index": block.call, **call}]})
