"""What Anthropic's Messages API refuses, each with the beginning of its own words for it."""

import re
from collections.abc import Iterator
from typing import Any

_FIELDS: dict[str, Any] = {
    "model": str,
    "messages": list,
    "max_tokens": int,
    "system": list,
    "stream": bool,
    "temperature": (int, float),
    "top_p": (int, float),
    "stop_sequences": list,
    "tools": list,
    "tool_choice": dict,
    "output_config": dict,
    "metadata": dict,
    "service_tier": str,
    "thinking": dict,
    "cache_control": dict,
}
_BLOCKS = {
    "user": ("text", "image", "document", "tool_result"),
    "assistant": ("text", "tool_use", "thinking", "redacted_thinking"),
}
_PICTURES = ("image/jpeg", "image/png", "image/gif", "image/webp")
_CHOICES = {
    "auto": {"type", "disable_parallel_tool_use"},
    "any": {"type", "disable_parallel_tool_use"},
    "tool": {"type", "name", "disable_parallel_tool_use"},
    "none": {"type"},
}
_ID = "[a-zA-Z0-9_-]+"


def complaints(body: dict[str, Any]) -> Iterator[str]:
    """Say what is wrong with a request."""
    yield from _fields(body)
    yield from _values(body)
    yield from _tools(body.get("tools", []))
    yield from _tool_choice(body.get("tool_choice"), body.get("tools", []))
    yield from _turns(body["messages"])
    yield from _results(body["messages"])
    last = body["messages"][-1]["content"][-1]
    if body["messages"][-1]["role"] == "assistant" and last.get("text", "").endswith((" ", "\n")):
        yield "messages: final assistant content cannot end with trailing whitespace"
    if "tool_use" in _kinds(body["messages"]) and not body.get("tools"):
        yield "Requests which include `tool_use` or `tool_result` blocks must define tools"


def _fields(body: dict[str, Any]) -> Iterator[str]:
    for name, value in body.items():
        if name not in _FIELDS:
            yield f"{name}: Extra inputs are not permitted"
        elif not isinstance(value, _FIELDS[name]):
            yield f"{name}: Input should be a valid {_FIELDS[name]}"
    for name in {"model", "messages", "max_tokens"} - body.keys():
        yield f"{name}: Field required"


def _values(body: dict[str, Any]) -> Iterator[str]:
    if body["max_tokens"] < 1:
        yield "max_tokens: Input should be greater than or equal to 1"
    yield from _sampling(body)
    if any(block["type"] != "text" or not block["text"].strip() for block in body.get("system", ())):
        yield "system: text content blocks must contain non-whitespace text"
    if not all(word.strip() for word in body.get("stop_sequences", ())):
        yield "stop_sequences: each stop sequence must contain non-whitespace"


def _sampling(body: dict[str, Any]) -> Iterator[str]:
    if not 0 <= body.get("temperature", 1) <= 1:
        yield "temperature: range: 0..1"
    if "temperature" in body and "top_p" in body:
        yield "`temperature` and `top_p` cannot both be specified for this model."
    if {"temperature", "top_p"} & body.keys() and body["model"].startswith(
        ("claude-opus-5", "claude-sonnet-5")
    ):
        yield "`temperature` is deprecated for this model."


def _tools(tools: list[dict[str, Any]]) -> Iterator[str]:
    for tool in tools:
        if not tool.keys() <= {"name", "description", "input_schema", "strict"}:
            yield "tools.0: Extra inputs are not permitted"
        if not re.fullmatch(r"[a-zA-Z0-9_-]{1,128}", tool["name"]):
            yield "tools.0.name: String should match pattern"
        if tool["input_schema"].get("type") != "object":
            yield "tools.0.input_schema.type: Field required"


def _tool_choice(choice: dict[str, Any] | None, tools: list[dict[str, Any]]) -> Iterator[str]:
    if choice is None:
        return
    if not tools:
        yield "tool_choice may only be specified while providing tools"
    if not choice.keys() <= _CHOICES.get(choice["type"], set()):
        yield "tool_choice: Extra inputs are not permitted"
    if choice["type"] == "tool" and choice["name"] not in [tool["name"] for tool in tools]:
        yield "tool_choice: Tool not found in provided tools"


def _turns(turns: list[dict[str, Any]]) -> Iterator[str]:
    if not turns:
        yield "messages: at least one message is required"
    for place, turn in enumerate(turns):
        if turn.keys() != {"role", "content"} or turn["role"] not in _BLOCKS or not turn["content"]:
            yield f"messages.{place}: all messages must have non-empty content"
        if place and turn["role"] == turns[place - 1]["role"]:
            yield "messages: roles must alternate"
        for block in turn["content"]:
            if block["type"] not in _BLOCKS[turn["role"]]:
                yield f"messages.{place}: {block['type']} blocks are not permitted here"
            yield from _block(block)


def _results(turns: list[dict[str, Any]]) -> Iterator[str]:
    asked: set[str] = set()
    for place, turn in enumerate(turns):
        results = [block["tool_use_id"] for block in turn["content"] if block["type"] == "tool_result"]
        if set(results) != asked or len(results) != len(asked):
            yield f"messages.{place}: `tool_use` ids were found without `tool_result` blocks"
        if results and turn["content"][0]["type"] != "tool_result":
            yield "tool_result blocks must come first"
        asked = {block["id"] for block in turn["content"] if block["type"] == "tool_use"}


def _kinds(turns: list[dict[str, Any]]) -> set[str]:
    return {block["type"] for turn in turns for block in turn["content"]}


def _block(block: dict[str, Any]) -> Iterator[str]:
    match block:
        case {"type": "text", "text": str(text)} if text.strip():
            return
        case {"type": "image" | "document", "source": dict(source)}:
            yield from _source(source, block["type"])
        case {"type": "tool_use", "id": str(name), "name": str(), "input": dict()} if re.fullmatch(_ID, name):
            return
        case {"type": "tool_result", "tool_use_id": str()}:
            for inner in block.get("content", ()):
                yield from _block(inner)
        case {"type": "thinking", "thinking": str(), "signature": str()} | {"type": "redacted_thinking"}:
            return
        case _:
            yield "Input does not match any of the expected tags"


def _source(source: dict[str, Any], kind: str) -> Iterator[str]:
    kinds = _PICTURES if kind == "image" else ("application/pdf",)
    match source:
        case {"type": "base64", "media_type": str(found), "data": str()} if found in kinds:
            return
        case {"type": "url", "url": str(url)} if url.startswith("https://"):
            return
    yield "source: Input should be 'image/jpeg' ..."
