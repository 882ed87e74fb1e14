"""Chat templates: how a model wants its messages written."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NoReturn

from jinja2 import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from pipelines.errors import InvalidInput, ModelLoadError


class ChatTemplate:
    """A template as models carry it, in Jinja, rendered as transformers does: in a sandbox."""

    def __init__(self, source: str, begin: str, end: str) -> None:
        """Take the source and the texts of the tokens that begin and end a text."""
        sandbox = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
        )
        sandbox.filters["tojson"] = _to_json
        sandbox.globals |= {"raise_exception": _raise, "strftime_now": _now}
        try:
            self._template = sandbox.from_string(source)
        except TemplateError as error:
            raise ModelLoadError(f"the file's chat template cannot be read: {error}.") from error
        self._tokens = {"bos_token": begin, "eos_token": end}

    def render(self, messages: Sequence[Mapping[str, str]]) -> str:
        """Write the messages, and the beginning of the answer.

        Raises:
            InvalidInput: the template refuses them, e.g. two of the same role in a row.
        """
        try:
            return self._template.render(messages=messages, add_generation_prompt=True, **self._tokens)
        except (TemplateError, TypeError) as error:
            raise InvalidInput(
                f"This model's template refuses these messages: {error}", "messages"
            ) from error


def _raise(message: str) -> NoReturn:
    raise TemplateError(message)


def _now(pattern: str) -> str:
    return datetime.now().astimezone().strftime(pattern)


def _to_json(value: Any, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)
