"""A conversation in OpenAI's shape as the Gemini API's contents: user and model take turns, in parts."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipelines.errors import BeyondModel, InvalidInput
from pipelines.providers.base import without_none
from pipelines.providers.chat_fields import given, read_json
from pipelines.providers.chat_messages import Call, Media, Message, Part

STAND_IN_SIGNATURE = "skip_thought_signature_validator"
"""For calls that another model made, or whose client forgot the signature
(https://ai.google.dev/gemini-api/docs/thought-signatures#faqs)."""

_TURNS = {"user": "user", "tool": "user", "assistant": "model"}


def contents(messages: Sequence[Message], *, needs_signatures: bool) -> list[dict[str, Any]]:
    """Write messages without a system's; neighbours of one role become one turn, and empty ones nothing."""
    turns: list[dict[str, Any]] = []
    names: dict[str, str] = {}
    for message in messages:
        role, parts = _TURNS[message.role], list(_parts(message, names, needs_signatures))
        names |= {call.id: call.name for call in message.calls}
        if not parts:
            continue
        if turns and turns[-1]["role"] == role:
            turns[-1]["parts"] += parts
        else:
            turns.append({"role": role, "parts": parts})
    if not turns:
        raise InvalidInput("Google needs a message with text that is no system message.", "messages")
    return turns


def signature_of(extra: Mapping[str, Any]) -> str | None:
    """Read the signature of a call, where Google's own OpenAI endpoint has it, too."""
    return given(given(extra, "google", dict, "messages") or {}, "thought_signature", str, "messages")


def _parts(message: Message, names: Mapping[str, str], needs_signatures: bool) -> Iterator[dict[str, Any]]:
    if message.role == "tool":
        yield {"functionResponse": _response(message, names)}
        return
    yield from (_part(part) for part in message.parts)
    for place, call in enumerate(message.calls):
        signature = signature_of(call.extra)
        if needs_signatures and place == 0:  # of calls that are made at once, the first has it
            signature = signature or STAND_IN_SIGNATURE
        yield without_none(functionCall=_call(call), thoughtSignature=signature)


def _part(part: Part) -> dict[str, Any]:
    if isinstance(part, str):
        return {"text": part}
    return {"inlineData": _blob(part)}


def _blob(media: Media) -> dict[str, str]:
    if media.url:
        raise BeyondModel("Google fetches no pictures: they must come as data URLs.", "messages")
    return {"mimeType": media.type, "data": media.data}


def _call(call: Call) -> dict[str, Any]:
    return {"id": call.id, "name": call.name, "args": call.arguments}


def _response(message: Message, names: Mapping[str, str]) -> dict[str, Any]:
    name = names.get(message.call_id)
    if name is None:
        raise InvalidInput("A message of role tool answers no call before it.", "messages")
    text = "".join(part for part in message.parts if isinstance(part, str))
    media = [{"inlineData": _blob(part)} for part in message.parts if isinstance(part, Media)]
    return without_none(id=message.call_id, name=name, response=_output(text), parts=media or None)


def _output(text: str) -> dict[str, Any]:
    """Give a tool's result as the object that it must be: itself where it is one."""
    try:
        output = read_json(text)
    except ValueError:
        return {"output": text}
    return output if isinstance(output, dict) else {"output": text}
