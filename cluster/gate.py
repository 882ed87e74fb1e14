"""The gate in front of a replica's engine: few runs at once, the urgent ones first."""

import asyncio
import heapq
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import IntEnum
from itertools import count


class Priority(IntEnum):
    """Who goes first; a synchronous caller waits at the other end of the line, a job does not."""

    LOW = -1
    NORMAL = 0
    HIGH = 1
    HIGHEST = 2
    SYNCHRONOUS = 3


class PriorityGate:
    """Hands out a fixed number of permits in the order of priority, then of arrival.

    Not a `asyncio.PriorityQueue` of workers, because the waiter itself must be cancellable and run
    in its caller's context. Bound to one event loop.
    """

    def __init__(self, permits: int) -> None:
        """Make a gate with `permits` runs at once."""
        self._free = permits
        self._order = count()
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []

    @property
    def waiting(self) -> int:
        """How many callers stand in line."""
        return sum(not future.done() for _, _, future in self._waiting)

    @asynccontextmanager
    async def permit(self, priority: int) -> AsyncIterator[None]:
        """Wait for a permit and hold it for the block."""
        await self._acquire(priority)
        try:
            yield
        finally:
            self._release()

    async def _acquire(self, priority: int) -> None:
        if self._free and not self._waiting:
            self._free -= 1
            return
        future = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (-priority, next(self._order), future))
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                self._release()  # granted and cancelled in the same turn of the loop: pass it on
            raise

    def _release(self) -> None:
        while self._waiting:
            _, _, future = heapq.heappop(self._waiting)
            if not future.done():
                future.set_result(None)
                return
        self._free += 1
