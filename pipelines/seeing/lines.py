"""Pieces of text, and the order in which they are read.

Points and directions are complex numbers, x + yi with y downwards: dividing by a direction turns the page
so that this direction leads to the right, and i times it to the next line.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pipelines.tasks.image_to_text import Box

_AXES = (1, 1j, -1, -1j)


@dataclass(frozen=True)
class Piece:
    """Text that stands together, at most one line of it; lengths in pixels."""

    text: str
    score: float
    """How sure the reading is, 0 to 1."""
    box: Box
    middle: complex
    along: complex
    """From the beginning of the text to its end."""
    height: float


def in_lines(pieces: Iterable[Piece]) -> list[list[Piece]]:
    """Order pieces as they are read: lines from top to bottom, each from left to right.

    The page may be askew, on its side or upside down: it is held as most of its text runs.
    """
    pieces = list(pieces)
    direction = _direction(pieces)
    placed = sorted(((piece.middle / direction, piece) for piece in pieces), key=lambda each: each[0].imag)
    lines: list[list[tuple[complex, Piece]]] = []
    for place, piece in placed:
        first_place, first = lines[-1][0] if lines else (place, piece)
        if lines and place.imag - first_place.imag < first.height / 2:
            lines[-1].append((place, piece))
        else:
            lines.append([(place, piece)])
    return [[piece for _, piece in sorted(line, key=lambda each: each[0].real)] for line in lines]


def as_text(lines: Sequence[Sequence[Piece]]) -> str:
    """Write the lines as lines."""
    return "\n".join(" ".join(piece.text for piece in line) for line in lines)


def _direction(pieces: Sequence[Piece]) -> complex:
    """Give the direction, of length 1, in which most of the text runs."""
    sums = [sum((piece.along for piece in pieces if _follows(piece.along, axis)), 0j) for axis in _AXES]
    longest = max(sums, key=abs)
    return longest / abs(longest) if longest else 1


def _follows(along: complex, axis: complex) -> bool:
    turned = along / axis
    return turned.real > abs(turned.imag)
