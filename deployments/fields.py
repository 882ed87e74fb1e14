"""What is wrong with a field, in the words and under the name that the caller used."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from pydantic import ValidationError

from deployments.errors import ApiError, BadRequest
from pipelines.errors import PipelineError

_MAX_ECHO_LENGTH = 60

# pydantic's name of the fault -> AI Server's code, and the sentence after the field's name.
_FAULTS: dict[str, tuple[str, str]] = {
    "missing": ("NotEmpty", "must not be empty."),
    "string_too_short": ("NotEmpty", "must not be empty."),
    "string_too_long": ("MaximumLength", "must be at most {max_length} characters long."),
    "greater_than": ("GreaterThan", "must be greater than '{gt}'."),
    "greater_than_equal": ("GreaterThanOrEqual", "must be at least {ge}."),
    "less_than": ("LessThan", "must be less than {lt}."),
    "less_than_equal": ("LessThanOrEqual", "must be at most {le}."),
    "enum": ("Enum", "must be {expected}."),
    "literal_error": ("Enum", "must be {expected}."),
    "int_type": ("ArgumentException", "must be a whole number."),
    "int_parsing": ("ArgumentException", "must be a whole number."),
    "int_from_float": ("ArgumentException", "must be a whole number."),
    "float_type": ("ArgumentException", "must be a number."),
    "float_parsing": ("ArgumentException", "must be a number."),
    "finite_number": ("ArgumentException", "must be a finite number."),
    "bool_type": ("ArgumentException", "must be true or false."),
    "bool_parsing": ("ArgumentException", "must be true or false."),
    "string_type": ("ArgumentException", "must be text."),
    "list_type": ("ArgumentException", "must be a list."),
    "tuple_type": ("ArgumentException", "must be a list."),
    "too_short": ("NotEmpty", "must not be empty."),
    "model_type": ("ArgumentException", "must be an object."),
    "dict_type": ("ArgumentException", "must be an object."),
    "string_pattern_mismatch": ("ArgumentException", "must match {pattern}"),
    "too_long": ("MaximumLength", "must have at most {max_length} items."),
}
_WITHOUT_ECHO = ("missing", "string_too_short", "string_too_long", "too_short")


def folded(name: str) -> str:
    """Reduce a field's name to what all its spellings share: ``positive_prompt``, ``PositivePrompt``."""
    return name.removesuffix("[]").replace("_", "").casefold()


def pascal_case(name: str) -> str:
    """Spell a field as AI Server's errors do: ``positivePrompt`` -> ``PositivePrompt``."""
    return "".join(word[:1].upper() + word[1:] for word in re.split(r"[_\s-]+", name))


def pascal_words(name: str) -> str:
    """Spell a field as AI Server's messages do: ``positivePrompt`` -> ``Positive Prompt``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", pascal_case(name))


def wrong_fields(
    errors: Sequence[Mapping[str, Any]],
    names: Mapping[str, str] | None = None,
    label: Callable[[str], str] = str,
) -> BadRequest:
    """Make the error for the first of pydantic's findings.

    Args:
        errors: as ``ValidationError.errors()`` gives them.
        names: the wire's name of each record field that is called otherwise there.
        label: how a message spells a field's name.
    """
    first = errors[0]
    own_name = next((part for part in reversed(first["loc"]) if isinstance(part, str)), None)
    name = (names or {}).get(own_name, own_name) if own_name else None
    code, sentence = _FAULTS.get(first["type"], ("ArgumentException", f"is not valid: {first['msg']}."))
    message = sentence.format(**first.get("ctx", {})) if first["type"] in _FAULTS else sentence
    return BadRequest(f"'{label(name or 'body')}' {message}{_echo(first)}", name, code)


def _echo(fault: Mapping[str, Any]) -> str:
    if fault["type"] in _WITHOUT_ECHO or "input" not in fault:
        return ""
    text = repr(fault["input"])
    return f" Received: {text[:_MAX_ECHO_LENGTH]}{'…' if len(text) > _MAX_ECHO_LENGTH else ''}"


@contextmanager
def field_names(names: Mapping[str, str], label: Callable[[str], str] = str) -> Iterator[None]:
    """Let the errors of the block name the fields of the wire instead of the record's.

    Covers the record's own validation (`pydantic.ValidationError` becomes `BadRequest`) and what
    pipelines and the gateway raise.

    Args:
        names: record field -> wire field, e.g. ``{"text": "input"}``; others keep their name.
        label: how the messages of validation spell a field's name.
    """
    try:
        yield
    except ValidationError as error:
        raise wrong_fields(error.errors(include_url=False), names, label) from error
    except (PipelineError, ApiError) as error:
        if error.field is not None:
            error.field = names.get(error.field, error.field)
        raise
