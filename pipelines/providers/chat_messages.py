"""Reading the messages of a chat request in OpenAI's shape, for providers that speak another one.

After https://platform.openai.com/docs/api-reference/chat/create (``messages``). Empty texts are left out:
OpenAI takes them, Anthropic and Google refuse them, and they say nothing.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from pipelines.errors import BeyondModel, InvalidInput
from pipelines.providers.chat_fields import given, needed, objects, read_json

Role: TypeAlias = Literal["system", "user", "assistant", "tool"]

_FIELD = "messages"
_ROLES: Mapping[Any, Role] = {
    "system": "system",
    "developer": "system",  # OpenAI's newer word for it
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
}
_SOUNDS = {"wav": "audio/wav", "mp3": "audio/mp3"}


@dataclass(frozen=True)
class Media:
    """A picture, sound or document in a message."""

    type: str
    """``image/png``; empty where only its address is known."""
    data: str = ""
    """As base64."""
    url: str = ""
    """Instead of `data`."""

    @property
    def is_image(self) -> bool:
        """Whether it is a picture; what has an address is."""
        return bool(self.url) or self.type.startswith("image/")


Part: TypeAlias = str | Media


@dataclass(frozen=True)
class Call:
    """A call of a tool that the model made."""

    id: str
    name: str
    arguments: dict[str, Any]
    extra: Mapping[str, Any]
    """``extra_content``: what a vendor wants to see again."""


@dataclass(frozen=True)
class Message:
    """One message."""

    role: Role
    parts: tuple[Part, ...]
    calls: tuple[Call, ...] = ()
    """Of an assistant."""
    call_id: str = ""
    """Of a tool: the call that it answers."""
    raw: Mapping[str, Any] = field(default_factory=dict)
    """As it was written."""

    def text(self) -> str:
        """Give its text; a message of this role cannot have anything else."""
        for part in self.parts:
            if isinstance(part, Media):
                raise InvalidInput(f"A message of role {self.role} can have text only.", _FIELD)
        return "".join(part for part in self.parts if isinstance(part, str))


def read_messages(body: Mapping[str, Any]) -> list[Message]:
    """Read ``messages``.

    Raises:
        InvalidInput: a message is not of OpenAI's shape, or only OpenAI can do what it says.
    """
    return [_message(message) for message in objects(needed(body, _FIELD, list, _FIELD), _FIELD)]


def _message(raw: dict[str, Any]) -> Message:
    role = given(raw, "role", str, _FIELD)
    if role not in _ROLES:
        raise InvalidInput("The role of a message must be system, user, assistant or tool.", _FIELD)
    if raw.get("function_call") or raw.get("audio"):
        raise BeyondModel("function_call and audio of a message cannot be translated.", _FIELD)
    # Names of speakers (`name`) have no place elsewhere; OpenAI calls them a hint, too.
    calls = objects(given(raw, "tool_calls", list, _FIELD) or [], _FIELD) if role == "assistant" else []
    return Message(
        _ROLES[role],
        tuple(_parts(raw)),
        tuple(_call(call) for call in calls),
        needed(raw, "tool_call_id", str, _FIELD) if role == "tool" else "",
        raw,
    )


def _parts(raw: dict[str, Any]) -> Iterator[Part]:
    content = raw.get("content")
    if content is None:
        content = given(raw, "refusal", str, _FIELD)
    if isinstance(content, str | None):
        if content:
            yield content
        return
    if not isinstance(content, list):
        raise InvalidInput("The content of a message must be text or a list of parts.", _FIELD)
    for part in objects(content, _FIELD):
        if (read := _part(part)) != "":
            yield read


def _part(part: dict[str, Any]) -> Part:
    match part.get("type"):
        case "text":
            return needed(part, "text", str, _FIELD)
        case "refusal":
            return needed(part, "refusal", str, _FIELD)
        case "image_url":
            return _picture(needed(needed(part, "image_url", dict, _FIELD), "url", str, _FIELD))
        case "input_audio":
            sound = needed(part, "input_audio", dict, _FIELD)
            kind = needed(sound, "format", str, _FIELD)
            return Media(_SOUNDS.get(kind, f"audio/{kind}"), needed(sound, "data", str, _FIELD))
        case "file":
            # A file_id names a file that lies at OpenAI.
            return _inline(needed(needed(part, "file", dict, _FIELD), "file_data", str, _FIELD))
    raise BeyondModel("A part of a message is of a type that cannot be translated.", _FIELD)


def _picture(url: str) -> Media:
    # `detail` is a hint for OpenAI's own way to cut pictures.
    if url.startswith(("http://", "https://")):
        return Media("", url=url)
    picture = _inline(url)
    if not picture.is_image:
        raise InvalidInput("An image_url must be an http address or a data URL of a picture.", _FIELD)
    return picture


def _inline(url: str) -> Media:
    """Read ``data:image/png;base64,...`` (RFC 2397)."""
    head, comma, data = url.partition(",")
    kind, *attributes = head.removeprefix("data:").split(";")
    if not (head.startswith("data:") and comma and kind and data and "base64" in attributes):
        raise InvalidInput("A picture or file must be a data URL with its type and base64.", _FIELD)
    kind = kind.strip().lower()
    return Media("image/jpeg" if kind == "image/jpg" else kind, data)


def _call(call: dict[str, Any]) -> Call:
    if call.get("type", "function") != "function":
        raise BeyondModel("Only tool calls of type function can be translated.", _FIELD)
    function = needed(call, "function", dict, _FIELD)
    try:
        # Clients write nothing at all for a function without parameters.
        arguments = read_json(given(function, "arguments", str, _FIELD) or "{}")
    except ValueError as error:
        raise InvalidInput("The arguments of a tool call must be JSON.", _FIELD) from error
    if not isinstance(arguments, dict):
        raise InvalidInput("The arguments of a tool call must be a JSON object.", _FIELD)
    return Call(
        needed(call, "id", str, _FIELD),
        needed(function, "name", str, _FIELD),
        arguments,
        given(call, "extra_content", dict, _FIELD) or {},
    )
