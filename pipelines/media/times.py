"""Moments of a video, as people write them."""

import re

from pipelines.errors import InvalidInput

_FORMS = "Write seconds (90 or 90.5), m:ss, mm:ss, mmm:ss or HH:MM:SS (00:01:30); a fraction may follow."
_MOMENT = re.compile(
    r"(?:(?P<h>\d{1,3}):(?P<hm>[0-5]\d)|(?P<m>\d{1,3})):(?P<s>[0-5]\d(?:\.\d{1,6})?)", re.ASCII
)
_SECONDS = re.compile(r"\d{1,6}(?:\.\d{1,6})?", re.ASCII)


def seconds_of(text: str, field: str) -> float:
    """Read a moment.

    Raises:
        InvalidInput: it is written in no known form.
    """
    text = text.strip()
    if _SECONDS.fullmatch(text):
        return float(text)
    found = _MOMENT.fullmatch(text)
    if not found:
        raise InvalidInput(f"'{text[:40]}' is no moment. {_FORMS}", field)
    hours, minutes = int(found["h"] or 0), int(found["hm"] or found["m"])
    return hours * 3600 + minutes * 60 + float(found["s"])
