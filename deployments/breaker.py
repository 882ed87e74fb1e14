"""The circuit breaker of a candidate: who fails again and again is left alone for a while."""

import time
from collections.abc import Callable
from enum import StrEnum

from configs.routing import BreakerConfig


class Circuit(StrEnum):
    """Whether a candidate is asked; the better comes first."""

    CLOSED = "closed"
    """All is well."""
    HALF_OPEN = "half-open"
    """The pause is over: one request tries it."""
    OPEN = "open"
    """It is left alone."""


class Breaker:
    """Counts failures in a row. Lives in one event loop; nothing in it waits."""

    def __init__(self, config: BreakerConfig, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin closed."""
        self._config = config
        self._clock = clock
        self._failures = 0
        self._pauses = 0
        self._open_until: float | None = None
        self.is_probing = False
        """Whether a request tries it after a pause."""
        self.last_failure = ""
        """What it said, for people."""

    def another(self) -> "Breaker":
        """Make one that knows of no failure."""
        return Breaker(self._config, self._clock)

    @property
    def circuit(self) -> Circuit:
        """Whether the candidate is asked now."""
        if self._open_until is None:
            return Circuit.CLOSED
        return Circuit.OPEN if self._clock() < self._open_until else Circuit.HALF_OPEN

    @property
    def lets_pass(self) -> bool:
        """Whether the next request may ask the candidate; while it is half open only one may."""
        circuit = self.circuit
        return circuit == Circuit.CLOSED or (circuit == Circuit.HALF_OPEN and not self.is_probing)

    @property
    def opens_in_s(self) -> float:
        """Seconds until the candidate is asked again."""
        return max(0.0, (self._open_until or 0.0) - self._clock())

    def begin(self) -> None:
        """Note that a request asks the candidate."""
        self.is_probing = self.circuit == Circuit.HALF_OPEN

    def succeed(self) -> None:
        """Note that it did what it was asked."""
        if self.circuit == Circuit.OPEN:
            return  # the request began before it failed, and says nothing of how it is now
        self._failures = self._pauses = 0
        self._open_until = None
        self.is_probing = False
        self.last_failure = ""

    def fail(self, reason: str, *, pause_s: float | None = None, at_once: bool = False) -> None:
        """Note that it failed.

        Args:
            reason: for people.
            pause_s: how long it wants to be left alone (``Retry-After``); opens the circuit for so long.
            at_once: whether one failure is enough, because asking again cannot help.
        """
        was_probe = self.is_probing
        self.is_probing = False
        self._failures += 1
        self.last_failure = reason
        if pause_s is not None or at_once or was_probe or self._failures >= self._config.failures:
            self._open(pause_s)

    def give_up(self) -> None:
        """Note that the caller left before the candidate could show whether it is well."""
        self.is_probing = False

    def _open(self, pause_s: float | None) -> None:
        if pause_s is None:
            pause_s = self._config.pause_s * 2.0 ** min(self._pauses, 16)
            self._pauses += 1
        self._open_until = self._clock() + min(pause_s, self._config.max_pause_s)
