"""What an API says of a request that it did not do, as our errors."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any, TypeAlias

from pipelines.errors import (
    ProviderBusy,
    ProviderDenied,
    ProviderError,
    ProviderFailed,
    ProviderLacks,
    ProviderOverloaded,
    ProviderRefused,
)
from pipelines.providers.base import ProviderSettings


@dataclass(frozen=True)
class Fault:
    """What an API says of a request that it did not do."""

    status: int
    message: str = ""
    code: str = ""
    """The vendor's own word for it."""
    field: str | None = None
    retry_after_s: float | None = None
    """Where the body tells it; a header counts more."""


ReadFault: TypeAlias = Callable[[int, Any], Fault]
"""Reads the vendor's shape of an error, from the status and the answer's JSON (None where it is none).

The status may be 200: some answer errors with it, and write another into the JSON."""

_DENIED = {
    401: "does not accept the server's key",
    402: "says that the server's account there is spent",
}
_LACKING = (403, 404)
_BUSY = (408, 425, 429)
_OVERLOADED = (503, 529)
_SPENT = "insufficient_quota"
"""What OpenAI calls a spent account; it comes as 429, but waiting does not fill an account."""


def error_of(
    settings: ProviderSettings, fault: Fault, message: str, retry_after_s: float | None
) -> ProviderError:
    """Make the error; `message` is the fault's own, without anything secret."""
    status = 402 if fault.code == _SPENT else fault.status
    if status in _DENIED:
        # The vendors' own texts show parts of the key.
        return ProviderDenied(
            f"{settings.id} {_DENIED[status]} ({settings.key_name or 'none is set'}).", retry_after_s
        )
    said = f": {message}" if message else "."
    if fault.status in _LACKING:
        return ProviderLacks(f"{settings.id} has no such model for this server ({fault.status}){said}")
    if fault.status in _OVERLOADED:
        return ProviderOverloaded(f"{settings.id} is overloaded ({fault.status}){said}", retry_after_s)
    if fault.status in _BUSY:
        return ProviderBusy(f"{settings.id} is busy ({fault.status}){said}", retry_after_s)
    if fault.status >= 500 or fault.status < 400:  # the latter: an error as an answer
        return ProviderFailed(f"{settings.id} failed ({fault.status}){said}", retry_after_s)
    return ProviderRefused(
        message or f"{settings.id} refuses the request ({fault.status}).",
        fault.field,
        fault.status,
        fault.code,
    )


def retry_after_s(headers: Mapping[str, str], now: Callable[[], float] = time.time) -> float | None:
    """Read ``Retry-After`` (RFC 9110: seconds or a date) or OpenAI's ``retry-after-ms``."""
    if milliseconds := headers.get("retry-after-ms"):
        return _seconds(milliseconds, 1000)
    value = headers.get("Retry-After", "")
    if (seconds := _seconds(value)) is not None:
        return seconds
    try:
        moment = parsedate_to_datetime(value)
        return max(0.0, (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now())
    except (ValueError, OverflowError):
        return None


def _seconds(text: str, per_second: int = 1) -> float | None:
    try:
        seconds = float(text) / per_second
    except ValueError:
        return None
    return seconds if 0 <= seconds < float("inf") else None
