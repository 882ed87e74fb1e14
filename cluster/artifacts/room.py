"""Whether the store may take more: its quota, and what must stay free on the disk."""

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from cluster.artifacts.store import StoreFull

COUNT_AGAIN_S = 30.0
"""Walking through all files is not free; between two counts a process adds what it wrote itself."""


class Room:
    """Checks the room of a folder."""

    def __init__(
        self,
        root: Path,
        quota_bytes: int | None = None,
        min_free_bytes: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the folder and its bounds; None is no quota."""
        self._root = root
        self._quota_bytes = quota_bytes
        self._min_free_bytes = min_free_bytes
        self._clock = clock
        self._used_bytes = 0
        self._counted_at: float | None = None

    def check(self) -> None:
        """Raise `StoreFull` where nothing more may be stored; its message names the bound."""
        free_bytes = shutil.disk_usage(self._root).free
        if free_bytes < self._min_free_bytes:
            raise StoreFull(
                f"The disk of the artifact store has only {free_bytes:,} bytes left "
                f"(storage.min_free_bytes is {self._min_free_bytes:,}). Try again when files were deleted."
            )
        if self._quota_bytes is not None and self._used() >= self._quota_bytes:
            raise StoreFull(
                f"The artifact store is full: storage.quota_bytes is {self._quota_bytes:,}. "
                "Delete files, or try again when old ones were."
            )

    def add(self, size_bytes: int) -> None:
        """Note that a file was stored."""
        self._used_bytes += size_bytes

    def _used(self) -> int:
        now = self._clock()
        if self._counted_at is None or now - self._counted_at > COUNT_AGAIN_S:
            self._used_bytes = _size_of(self._root)
            self._counted_at = now
        return self._used_bytes


def _size_of(folder: Path) -> int:
    total = 0
    for path, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.stat(os.path.join(path, name)).st_size
            except FileNotFoundError:
                continue
    return total
