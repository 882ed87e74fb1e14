"""The artifact store in a local (or mounted) folder."""

import errno
import fcntl
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
from cluster.artifacts.room import Room
from cluster.artifacts.store import Area, Artifact, ArtifactNotFound, ArtifactWriter, StoreFull
from configs.schema import ServerConfig, StorageConfig
from configs.settings import Settings

_DRAFTS = ".drafts"
"""Unfinished files lie here: in the same file system, so that a rename suffices; no key begins with a dot."""
_LEFTOVER_AGE = timedelta(days=1)
"""A draft of this age belongs to a process that died, also where the file system knows no locks."""
_UNLOCKED_AGE = timedelta(seconds=10)
"""One of this age that nobody holds does, too."""
_FILE_MODE = 0o644
_sync = getattr(os, "fdatasync", os.fsync)
"""macOS has only the slower one."""
_FOLDER_MODE = 0o755
_DAYS = "[0-9]" * 4 + "/" + "[0-9]" * 2 + "/" + "[0-9]" * 2


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

    def __init__(
        self, root: Path, clock: Callable[[], datetime] = _utc_now, storage: StorageConfig | None = None
    ) -> None:
        """Open the folder, make it where it is missing and clear it of leftovers."""
        self._clock = clock
        _make_folder(root)
        self._root = os.path.realpath(root)
        bounds = storage or StorageConfig(min_free_bytes=0)
        self._room = Room(Path(self._root), bounds.quota_bytes, bounds.min_free_bytes)
        self._drafts = Path(self._root, _DRAFTS)
        self.clear_leftovers()

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

    def persist(self, key: str) -> None:
        """Return when the file is safely on the disk."""
        with self._open(key) as file:
            _sync(file.fileno())

    def check_room(self) -> None:
        """Raise `StoreFull` if the store would not take another file now."""
        self._room.check()

    def older_than(self, moment: datetime, area: Area) -> Iterator[str]:
        """Yield the keys of files that were last written before `moment`; days after it are not looked at."""
        root = Path(self._root, area) if area is Area.INPUT else Path(self._root)
        for day in sorted(root.glob(_DAYS)):
            if day.relative_to(root).as_posix() > f"{moment:%Y/%m/%d}":
                return
            for file in day.rglob("*"):
                with suppress(FileNotFoundError):
                    if file.is_file() and file.stat().st_mtime < moment.timestamp():
                        yield file.relative_to(self._root).as_posix()

    def _open(self, key: str) -> BinaryIO:
        try:
            return open(self._path(key), "rb", buffering=0)
        except (FileNotFoundError, IsADirectoryError) as error:
            raise _not_found() from error

    @contextmanager
    def _draft(self) -> Iterator[tuple[LocalWriter, str]]:
        with _full_disk_named():
            _make_folder(self._drafts)
            self._room.check()
            descriptor, draft = tempfile.mkstemp(dir=self._drafts)
            holder = os.dup(descriptor)  # so that it is held until it has its name
            try:
                with suppress(OSError):
                    fcntl.flock(holder, fcntl.LOCK_EX | fcntl.LOCK_NB)
                yield LocalWriter(os.fdopen(descriptor, "w+b")), draft
            finally:
                with suppress(FileNotFoundError):
                    os.unlink(draft)
                os.close(holder)

    def _publish(self, draft: str, key: str) -> None:
        path = self._path(key)
        size_bytes = os.stat(draft).st_size
        with suppress(FileNotFoundError):
            if os.stat(path).st_size == size_bytes:
                return  # of another size it would be a damaged file, to be replaced
        if parse_key(key).area is Area.RESULT:
            os.chmod(draft, _FILE_MODE)  # a draft, and so an upload, is for its owner alone
        try:
            os.replace(draft, path)
        except FileNotFoundError:
            _make_folder(Path(path).parent)
            os.replace(draft, path)
        self._room.add(size_bytes)

    def clear_leftovers(self) -> None:
        """Remove drafts whose process died before it could."""
        now = self._clock()
        for file in self._drafts.rglob("*"):
            with suppress(FileNotFoundError):  # another process clears too
                age = now - datetime.fromtimestamp(file.stat().st_mtime, UTC)
                if file.is_file() and (age > _LEFTOVER_AGE or (age > _UNLOCKED_AGE and not _is_held(file))):
                    file.unlink()


def _is_held(draft: Path) -> bool:
    try:
        with draft.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        raise
    except OSError:  # somebody's, or nobody can tell
        return True
    return False


def local_store(settings: Settings, config: ServerConfig) -> LocalArtifactStore:
    """Open the store that the configuration describes."""
    return LocalArtifactStore(settings.artifacts_dir, storage=config.storage)


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
