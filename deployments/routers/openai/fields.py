"""How the clients of OpenAI's wire format leave a field out."""

from collections.abc import Mapping
from typing import Any


def given(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what a form sends empty or a client sends as null: both mean "not given"."""
    return {name: value for name, value in fields.items() if value not in ("", None)}
