"""What the owners of jobs may do, remembered for a while."""

import time
from collections.abc import Awaitable, Callable

from cluster.api_keys import MAX_REMEMBERED, REMEMBERED_S, ApiKey
from cluster.jobs.errors import StoreUnavailable


async def _unlimited(owner: str) -> ApiKey | None:
    return ApiKey(owner)


class KeyRights:
    """Knows keys by their ids; those of the admin, and of nobody, have no limits."""

    def __init__(
        self,
        look_up: Callable[[str], Awaitable[ApiKey | None]] = _unlimited,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take who knows the keys, and the time."""
        self._look_up = look_up
        self._clock = clock
        self._known: dict[str, tuple[ApiKey, float]] = {}

    async def of(self, owner: str) -> ApiKey:
        """Give what an owner may do.

        Raises:
            StoreUnavailable: it is not known here, and who could know it does not answer.
        """
        known, until = self._known.get(owner, (None, 0.0))
        if known is not None and self._clock() < until:
            return known
        try:
            found = await self._look_up(owner) or ApiKey(owner)
        except StoreUnavailable:
            if known is None:
                raise
            return known
        if len(self._known) >= MAX_REMEMBERED:
            self._known.clear()
        self._known[owner] = (found, self._clock() + REMEMBERED_S)
        return found
