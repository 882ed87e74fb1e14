"""``response_format`` as a grammar that llama.cpp holds a model to."""

import os
import subprocess
import sys
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from cyllama.llama.llama_cpp import json_schema_to_grammar

from pipelines.errors import BeyondModel, InvalidInput

_PROBE = Path(__file__).with_name("llama_grammar_probe.py")
_PROBE_S = 20.0
_LONGEST = 65_536
"""Each token takes time with every alternative that a grammar has: one of this length a second or two."""


class Grammars:
    """Makes the grammars of one model; threads may share it."""

    def __init__(self, file: Path) -> None:
        """Take the model's file, against whose vocabulary each new schema is tried."""
        self._is_followed = lru_cache(maxsize=256)(lambda grammar: _is_followed(file, grammar))

    def read(self, wanted: Any) -> str | None:
        """Give the grammar (GBNF) for a ``response_format``; None for free text.

        Raises:
            InvalidInput: it is none, or of a schema that llama.cpp cannot follow.
        """
        kind = wanted.get("type") if isinstance(wanted, Mapping) else None
        if wanted is None or kind == "text":
            return None
        if kind == "json_object":
            return _ending(json_schema_to_grammar({"type": "object"}))
        if kind == "json_schema":
            return self._of_schema(wanted.get("json_schema"))
        raise _refusal(f"response_format has the type {kind!r}; give text, json_object or json_schema.")

    def _of_schema(self, described: Any) -> str:
        schema = described.get("schema", {"type": "object"}) if isinstance(described, Mapping) else None
        if not isinstance(schema, Mapping):
            raise _refusal("response_format.json_schema must be an object that has a schema.")
        try:
            if _has_pattern(schema):
                raise _unfit("it has a pattern, which llama.cpp may not be able to end")
            grammar = _ending(json_schema_to_grammar(schema))
        except (AssertionError, LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
            # It asserts, or trips over what it did not expect: every one of them is about the schema.
            raise _unfit(str(error)) from error
        if len(grammar) > _LONGEST:
            raise _unfit("it has too many names and values")
        if not self._is_followed(grammar):
            raise _unfit("lengths above 2000 and endless references are too much for it")
        return grammar


def _ending(grammar: str) -> str:
    """Let the text end with its last bracket: small models go on with blanks for as long as they may."""
    rules = dict(line.split(" ::= ", 1) for line in grammar.splitlines())
    root = rules["root"]
    rules["root"] = rules.get(root, root).removesuffix(" space")
    return "\n".join(f"{name} ::= {rule}" for name, rule in rules.items())


def _has_pattern(value: Any) -> bool:
    """Whether there is one: one that no text fulfils would end the process in the middle of an answer."""
    if isinstance(value, list):
        return any(map(_has_pattern, value))
    if not isinstance(value, Mapping):
        return False
    return isinstance(value.get("pattern"), str) or any(map(_has_pattern, value.values()))


def _is_followed(file: Path, grammar: str) -> bool:
    try:
        probe = subprocess.run(  # noqa: S603 - our own program; the caller's text goes to its standard input
            [sys.executable, "-P", str(_PROBE), str(file)],
            input=grammar.encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"GGML_NO_BACKTRACE": "1"},
            timeout=_PROBE_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False
    return probe.stdout == b"read\n"


def _unfit(reason: str) -> InvalidInput:
    return _refusal(f"This model cannot be held to this schema: {reason[:300]}. Give a simpler one.")


def _refusal(message: str) -> InvalidInput:
    return BeyondModel(message, "response_format")
