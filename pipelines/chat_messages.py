"""OpenAI's messages as roles and texts, for models that read nothing else."""

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from pipelines.errors import BeyondModel, InvalidInput

_ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
_TEXT_PARTS = {"text": "text", "refusal": "refusal"}
"""Where a part of each type has its text."""


def read_messages(body: Mapping[str, Any], system: str) -> list[dict[str, str]]:
    """Give each message's ``role`` and ``content``.

    Args:
        body: of the request.
        system: the system message of requests that have none; empty for no such message.

    Raises:
        InvalidInput: something in it is not text, or of no known role; names the message.
    """
    messages = body.get("messages")
    if not isinstance(messages, Sequence) or isinstance(messages, str) or not messages:
        raise InvalidInput("messages must be a list with at least one message.", "messages")
    read = [_read(number, message) for number, message in enumerate(messages)]
    if system and all(message["role"] != "system" for message in read):
        read.insert(0, {"role": "system", "content": system})
    return read


def _read(number: int, message: Any) -> dict[str, str]:
    if not isinstance(message, Mapping):
        _refuse(number, "must be an object with role and content.")
    role = message.get("role")
    if role in ("tool", "function") or message.get("tool_calls") or message.get("function_call"):
        _refuse(number, "is about a tool, and this model does not call tools. Leave such messages out.")
    if not isinstance(role, str) or role not in _ROLES:
        _refuse(number, f"has the role {role!r}; give one of: {', '.join(_ROLES)}.")
    content = message.get("content")
    if content is None and role == "assistant":
        content = message.get("refusal") or ""
    return {"role": _ROLES[role], "content": _text(number, content)}


def _text(number: int, content: Any) -> str:
    if isinstance(content, str):
        return content
    if not isinstance(content, Sequence):
        _refuse(number, "must have a text, or a list of parts, as its content.")
    return "".join(_part(number, part) for part in content)


def _part(number: int, part: Any) -> str:
    kind = part.get("type") if isinstance(part, Mapping) else None
    if not isinstance(kind, str) or kind not in _TEXT_PARTS:
        _refuse(number, f"has a part of type {kind!r}; this model reads text only. Leave it out.")
    text = part.get(_TEXT_PARTS[kind])
    if not isinstance(text, str):
        _refuse(number, f"has a part whose {_TEXT_PARTS[kind]!r} is no text.")
    return text


def _refuse(number: int, problem: str) -> NoReturn:
    raise BeyondModel(f"messages[{number}] {problem}", "messages")
