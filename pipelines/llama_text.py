"""From tokens to text that may be shown: whole characters only, and never a stop text."""

import codecs
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Shown:
    """Text that may be shown now, with what is told of its tokens."""

    text: str
    logprobs: list[dict[str, Any]]


class ShownText:
    """Holds back what may yet become a stop text, and bytes that are not yet a character."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = stops
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._held = ""
        self._num_shown = 0
        self._told: deque[tuple[int, dict[str, Any]]] = deque()
        self.is_stopped = False
        """Whether a stop text came; nothing more may be added."""

    def add(self, said: bytes, logprob: dict[str, Any] | None) -> Shown:
        """Add what a token says, and what is told of it."""
        if logprob is not None:
            self._told.append((self._num_shown + len(self._held), logprob))
        self._held += self._decoder.decode(said)
        places = [place for stop in self._stops if (place := self._held.find(stop)) >= 0]
        if places:
            self.is_stopped = True
            return self._show(min(places))
        return self._show(len(self._held) - self._num_suspect())

    def end(self) -> Shown:
        """Show the rest, but not a character that never became whole."""
        shown = self._show(len(self._held))
        return Shown(shown.text, shown.logprobs + [entry for _, entry in self._told])

    def _show(self, length: int) -> Shown:
        text, self._held = self._held[:length], self._held[length:]
        self._num_shown += length
        entries = []
        while self._told and self._told[0][0] < self._num_shown:
            entries.append(self._told.popleft()[1])
        return Shown(text, entries)

    def _num_suspect(self) -> int:
        """Count the characters at the end with which a stop text may begin."""
        longest = min(max(map(len, self._stops), default=1) - 1, len(self._held))
        return next((n for n in range(longest, 0, -1) if self._may_begin(self._held[-n:])), 0)

    def _may_begin(self, tail: str) -> bool:
        return any(stop.startswith(tail) for stop in self._stops)


def log_probabilities(logits: Sequence[float]) -> npt.NDArray[np.float64]:
    """Give the natural logarithm of each token's probability at temperature 1."""
    values = np.asarray(logits, np.float64)
    values -= values.max()
    logarithms: npt.NDArray[np.float64] = values - np.log(np.exp(values).sum())
    return logarithms


def logprob_entry(said: bytes, logprob: float) -> dict[str, Any]:
    """Write a token as OpenAI does: bytes that are no character as escapes of their numbers."""
    return {
        "token": said.decode("utf-8", "backslashreplace"),
        # JSON has no infinity; OpenAI writes this for what is next to impossible.
        "logprob": max(logprob, -9999.0),
        "bytes": list(said),
    }
