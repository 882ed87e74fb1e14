"""What voices share about phonemes, the written sounds that they speak from."""

import re
import unicodedata
from collections.abc import Iterator, Sequence

MAX_PHONEMES = 300
"""About 15 s of speech. What a voice speaks at once costs it memory, with the square of the length."""

_LONG_WORD_CHARS = 40

_CLAUSE_ENDS = frozenset(",;:—")


def speakable_text(text: str) -> str:
    """Give the text without what phonemizers stumble over: NUL and other control characters."""
    return "".join(" " if unicodedata.category(char) == "Cc" and char != "\n" else char for char in text)


def break_long_words(text: str) -> str:
    """Put spaces into what is longer than any word, after its punctuation if it has some."""
    return re.sub(rf"\S{{{_LONG_WORD_CHARS}}}(?=\S)", _broken, text)


def _broken(match: re.Match[str]) -> str:
    return re.sub(r"(?<=\w)([^\w\s])(?=\w)", r"\1 ", match[0]) + " "


def is_speakable(phonemes: Sequence[str]) -> bool:
    """Say whether there is a sound among the phonemes, not just punctuation and stress marks."""
    # Stress and length marks are letters too, but modifying ones (Lm).
    return any(unicodedata.category(char) in {"Ll", "Lu", "Lo", "Nd"} for item in phonemes for char in item)


def split_long(phonemes: Sequence[str], limit: int = MAX_PHONEMES) -> Iterator[list[str]]:
    """Cut a sentence into pieces of at most `limit`: after a clause, else after a word, else anywhere."""
    rest = list(phonemes)
    while len(rest) > limit:
        cut = _last_break(rest[:limit])
        yield rest[:cut]
        rest = rest[cut:]
    yield rest


def _last_break(head: list[str]) -> int:
    ends = [
        place for place, item in enumerate(head, start=1) if item in _CLAUSE_ENDS and place > len(head) // 2
    ]
    spaces = [place for place, item in enumerate(head, start=1) if item == " "]
    return (ends or spaces or [len(head)])[-1]
