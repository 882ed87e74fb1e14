"""The artifact store in a local (or mounted) folder."""

import errno
import hashlib
import os
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from stat import S_ISREG
from typing import BinaryIO

from cluster.artifacts.keys import check_extension, folder_of, parse_key
from cluster.artifacts.store import Area, Artifact, ArtifactNotFound, ArtifactWriter, StoreFull

_DRAFTS = ".drafts"
"""Unfinished files lie here: in the same file system, so that a rename suffices; no key begins with a dot."""
_LEFTOVER_AGE = timedelta(days=1)
"""A draft or an upload of this age belongs to a process that died."""
_FILE_MODE = 0o644
_sync = getattr(os, "fdatasync", os.fsync)
"""macOS has only the slower one."""
_FOLDER_MODE = 0o755


def _utc_now() -> datetime:
    return datetime.now(UTC)


class LocalWriter:
    """A file in the making."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self._key: str | None = None

    @property
    def key(self) -> str:
        """The key of the finished file."""
        if self._key is None:
            raise RuntimeError("A file has no key before its block has ended.")
        return self._key

    def finish(self, key: str) -> None:
        """Make the key known."""
        self._key = key


class LocalArtifactStore:
    """Implements `cluster.artifacts.store.ArtifactStore`; several processes may share one folder.

    The bytes of a result are on the disk before its name is: its name promises the content, and a
    file that a power cut left short would be served as good for ever. That costs about 1 ms. An
    upload is not waited for, and no folder is: a power cut may lose the newest files.
    """

    def __init__(self, root: Path, clock: Callable[[], datetime] = _utc_now) -> None:
        """Open the folder, make it where it is missing and clear it of leftovers."""
        self._clock = clock
        _make_folder(root)
        self._root = os.path.realpath(root)
        self._drafts = Path(self._root, _DRAFTS)
        self._clear_leftovers()

    @contextmanager
    def create(self, *, area: Area, owner: str, extension: str) -> Iterator[ArtifactWriter]:
        """Open a new file; an exception in the block discards it."""
        check_extension(extension)
        folder = folder_of(area, owner, self._clock())
        with self._draft() as (writer, draft):
            with writer.file:
                yield writer
            stem = _synced_sha256(draft) if area is Area.RESULT else uuid.uuid4().hex
            key = f"{folder}/{stem}.{extension}"
            self._publish(draft, key)
            writer.finish(key)

    def stat(self, key: str) -> Artifact:
        """Describe a file."""
        try:
            status = os.stat(self._path(key))
        except FileNotFoundError as error:
            raise _not_found() from error
        if not S_ISREG(status.st_mode):
            raise _not_found()
        return Artifact(key, status.st_size, datetime.fromtimestamp(status.st_mtime, UTC))

    def local_path(self, key: str) -> Path:
        """Give the file itself: it must not be changed."""
        self.stat(key)
        return Path(self._root, key)

    def read(self, key: str, start: int, size_bytes: int, chunk_bytes: int) -> Iterator[bytes]:
        """Yield `size_bytes` from `start` on, or less where the file ends before."""
        with self._open(key) as file:
            file.seek(start)
            while size_bytes > 0 and (chunk := file.read(min(size_bytes, chunk_bytes))):
                size_bytes -= len(chunk)
                yield chunk

    def put_beside(self, key: str, suffix: str, data: bytes) -> str:
        """Store derived bytes next to their original; raise `ArtifactNotFound` where there is none."""
        beside = parse_key(key).beside(suffix)
        self.stat(key)
        with self._draft() as (writer, draft):
            with writer.file:
                writer.file.write(data)
            self._publish(draft, beside)
        return beside

    def delete(self, key: str) -> bool:
        """Remove a file and what was derived from it; False if there was none."""
        try:
            path = Path(self._path(key))
            path.unlink()
        except (ArtifactNotFound, FileNotFoundError):
            return False
        if parse_key(key).area is Area.RESULT:
            for derived in path.parent.glob(f"{path.stem}_*"):
                derived.unlink(missing_ok=True)
        return True

    def _path(self, key: str) -> str:
        parse_key(key)
        path = os.path.join(self._root, key)
        if os.path.realpath(path) != path:  # a symlink on the way could lead out of the store
            raise _not_found()
        return path

    def _open(self, key: str) -> BinaryIO:
        try:
            return open(self._path(key), "rb", buffering=0)
        except (FileNotFoundError, IsADirectoryError) as error:
            raise _not_found() from error

    @contextmanager
    def _draft(self) -> Iterator[tuple[LocalWriter, str]]:
        with _full_disk_named():
            _make_folder(self._drafts)
            descriptor, draft = tempfile.mkstemp(dir=self._drafts)
            try:
                yield LocalWriter(os.fdopen(descriptor, "w+b")), draft
            finally:
                with suppress(FileNotFoundError):
                    os.unlink(draft)

    def _publish(self, draft: str, key: str) -> None:
        path = self._path(key)
        with suppress(FileNotFoundError):
            if os.stat(path).st_size == os.stat(draft).st_size:
                return  # of another size it would be a damaged file, to be replaced
        if parse_key(key).area is Area.RESULT:
            os.chmod(draft, _FILE_MODE)  # a draft, and so an upload, is for its owner alone
        try:
            os.replace(draft, path)
        except FileNotFoundError:
            _make_folder(Path(path).parent)
            os.replace(draft, path)

    def _clear_leftovers(self) -> None:
        """Remove drafts and uploads whose process died before it could."""
        oldest_s = (self._clock() - _LEFTOVER_AGE).timestamp()
        for folder in (self._drafts, Path(self._root, Area.INPUT)):
            for file in folder.rglob("*"):
                with suppress(FileNotFoundError):  # another process clears too
                    if file.is_file() and file.stat().st_mtime < oldest_s:
                        file.unlink()


def _not_found() -> ArtifactNotFound:
    return ArtifactNotFound("There is no such file.")


@contextmanager
def _full_disk_named() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise StoreFull(
            "The artifact store has no room left. Delete files or give it a larger disk."
        ) from error


def _make_folder(folder: Path) -> None:
    """Make the folder and its parents; readable for all, whatever the process's umask is."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    with suppress(FileExistsError):
        folder.mkdir()
        folder.chmod(_FOLDER_MODE)


def _synced_sha256(path: str) -> str:
    """Hash the finished file: encoders seek back to patch headers, so a running hash would be wrong."""
    with open(path, "rb", buffering=0) as file:
        _sync(file.fileno())
        return hashlib.file_digest(file, "sha256").hexdigest()
