"""Stand-ins for what only a running server has; each does its real work on a temporary folder."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import BinaryIO

from pipelines.errors import Cancelled
from pipelines.tasks.base import MediaKey, OutputFile, RunLimits


class FolderOutput:
    """An output file of a `FolderWorkspace` in the making."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._key: MediaKey | None = None

    @property
    def file(self) -> BinaryIO:
        """The writable, seekable file."""
        return self._file

    @property
    def key(self) -> MediaKey:
        """The finished file's key; asking before the block has ended is a RuntimeError."""
        if self._key is None:
            raise RuntimeError("the output has no key until its block has ended")
        return self._key

    def finish(self, key: MediaKey) -> None:
        """Make the key known."""
        self._key = key


class FolderWorkspace:
    """A `Workspace` on one folder: the keys are its file names."""

    def __init__(self, folder: Path, limits: RunLimits | None = None) -> None:
        self.folder = folder
        self.reports: list[tuple[float, str]] = []
        self._limits = limits or RunLimits()
        self._numbers = count()
        self._cancelled = False
        self.priority = 0

    @property
    def limits(self) -> RunLimits:
        """What this run must stay within."""
        return self._limits

    def add(self, source: Path | bytes, name: str) -> MediaKey:
        """Put an input file into the folder and give its key."""
        data = source if isinstance(source, bytes) else source.read_bytes()
        (self.folder / name).write_bytes(data)
        return name

    def path(self, key: MediaKey) -> Path:
        """Give the path of an input or a finished output."""
        return self.folder / key

    def cancel(self) -> None:
        """Ask the run to stop."""
        self._cancelled = True

    def input(self, key: MediaKey) -> Path:
        """Give a readable local path for an input file."""
        return self.path(key)

    @contextmanager
    def output(self, extension: str) -> Iterator[OutputFile]:
        """Open a new output file; an exception in the block discards it."""
        draft = self.folder / f".draft-{next(self._numbers)}"
        key = f"output-{next(self._numbers)}.{extension}"
        try:
            with draft.open("w+b") as file:
                output = FolderOutput(file)
                yield output
            draft.rename(self.folder / key)
        finally:
            draft.unlink(missing_ok=True)
        output.finish(key)

    @property
    def is_cancelled(self) -> bool:
        """Whether `cancel` was called."""
        return self._cancelled

    def check_cancelled(self) -> None:
        """Raise `Cancelled` after `cancel` was called."""
        if self._cancelled:
            raise Cancelled("the run was asked to stop")

    def report(self, progress: float, message: str = "") -> None:
        """Keep the report in `reports`."""
        self.reports.append((progress, message))
