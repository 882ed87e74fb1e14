"""Captions: sentences that say what was recognised and read, and how sure that is."""

import textwrap
from collections.abc import Sequence

from pipelines.seeing.lines import Piece, as_text
from pipelines.seeing.tags import Tag, Tags

SURE = 0.6
"""The probability from which on a sentence says that something is there."""
_PERHAPS = 0.1
"""The probability from which on it may be there."""
_SURE_READING = 0.9
"""The score from which on a caption quotes a piece of text; patterns in photographs are read as less."""
_MIN_LETTERS = 3
_QUOTE = 200
"""Characters of a quotation in a short caption."""


def caption(tags: Tags, lines: Sequence[Sequence[Piece]]) -> str:
    """Say in one or two sentences what there is."""
    text = _certain_text(lines)
    quotation = _quotation(textwrap.shorten(text, _QUOTE, placeholder=" …"))
    return " ".join([_recognised(tags, bool(text)), *quotation])


def detailed_caption(tags: Tags, lines: Sequence[Sequence[Piece]]) -> str:
    """Say what there is, how sure that is, and all that is written."""
    text = _certain_text(lines)
    named = [f"{tag.name} {tag.score:.0%}" for tag in tags.from_score(_PERHAPS)]
    certainty = [f"Certainty: {', '.join(named)}."] if named else []
    return " ".join([_recognised(tags, bool(text)), *certainty, *_quotation(text)])


def _recognised(tags: Tags, text_follows: bool) -> str:
    best, kind = tags.classes[0], tags.kinds[0]
    if best.score >= SURE:
        others = [tag for tag in tags.classes[1:] if tag.score >= _PERHAPS]
        return _sentence(best.phrase, "perhaps also", others)
    if kind.score >= SURE:
        members = [tag for tag in tags.classes if tag.kind == kind.phrase and tag.score >= _PERHAPS]
        return _sentence(kind.phrase, "perhaps", members[:2])
    if text_follows:  # a page of text is like many things, and none of them is worth a word
        return "No object was recognised with confidence."
    closest = _listed([tag.phrase for tag in tags.classes[:3]], "and")
    return f"No object was recognised with confidence; the closest are {closest}."


def _sentence(phrase: str, doubt: str, others: Sequence[Tag]) -> str:
    addition = f", {doubt} {_listed([tag.phrase for tag in others], 'or')}" if others else ""
    return f"{phrase[0].upper()}{phrase[1:]}{addition}."


def _listed(phrases: Sequence[str], joint: str) -> str:
    *first, last = phrases
    return f"{', '.join(first)} {joint} {last}" if first else last


def _certain_text(lines: Sequence[Sequence[Piece]]) -> str:
    """Write the pieces that were read with certainty, if they are more than stray letters."""
    certain = [[piece for piece in line if piece.score >= _SURE_READING] for line in lines]
    text = as_text([line for line in certain if line])
    letters = [character for character in text if character.isalnum()]
    return text if len(letters) >= _MIN_LETTERS and len({*letters}) > 1 else ""


def _quotation(text: str) -> list[str]:
    return [f"It reads: “{text}”"] if text else []
