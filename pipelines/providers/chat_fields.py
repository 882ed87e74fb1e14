"""Reading the fields of a chat request in OpenAI's shape, for providers that speak another one.

Field names after https://platform.openai.com/docs/api-reference/chat/create. Whoever wrote the request is
told which field is wrong; nothing that they can write raises anything else than `InvalidInput`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from pipelines.errors import BeyondModel, InvalidInput

GivenT = TypeVar("GivenT")
Body = Mapping[str, Any]

_KINDS = {str: "text", int: "a whole number", bool: "true or false", list: "a list", dict: "an object"}


@dataclass(frozen=True)
class Tool:
    """A function that the model may call."""

    name: str
    description: str | None
    parameters: dict[str, Any] | None
    """A JSON schema; None for a function that takes none."""
    strict: bool


@dataclass(frozen=True)
class ToolWish:
    """Whether the model shall call a tool."""

    mode: Literal["auto", "none", "required"]
    name: str | None = None
    """Of the one that it must call."""
    parallel: bool = True
    """Whether it may call several at once."""


@dataclass(frozen=True)
class JsonWish:
    """The answer shall be JSON."""

    schema: dict[str, Any] | None = None
    """What it must fit to; None asks for any object."""


def given(body: Body, name: str, kind: type[GivenT], field: str | None = None) -> GivenT | None:
    """Take a field that is of `kind`, or None where it is not there.

    Args:
        body: the object that has it.
        name: of the field in the object.
        kind: one of `_KINDS`.
        field: the request's field that an error names, where `body` is not the request itself.
    """
    value = body.get(name)
    if value is None or (isinstance(value, kind) and (kind is bool or not isinstance(value, bool))):
        return value
    raise InvalidInput(f"{name} must be {_KINDS[kind]}.", field or name)


def needed(body: Body, name: str, kind: type[GivenT], field: str) -> GivenT:
    """Take a field that must be there."""
    value = given(body, name, kind, field)
    if value is None:
        raise InvalidInput(f"{field} lacks a {name}.", field)
    return value


def number(body: Body, name: str) -> float | None:
    """Take a number."""
    value = body.get(name)
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        return value
    raise InvalidInput(f"{name} must be a number.", name)


def objects(values: list[Any], field: str) -> list[dict[str, Any]]:
    """Check that a list has objects only."""
    for value in values:
        if not isinstance(value, dict):
            raise InvalidInput(f"{field} must be a list of objects.", field)
    return values


def read_json(text: str) -> Any:
    """Read JSON that a caller wrote as text.

    Raises:
        ValueError: it is none, or has what only Python's JSON has (NaN), or is nested without end.
    """
    try:
        return json.loads(text, parse_constant=_no_constant)
    except RecursionError as error:
        raise ValueError("nested too deep") from error


def max_tokens(body: Body) -> int | None:
    """Read how long the answer may be; ``max_tokens`` is the older name."""
    for name in ("max_completion_tokens", "max_tokens"):
        limit = given(body, name, int)
        if limit is not None and limit < 1:
            raise InvalidInput(f"{name} must be at least 1.", name)
        if limit is not None:
            return limit
    return None


def stop_words(body: Body) -> list[str] | None:
    """Read ``stop``: one text, or a list of them."""
    stop = body.get("stop")
    words = [stop] if isinstance(stop, str) else given(body, "stop", list)
    if words and not all(isinstance(word, str) for word in words):
        raise InvalidInput("stop must be text, or a list of texts.", "stop")
    return words or None


def json_wish(body: Body) -> JsonWish | None:
    """Read ``response_format``."""
    field = "response_format"
    wish = given(body, field, dict)
    if wish is None or wish.get("type") == "text":
        return None
    if wish.get("type") == "json_object":
        return JsonWish()
    if wish.get("type") == "json_schema":
        return JsonWish(given(needed(wish, "json_schema", dict, field), "schema", dict, field))
    raise InvalidInput("response_format must be of type text, json_object or json_schema.", field)


def tools(body: Body) -> list[Tool]:
    """Read ``tools``: those that ``tool_choice`` allows, where it names some."""
    found = [_tool(tool) for tool in objects(given(body, "tools", list) or [], "tools")]
    allowed = _allowed(body)
    if allowed is None:
        return found
    names = [_named(tool) for tool in objects(needed(allowed, "tools", list, "tool_choice"), "tool_choice")]
    return [tool for tool in found if tool.name in names]


def tool_wish(body: Body) -> ToolWish | None:
    """Read ``tool_choice`` and ``parallel_tool_calls``; None where both are left to the model."""
    parallel = given(body, "parallel_tool_calls", bool) is not False
    choice = body.get("tool_choice")
    if (allowed := _allowed(body)) is not None:
        choice = allowed.get("mode", "auto")
    if choice is None:
        return None if parallel else ToolWish("auto", parallel=False)
    if isinstance(choice, dict):
        return ToolWish("required", _named(choice), parallel)
    if choice not in ("auto", "none", "required"):
        raise InvalidInput("tool_choice must be auto, none, required, or name a function.", "tool_choice")
    return ToolWish(choice, parallel=parallel)


def refuse(body: Body, vendor: str, *names: str) -> None:
    """Refuse the fields of the request that the vendor cannot do; false, 0 and empty ask for nothing."""
    for name in names:
        if body.get(name):
            raise BeyondModel(f"{vendor} has nothing like {name}.", name)


def _no_constant(name: str) -> Any:
    raise ValueError(name)


def _tool(tool: dict[str, Any]) -> Tool:
    if tool.get("type") != "function":
        raise BeyondModel("Only tools of type function can be translated for this model.", "tools")
    function = needed(tool, "function", dict, "tools")
    return Tool(
        needed(function, "name", str, "tools"),
        given(function, "description", str, "tools") or None,
        given(function, "parameters", dict, "tools") or None,
        given(function, "strict", bool, "tools") or False,
    )


def _named(choice: dict[str, Any]) -> str:
    return needed(needed(choice, "function", dict, "tool_choice"), "name", str, "tool_choice")


def _allowed(body: Body) -> dict[str, Any] | None:
    choice = body.get("tool_choice")
    if isinstance(choice, dict) and choice.get("type") == "allowed_tools":
        return needed(choice, "allowed_tools", dict, "tool_choice")
    return None
