"""The interface of the artifact store: files by key, written atomically, never changed afterwards."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO, Protocol


class ArtifactError(Exception):
    """Base of the store's errors.

    ArtifactError
    ├── ArtifactNotFound  no such key, or not a key at all
    └── StoreFull         the disk has no room
    """


class ArtifactNotFound(ArtifactError):
    """There is no file under this key."""


class StoreFull(ArtifactError):
    """The store cannot take more bytes."""


class Area(StrEnum):
    """What a file is for."""

    INPUT = "input"
    """An upload: private, its name is random, removed when its run has ended."""
    RESULT = "result"
    """An output: public to whoever knows its sha256."""


@dataclass(frozen=True)
class Artifact:
    """One stored file."""

    key: str
    size_bytes: int
    modified: datetime
    """Timezone-aware, UTC."""


class ArtifactWriter(Protocol):
    """A file in the making; visible under `key` only after its block ended without an exception."""

    @property
    def file(self) -> BinaryIO:
        """Writable and seekable."""

    @property
    def key(self) -> str:
        """The key of the finished file; asking before the block has ended is a RuntimeError."""


class ArtifactStore(Protocol):
    """A place for files.

    Keys: results ``{yyyy}/{MM}/{dd}/{owner}/{sha256}.{ext}``, inputs
    ``input/{yyyy}/{MM}/{dd}/{owner}/{uuid}.{ext}``. All methods block; call them from a thread.
    """

    def create(self, *, area: Area, owner: str, extension: str) -> AbstractContextManager[ArtifactWriter]:
        """Open a new file; an exception in the block discards it. Raises `StoreFull`."""

    def stat(self, key: str) -> Artifact:
        """Describe a file. Raises `ArtifactNotFound`."""

    def local_path(self, key: str) -> Path:
        """Give a path on this machine that holds the file's bytes. Raises `ArtifactNotFound`."""

    def read(self, key: str, start: int, size_bytes: int, chunk_bytes: int) -> Iterator[bytes]:
        """Yield the bytes from `start` on, in chunks. Raises `ArtifactNotFound`."""

    def put_beside(self, key: str, suffix: str, data: bytes) -> str:
        """Store bytes derived from a file next to it (``name_{suffix}``) and return their key."""

    def delete(self, key: str) -> bool:
        """Remove a file; False if there was none."""

    def persist(self, key: str) -> None:
        """Return when the file is safely on the disk. Raises `ArtifactNotFound`."""

    def clear_leftovers(self) -> None:
        """Remove what processes left that died while they wrote."""

    def check_room(self) -> None:
        """Raise `StoreFull` if the store would not take another file now."""

    def older_than(self, moment: datetime, area: Area) -> Iterator[str]:
        """Yield the keys of files that were last written before `moment`."""
