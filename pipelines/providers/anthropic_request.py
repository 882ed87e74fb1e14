"""A chat request in OpenAI's shape as Anthropic's Messages API has it.

https://platform.claude.com/docs/en/api/messages; where the two differ in meaning we do as Anthropic's own
translation does (https://platform.claude.com/docs/en/api/openai-sdk).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import Field

from pipelines.errors import BeyondModel
from pipelines.providers.anthropic_messages import conversation
from pipelines.providers.base import ProviderOptions, fits, renamed, without_none
from pipelines.providers.chat_fields import (
    Body,
    JsonWish,
    Tool,
    given,
    json_wish,
    max_tokens,
    number,
    refuse,
    stop_words,
    tool_wish,
    tools,
)
from pipelines.providers.chat_messages import Message, read_messages

VENDOR = "Anthropic"
JSON_ONLY = "Answer with one JSON object and nothing else: no code fence, no words around it."

_EFFORTS = {
    "none": "low",  # some models always think
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "xhigh",
}
_TIERS = {"auto": "auto", "default": "standard_only"}
_OWN_FIELDS = {name: name for name in ("thinking", "cache_control")}
"""Anthropic's, which its own OpenAI endpoint takes, too."""


class AnthropicOptions(ProviderOptions):
    """What differs from model to model."""

    version: str = "2023-06-01"
    """Of the API. 2026-10-21 refuses temperature and top_p for all models: empty `takes_sampling` with it."""
    max_tokens: int = Field(default=16_000, ge=1)
    """Where a request says none: Anthropic demands a limit."""
    takes_sampling: tuple[str, ...] = (
        "claude-3*",
        "claude-opus-4-[0-6]*",
        "claude-sonnet-4-*",
        "claude-haiku-4-*",
    )
    """Patterns of the models that take temperature or top_p; newer ones answer 400 to them."""
    takes_effort: tuple[str, ...] = (
        "claude-opus-4-[5-9]*",
        "claude-sonnet-4-6*",
        "claude-opus-[5-9]*",
        "claude-sonnet-[5-9]*",
        "claude-haiku-[5-9]*",
        "claude-fable-*",
        "claude-mythos-*",
    )
    """Patterns of the models that take an effort; older ones answer 400 to it."""


def translated(body: Body, model: str, options: AnthropicOptions) -> dict[str, Any]:
    """Write the body of a request to ``/v1/messages``.

    Dropped as hints that Anthropic has nothing for: seed, presence_penalty, frequency_penalty, verbosity,
    store, metadata, prompt_cache_key, prediction, service tiers of OpenAI's own.

    Raises:
        InvalidInput: a field is wrong, or Anthropic cannot do what it asks for.
    """
    _refuse_what_cannot_be(body)
    messages = read_messages(body)
    wish = json_wish(body)
    declared = tools(body)
    said = conversation([message for message in messages if message.role != "system"])
    return without_none(
        model=model,
        max_tokens=max_tokens(body) or options.max_tokens,
        system=_system(messages, wish),
        messages=said,
        **_tool_fields(body, declared, messages),
        stop_sequences=_stop_sequences(body),
        output_config=_output_config(body, wish, model, options),
        metadata=_metadata(body),
        service_tier=_TIERS.get(given(body, "service_tier", str) or ""),
        **_sampling(body, model, options),
        **renamed(body, _OWN_FIELDS),
    )


def _refuse_what_cannot_be(body: Body) -> None:
    refuse(body, VENDOR, "logprobs", "top_logprobs", "logit_bias", "audio", "functions", "web_search_options")
    if (given(body, "n", int) or 1) != 1:
        raise BeyondModel("Anthropic gives one answer: n must be 1.", "n")
    if any(kind != "text" for kind in given(body, "modalities", list) or ()):
        raise BeyondModel("Anthropic answers with text only.", "modalities")


def _system(messages: Sequence[Message], wish: JsonWish | None) -> list[dict[str, str]] | None:
    """Collect all system messages, wherever they stand, as Anthropic's own translation does."""
    texts = [text for message in messages if message.role == "system" and (text := message.text())]
    if wish is not None and wish.schema is None:
        texts.append(JSON_ONLY)  # it has structured outputs for a schema only
    return [{"type": "text", "text": text} for text in texts] or None


def _tool_fields(body: Body, declared: Sequence[Tool], messages: Sequence[Message]) -> dict[str, Any]:
    wish = tool_wish(body)
    if not declared:
        # A conversation with calls in it must have tools, even if none may be called any more.
        old = {call.name: Tool(call.name, None, None, strict=False) for m in messages for call in m.calls}
        if not old:
            return {}
        return {"tools": [_tool(tool) for tool in old.values()], "tool_choice": {"type": "none"}}
    fields: dict[str, Any] = {"tools": [_tool(tool) for tool in declared]}
    if wish is not None:
        kind = "tool" if wish.name else {"required": "any"}.get(wish.mode, wish.mode)
        one = True if not wish.parallel and kind != "none" else None
        fields["tool_choice"] = without_none(type=kind, name=wish.name, disable_parallel_tool_use=one)
    return fields


def _tool(tool: Tool) -> dict[str, Any]:
    schema: Mapping[str, Any] = tool.parameters or {"properties": {}}
    return without_none(
        name=tool.name,
        description=tool.description,
        input_schema={"type": "object", **schema},
        strict=tool.strict or None,
    )


def _stop_sequences(body: Body) -> list[str] | None:
    words = stop_words(body)
    if words and not all(word.strip() for word in words):
        raise BeyondModel("Anthropic cannot stop at white space only.", "stop")
    return words


def _output_config(
    body: Body, wish: JsonWish | None, model: str, options: AnthropicOptions
) -> dict[str, Any] | None:
    """Write the wish for JSON (structured outputs, which stream as text) and how much to think about it."""
    effort = _EFFORTS.get(given(body, "reasoning_effort", str) or "")
    if not fits(model, options.takes_effort):
        effort = None
    kind = {"type": "json_schema", "schema": wish.schema} if wish and wish.schema is not None else None
    return without_none(effort=effort, format=kind) or None


def _metadata(body: Body) -> dict[str, str] | None:
    user = given(body, "safety_identifier", str) or given(body, "user", str)
    return {"user_id": user} if user else None


def _sampling(body: Body, model: str, options: AnthropicOptions) -> dict[str, float]:
    fields = dict(_sampling_fields(body))  # read even where they are dropped: a wrong type is wrong anywhere
    return fields if fits(model, options.takes_sampling) else {}


def _sampling_fields(body: Body) -> Iterator[tuple[str, float]]:
    temperature, top_p = number(body, "temperature"), number(body, "top_p")
    if temperature is not None:
        # OpenAI's range ends at 2, Anthropic's at 1; its own translation caps it, too.
        yield "temperature", min(temperature, 1.0)
    elif top_p is not None:
        yield "top_p", top_p  # models since 4.1 refuse both at once
