"""Embeddings of prompts, computed once."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

import torch
from torch import Tensor

KeyT = TypeVar("KeyT", bound=Hashable)

CACHED_BYTES = 128 * 1024**2
"""SDXL's embeddings of a prompt take 0.3 MB for each 77 tokens of it, Flux's 2 MB; on a CPU the double."""


class PromptCache(Generic[KeyT]):
    """Remembers what the most recent prompts became; used by one thread."""

    def __init__(self, compute: Callable[[KeyT], tuple[Tensor, ...]], size_bytes: int = CACHED_BYTES) -> None:
        """Take what computes the embeddings that are not known."""
        self._compute = compute
        self._room_bytes = size_bytes
        self._known: OrderedDict[KeyT, tuple[Tensor, ...]] = OrderedDict()

    def get(self, key: KeyT) -> tuple[Tensor, ...]:
        """Give the embeddings, computed if need be."""
        if key not in self._known:
            self._known[key] = self._compute(key)
            self._room_bytes -= _bytes(self._known[key])
            while self._room_bytes < 0 and len(self._known) > 1:
                _, oldest = self._known.popitem(last=False)
                self._room_bytes += _bytes(oldest)
        self._known.move_to_end(key)
        return self._known[key]


def _bytes(embeddings: tuple[Tensor, ...]) -> int:
    return sum(each.nbytes for each in embeddings)


def windows(tokens: list[int], size: int, start: int, end: int, pad: int) -> Tensor:
    """Cut the tokens of a prompt into windows as a CLIP text encoder takes them: (windows, size).

    Args:
        tokens: of the whole text, without marks.
        size: positions of the encoder, the marks included.
        start: the mark before each window.
        end: the mark after each window.
        pad: what fills the last one.
    """
    room = size - 2
    pieces = [tokens[first : first + room] for first in range(0, max(1, len(tokens)), room)]
    rows = [[start, *piece, end, *[pad] * (room - len(piece))] for piece in pieces]
    return torch.tensor(rows)


def cut_notes(what: str, count: int, most: int) -> list[str]:
    """Say that of a text's tokens only the first `most` are read, if it has more."""
    if count <= most:
        return []
    return [f"The {what} has {count} tokens; the model reads the first {most} of them."]
