"""A conversation in OpenAI's shape as Anthropic's: user and assistant take turns, in blocks."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from pipelines.errors import InvalidInput
from pipelines.providers.base import without_none
from pipelines.providers.chat_fields import given, objects
from pipelines.providers.chat_messages import Call, Media, Message, Part

PICTURES = ("image/jpeg", "image/png", "image/gif", "image/webp")

_NOT_IN_ID = re.compile("[^a-zA-Z0-9_-]")
_TURNS = {"user": "user", "tool": "user", "assistant": "assistant"}


def conversation(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Write messages without a system's; neighbours of one role become one turn, and empty ones nothing."""
    turns: list[dict[str, Any]] = []
    for message in messages:
        role, blocks = _TURNS[message.role], list(_blocks(message))
        if not blocks:
            continue
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        else:
            turns.append({"role": role, "content": blocks})
    if not turns:
        raise InvalidInput("Anthropic needs a message with text that is no system message.", "messages")
    _trim_end(turns[-1])
    return turns


def _blocks(message: Message) -> Iterator[dict[str, Any]]:
    if message.role == "tool":
        yield without_none(
            type="tool_result",
            tool_use_id=_id(message.call_id),
            content=[_block(part) for part in message.parts if _says(part)] or None,
        )
        return
    if message.role == "assistant":
        # Our answers carry what the model thought, with its signature; it goes on where it comes back.
        yield from objects(given(message.raw, "thinking_blocks", list, "messages") or [], "messages")
    yield from (_block(part) for part in message.parts if _says(part))
    yield from (_call(call) for call in message.calls)


def _block(part: Part) -> dict[str, Any]:
    if isinstance(part, str):
        return {"type": "text", "text": part}
    if part.url:
        return {"type": "image", "source": {"type": "url", "url": part.url}}
    return {"type": _kind(part), "source": {"type": "base64", "media_type": part.type, "data": part.data}}


def _kind(media: Media) -> str:
    if media.type in PICTURES:
        return "image"
    if media.type == "application/pdf":
        return "document"
    raise InvalidInput(
        f"Anthropic takes JPEG, PNG, GIF, WebP and PDF; convert the {media.type} to one of them.", "messages"
    )


def _call(call: Call) -> dict[str, Any]:
    return {"type": "tool_use", "id": _id(call.id), "name": call.name, "input": call.arguments}


def _id(call_id: str) -> str:
    """Give an id that Anthropic takes; a conversation may have begun at another vendor."""
    return _NOT_IN_ID.sub("_", call_id) or "_"


def _says(part: Part) -> bool:
    return not isinstance(part, str) or bool(part.strip())  # white space alone is refused


def _trim_end(turn: dict[str, Any]) -> None:
    """Take the white space from the end of what the assistant shall go on with, which is refused."""
    last = turn["content"][-1]
    if turn["role"] == "assistant" and last["type"] == "text":
        last["text"] = last["text"].rstrip()
