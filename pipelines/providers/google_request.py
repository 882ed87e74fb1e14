"""A chat request in OpenAI's shape as the Gemini API has it.

https://ai.google.dev/api/generate-content and .../api/caching (``Content``, ``Tool``); the fields were
compared with those that the package google-genai 3.6.1 sends.
"""

from collections.abc import Sequence
from typing import Any

from pydantic import Field

from pipelines.errors import BeyondModel
from pipelines.providers.base import ProviderOptions, fits, renamed, without_none
from pipelines.providers.chat_fields import (
    Body,
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
from pipelines.providers.google_messages import contents

VENDOR = "Google"

_BUDGETS = {"none": 0, "minimal": 1024, "low": 1024, "medium": 8192, "high": 24576, "xhigh": 24576}
"""As Google's own translation has them: https://ai.google.dev/gemini-api/docs/openai#thinking"""
_LEVELS = {
    "none": "MINIMAL",  # these models always think
    "minimal": "MINIMAL",
    "low": "LOW",
    "medium": "MEDIUM",
    "high": "HIGH",
    "xhigh": "HIGH",
}
_NUMBERS = {
    "temperature": "temperature",
    "top_p": "topP",
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
}
_WHOLE_NUMBERS = {"n": "candidateCount", "seed": "seed"}
_MODES = {"auto": "AUTO", "none": "NONE", "required": "ANY"}


class GoogleOptions(ProviderOptions):
    """Which API, and what differs from model to model."""

    version: str = Field(default="v1beta", pattern=r"^v[0-9a-z]+$")
    """Of the API: v1beta has all that is translated here. Google's own clients began with v1 in 2026."""
    thinks_by_budget: tuple[str, ...] = ("gemini-2.5-*",)
    """Patterns of the models that take a number of tokens to think with."""
    thinks_by_level: tuple[str, ...] = ("gemini-[3-9]*", "gemini-*-latest")
    """Patterns of the models that take a word for it."""
    shows_thoughts: bool = False
    """Whether those models shall tell what they think (``reasoning_content``)."""
    needs_signatures: tuple[str, ...] = ("gemini-[3-9]*", "gemini-*-latest")
    """Patterns of the models that answer 400 to a call of theirs that comes back without its signature."""


def translated(body: Body, model: str, options: GoogleOptions) -> dict[str, Any]:
    """Write the body of a request to ``:generateContent``.

    Dropped as hints that Google has nothing for: user, verbosity, store, metadata, prompt_cache_key,
    prediction, service_tier; parallel_tool_calls, too, for which it has no switch.

    Raises:
        InvalidInput: a field is wrong, or Google cannot do what it asks for.
    """
    refuse(body, VENDOR, "logit_bias", "audio", "functions", "web_search_options")
    if any(kind != "text" for kind in given(body, "modalities", list) or ()):
        raise BeyondModel("Google's models answer with text only here.", "modalities")
    messages = read_messages(body)
    declared = tools(body)
    said = [message for message in messages if message.role != "system"]
    return without_none(
        contents=contents(said, needs_signatures=fits(model, options.needs_signatures)),
        systemInstruction=_system(messages),
        tools=[{"functionDeclarations": [_declaration(tool) for tool in declared]}] if declared else None,
        toolConfig=_tool_config(body) if declared else None,
        generationConfig=_generation_config(body, model, options) or None,
    )


def _system(messages: Sequence[Message]) -> dict[str, Any] | None:
    texts = [text for message in messages if message.role == "system" and (text := message.text())]
    return {"parts": [{"text": text} for text in texts]} if texts else None


def _declaration(tool: Tool) -> dict[str, Any]:
    # `parameters` would take a subset of OpenAPI's schemas only. There is no `strict`.
    return without_none(
        name=tool.name, description=tool.description, parametersJsonSchema=tool.parameters or None
    )


def _tool_config(body: Body) -> dict[str, Any] | None:
    wish = tool_wish(body)
    if wish is None:
        return None
    names = [wish.name] if wish.name else None
    return {"functionCallingConfig": without_none(mode=_MODES[wish.mode], allowedFunctionNames=names)}


def _generation_config(body: Body, model: str, options: GoogleOptions) -> dict[str, Any]:
    numbers = {name: number(body, name) for name in _NUMBERS}
    whole_numbers = {name: given(body, name, int) for name in _WHOLE_NUMBERS}
    return without_none(
        **renamed(numbers, _NUMBERS),
        **renamed(whole_numbers, _WHOLE_NUMBERS),
        maxOutputTokens=max_tokens(body),
        stopSequences=stop_words(body),
        thinkingConfig=_thinking(body, model, options) or None,
        responseLogprobs=given(body, "logprobs", bool) or None,
        logprobs=given(body, "top_logprobs", int),
        **_format(body),
    )


def _format(body: Body) -> dict[str, Any]:
    wish = json_wish(body)
    if wish is None:
        return {}
    return without_none(responseMimeType="application/json", responseJsonSchema=wish.schema)


def _thinking(body: Body, model: str, options: GoogleOptions) -> dict[str, Any]:
    effort = given(body, "reasoning_effort", str) or ""
    shown = True if options.shows_thoughts else None
    if fits(model, options.thinks_by_budget):
        return without_none(thinkingBudget=_BUDGETS.get(effort), includeThoughts=shown)
    if fits(model, options.thinks_by_level):
        return without_none(thinkingLevel=_LEVELS.get(effort), includeThoughts=shown)
    return {}
