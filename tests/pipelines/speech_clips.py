"""The recorded clips of `tests/data` and what is said in them."""

import re
from dataclasses import dataclass
from pathlib import Path

DATA = Path(__file__).parents[1] / "data"


@dataclass(frozen=True)
class Clip:
    """A recording whose words are known."""

    path: Path
    text: str


def _read() -> tuple[Clip, ...]:
    lines = (DATA / "transcription").read_text().splitlines()
    found = (re.fullmatch(r"<s> (.*) </s> \((.*)\)", line.strip()) for line in lines)
    return tuple(Clip(DATA / f"{match[2]}.wav", match[1]) for match in found if match)


CLIPS = _read()
SHORT_CLIP = CLIPS[1]
"""3 seconds."""
