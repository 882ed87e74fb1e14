"""The same request in other words: as AI Server's typed clients spell it, and as OpenAI does."""

from collections.abc import Mapping
from typing import Any

from pydantic.alias_generators import to_camel

_NAMES = (
    "frequency_penalty", "logit_bias", "max_completion_tokens", "max_tokens", "parallel_tool_calls",
    "presence_penalty", "reasoning_effort", "ref_id", "reply_to", "response_format", "stream_options",
    "tool_call_id", "tool_calls", "tool_choice", "top_logprobs", "top_p",
)  # fmt: skip
_SNAKE_CASE = {to_camel(name): name for name in _NAMES}


def as_openai_spells(body: Mapping[str, Any]) -> dict[str, Any]:
    """Give the body with OpenAI's names of fields: ``maxTokens`` becomes ``max_tokens``, also in messages.

    A message's ``images``, and the ``responseFormat`` inside of ``response_format``, are AI Server's own:
    they become what OpenAI has for them.
    """
    chat = _spelt(body)
    if isinstance(messages := chat.get("messages"), list):
        chat["messages"] = [_message(each) if isinstance(each, dict) else each for each in messages]
    if isinstance(wanted := chat.get("response_format"), dict) and "type" not in wanted:
        chat["response_format"] = _format(wanted)
    return chat


def _spelt(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {_SNAKE_CASE.get(name, name): value for name, value in fields.items()}


def _message(message: dict[str, Any]) -> dict[str, Any]:
    if not (message.keys() & _SNAKE_CASE.keys() or "images" in message):
        return message
    spelt = _spelt(message)
    images, content = spelt.pop("images", None), spelt.get("content")
    if not images or not isinstance(images, list) or not isinstance(content, str | None):
        return spelt
    parts: list[dict[str, Any]] = [{"type": "text", "text": content}] if content else []
    parts += [{"type": "image_url", "image_url": {"url": image_address(image)}} for image in images]
    return {**spelt, "content": parts}


def image_address(image: Any) -> Any:
    """Give the address of a picture that came as one, or as bare base64."""
    if not isinstance(image, str) or image.partition(":")[0] in ("http", "https", "data"):
        return image
    return f"data:{_media_type(image)};base64,{image}"


def _media_type(base64: str) -> str:
    """Tell the kind by the first bytes, as base64 writes them."""
    kinds = {"/9j/": "image/jpeg", "iVBOR": "image/png", "R0lGOD": "image/gif", "UklGR": "image/webp"}
    return next((kind for start, kind in kinds.items() if base64.startswith(start)), "image/png")


def _format(wanted: dict[str, Any]) -> dict[str, Any]:
    kind = wanted.get("response_format") or wanted.get("responseFormat")
    return {"type": kind} if isinstance(kind, str) else wanted
