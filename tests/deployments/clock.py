"""A clock that a test moves."""

from dataclasses import dataclass


@dataclass
class Clock:
    """Tells the time that the test gives it."""

    now: float = 1_000.0

    def __call__(self) -> float:
        return self.now
