"""What is checked of a request to chat before it goes anywhere; unknown fields pass through untouched.

After https://platform.openai.com/docs/api-reference/chat/create.
"""

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from deployments.errors import BadRequest
from deployments.fields import wrong_fields

MAX_CHOICES = 128
_REMEMBERED_SCHEMAS = 500
MAX_SCHEMA_LENGTH = 64 * 1024
"""Characters; a look at one takes 0.4 s."""


class _Fields(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True, frozen=True)


class _Part(_Fields):
    type: str


class _Message(_Fields):
    role: Literal["developer", "system", "user", "assistant", "tool", "function"]
    content: str | list[_Part] | None = None
    tool_calls: list[dict[str, Any]] | None = None


class _Function(_Fields):
    name: str = Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")
    description: str | None = None
    parameters: dict[str, Any] | None = None


class _Tool(_Fields):
    type: str
    function: _Function | None = None


class _StreamOptions(_Fields):
    include_usage: bool | None = None


class _JsonSchema(_Fields):
    name: str
    schema_: dict[str, Any] | None = Field(default=None, alias="schema")


class _ResponseFormat(_Fields):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: _JsonSchema | None = None


class _Chat(_Fields):
    messages: list[_Message] = Field(min_length=1)
    model: str | None = Field(default=None, max_length=300)
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    temperature: float | None = Field(default=None, ge=0, le=2, allow_inf_nan=False)
    top_p: float | None = Field(default=None, ge=0, le=1, allow_inf_nan=False)
    n: int | None = Field(default=None, ge=1, le=MAX_CHOICES)
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    stop: str | list[str] | None = None
    seed: int | None = None
    frequency_penalty: float | None = Field(default=None, ge=-2, le=2, allow_inf_nan=False)
    presence_penalty: float | None = Field(default=None, ge=-2, le=2, allow_inf_nan=False)
    logprobs: bool | None = None
    top_logprobs: int | None = Field(default=None, ge=0, le=20)
    tools: list[_Tool] | None = None
    tool_choice: Literal["none", "auto", "required"] | dict[str, Any] | None = None
    response_format: _ResponseFormat | None = None


def check_chat(body: Mapping[str, Any]) -> None:
    """Refuse what no provider could make sense of.

    Raises:
        BadRequest: names the field and the fix.
    """
    try:
        chat = _Chat.model_validate(body)
    except ValidationError as error:
        raise _refusal(error) from error
    if chat.stream_options is not None and not chat.stream:
        raise BadRequest("'stream_options' is only allowed when 'stream' is true.", "stream_options")
    if chat.tool_choice not in (None, "none", "auto") and not chat.tools:
        raise BadRequest("'tool_choice' is only allowed when 'tools' are given.", "tool_choice")
    for place, tool in enumerate(chat.tools or ()):
        if tool.type == "function" and tool.function is None:
            raise BadRequest(f"'tools[{place}].function' must not be empty.", f"tools[{place}].function")
        if tool.function is not None and tool.function.parameters:
            _check_schema(tool.function.parameters, f"tools[{place}].function.parameters")
    if chat.response_format is not None:
        _check_format(chat.response_format)


def _check_format(wanted: _ResponseFormat) -> None:
    if wanted.type != "json_schema":
        return
    if wanted.json_schema is None:
        raise BadRequest("'response_format.json_schema' must not be empty.", "response_format.json_schema")
    if wanted.json_schema.schema_:
        _check_schema(wanted.json_schema.schema_, "response_format.json_schema.schema")


def _check_schema(schema: dict[str, Any], name: str) -> None:
    written = json.dumps(schema)
    if len(written) > MAX_SCHEMA_LENGTH:
        raise BadRequest(f"'{name}' may have at most {MAX_SCHEMA_LENGTH} characters.", name)
    if fault := _schema_fault(written):
        raise BadRequest(f"'{name}' is no JSON Schema: {fault}", name)


@lru_cache(_REMEMBERED_SCHEMAS)
def _schema_fault(schema: str) -> str:
    """Say what is wrong with a schema; a look takes half a millisecond, and callers send the same ones."""
    try:
        Draft202012Validator.check_schema(json.loads(schema))
    except SchemaError as error:
        where = ".".join(map(str, error.absolute_path))
        return f"{error.message:.200}{f' (at {where:.200})' if where else ''}"
    except RecursionError:
        return "it is nested too deeply."
    return ""


def _refusal(error: ValidationError) -> BadRequest:
    # A union's faults come one by one; the one that got furthest into the body is the caller's.
    faults = error.errors(include_url=False)
    fault = max(faults, key=lambda each: len(_steps(each["loc"])))
    name = _path(_steps(fault["loc"]))
    return wrong_fields([{**fault, "loc": (name,)}])


def _steps(location: Sequence[int | str]) -> list[int | str]:
    """Leave out what pydantic writes for the members of a union: ``str``, ``list[_Part]``."""
    return [step for step in location if isinstance(step, int) or not (step == "str" or "[" in step)]


def _path(steps: Sequence[int | str]) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps).lstrip(".")
