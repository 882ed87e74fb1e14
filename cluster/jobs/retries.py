"""When an attempt that failed is repeated."""

import random

FIRST_S = 1.0
FACTOR = 4.0
MAX_S = 60.0


def backoff_s(attempt: int) -> float:
    """Give the pause after the n-th attempt: 1 s, 4 s, 16 s …, up to a quarter more by chance."""
    pause_s = min(MAX_S, FIRST_S * FACTOR ** (attempt - 1))
    return pause_s * random.uniform(1.0, 1.25)  # noqa: S311  # spreads load, keeps no secret
