"""How far a transcript is from what was said."""

import re
from collections.abc import Sequence

TITLES = {"mr": "mister", "mrs": "missis", "dr": "doctor"}


def word_error_rate(said: str, heard: str) -> float:
    """Give the words to change, add or remove, as a fraction of the words that were said."""
    expected = words(said)
    return edit_distance(expected, words(heard)) / len(expected)


def words(text: str) -> list[str]:
    """Split into lower-case words without punctuation, titles in full."""
    plain = re.sub(r"[^\w\s']", " ", text.lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'"))
    return [TITLES.get(word, word) for word in plain.split()]


def edit_distance(one: Sequence[str], other: Sequence[str]) -> int:
    """Count the fewest changes that turn one sequence into the other (Levenshtein)."""
    costs = list(range(len(other) + 1))
    for row, item in enumerate(one, start=1):
        diagonal, costs[0] = costs[0], row
        for column, candidate in enumerate(other, start=1):
            change = diagonal + (item != candidate)
            diagonal = costs[column]
            costs[column] = min(change, costs[column] + 1, costs[column - 1] + 1)
    return costs[-1]
