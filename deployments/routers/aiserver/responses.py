"""The answers of AI Server's operations.

Two generations of its clients read different names, so one body holds both: ``results`` (since
November 2024) and ``outputs`` or ``textOutputs`` (before).
"""

import json
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class Answer(BaseModel):
    """Base of the answers."""

    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True, frozen=True)


class ArtifactItem(Answer):
    """One file that was made; AI Server itself ends after the provider."""

    url: str
    file_name: str
    provider: str
    width: int | None = None
    height: int | None = None
    """Pixels, of a picture."""
    seed: int | None = None
    """Draws the same picture again."""


class TextItem(Answer):
    """One text that was made."""

    text: str


class ArtifactResponse(Answer):
    """Files, and how long the work took."""

    results: tuple[ArtifactItem, ...]
    outputs: tuple[ArtifactItem, ...]
    duration: str
    notes: tuple[str, ...] | None = None
    """What was done otherwise than asked, in sentences for people; absent where nothing was."""

    @classmethod
    def of(
        cls, items: Iterable[ArtifactItem], duration_s: float, notes: Iterable[str] = ()
    ) -> "ArtifactResponse":
        """Put the items under the names of both generations."""
        results = tuple(items)
        duration = xsd_duration(duration_s)
        return cls(results=results, outputs=results, duration=duration, notes=tuple(notes) or None)


class TextResponse(Answer):
    """Texts, and how long the work took."""

    results: tuple[TextItem, ...]
    text_outputs: tuple[TextItem, ...]
    duration: str

    @classmethod
    def of(cls, items: Iterable[TextItem], duration_s: float) -> "TextResponse":
        """Put the items under the names of both generations."""
        results = tuple(items)
        return cls(results=results, text_outputs=results, duration=xsd_duration(duration_s))


class ObjectResponse(Answer):
    """An object of another wire format, whole; the names of both generations."""

    result: dict[str, Any]
    chat_response: dict[str, Any] | None = None

    @property
    def text(self) -> str:
        """The object as JSON."""
        return json.dumps(self.result, ensure_ascii=False)


class QueueResponse(Answer):
    """A job was queued."""

    job_id: int
    ref_id: str
    job_state: str
    status: str
    status_url: str


class StatusResponse(Answer):
    """How a job is, and its results when it has been completed; the names of both generations."""

    job_id: int
    ref_id: str
    job_state: str
    status: str
    results: tuple[ArtifactItem | TextItem, ...] | None = None
    outputs: tuple[ArtifactItem, ...] | None = None
    text_outputs: tuple[TextItem, ...] | None = None
    duration: str | None = None
    result: dict[str, Any] | None = None
    chat_response: dict[str, Any] | None = None
    notes: tuple[str, ...] | None = None
    response_status: dict[str, Any] | None = None


def xsd_duration(seconds: float) -> str:
    """Write a duration as AI Server does: ``PT7.02S``, ``PT1M7.02S``, ``PT0S``."""
    milliseconds = round(seconds * 1000)
    minutes, rest = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    parts = (f"{hours}H" if hours else "") + (f"{minutes}M" if minutes else "")
    if rest or not parts:
        parts += f"{rest / 1000:.3f}".rstrip("0").rstrip(".") + "S"
    return f"PT{parts}"
