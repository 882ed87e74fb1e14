"""The files of one request: stored as they arrive, gone when the request is, unless a job needs them."""

import asyncio
import re
import threading
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import PurePosixPath

from cluster.artifacts.store import Area, ArtifactStore, ArtifactWriter

BLOCK_BYTES = 512 * 1024
"""Written at once by a thread; a smaller file costs one visit to a thread, and no upload more memory."""
MAX_EXTENSION_LENGTH = 8
MAX_NAME_LENGTH = 200


@dataclass(frozen=True)
class UploadedFile:
    """A file that lies in the artifact store until its request ends."""

    key: str
    file_name: str
    """As the client called it, without folders."""
    content_type: str
    size_bytes: int


class _Discarded(Exception):
    """Thrown into a file in the making, so that the store drops it."""


class Upload:
    """One file on its way into the store."""

    def __init__(self, store: ArtifactStore, owner: str, file_name: str, content_type: str) -> None:
        """Begin a file; nothing is created before there is something to write."""
        self.size_bytes = 0
        self._store = store
        self._owner = owner
        self._file_name = _clean(file_name)
        self._content_type = content_type
        self._pending = bytearray()
        self._open = ExitStack()
        self._writer: ArtifactWriter | None = None
        self._key: str | None = None
        # A cancelled request discards its files while a thread of it may still be writing.
        self._lock = threading.Lock()
        self._discarded = False

    async def write(self, data: bytes) -> None:
        """Take the next bytes."""
        self._pending += data
        self.size_bytes += len(data)
        if len(self._pending) >= BLOCK_BYTES:
            await asyncio.to_thread(self._flush)

    async def finish(self) -> UploadedFile:
        """Make the file visible to those who know its key."""
        key = await asyncio.to_thread(self._commit)
        return UploadedFile(key, self._file_name, self._content_type, self.size_bytes)

    def discard(self) -> None:
        """Remove whatever there is of it. Blocks."""
        with self._lock:
            self._discarded = True
            if self._key is not None:
                self._store.delete(self._key)
            else:
                self._open.__exit__(_Discarded, _Discarded(), None)

    def _flush(self) -> ArtifactWriter:
        with self._lock:
            if self._discarded:
                raise _Discarded
            if self._writer is None:
                self._writer = self._open.enter_context(
                    self._store.create(
                        area=Area.INPUT, owner=self._owner, extension=_extension(self._file_name)
                    )
                )
            try:
                self._writer.file.write(self._pending)
            except OSError as error:
                self._open.__exit__(type(error), error, error.__traceback__)  # the store knows what it means
                raise
            self._pending = bytearray()
            return self._writer

    def _commit(self) -> str:
        writer = self._flush()
        with self._lock:
            self._open.close()
            self._key = writer.key
        return self._key


def _clean(file_name: str) -> str:
    """Drop folders, and characters that nobody sees, some of which turn the direction of what follows."""
    name = re.split(r"[/\\]", file_name)[-1]
    return "".join(each for each in name if each.isprintable())[-MAX_NAME_LENGTH:]


def _extension(file_name: str) -> str:
    extension = re.sub(r"[^a-z0-9]", "", PurePosixPath(file_name).suffix.lower())
    return extension if 0 < len(extension) <= MAX_EXTENSION_LENGTH else "bin"


class Uploads:
    """All the files of one request."""

    def __init__(self, store: ArtifactStore, owner: str) -> None:
        """Keep files of `owner` in `store`."""
        self._store = store
        self._owner = owner
        self._all: list[Upload] = []
        self._kept = False

    def begin(self, file_name: str, content_type: str) -> Upload:
        """Begin a file."""
        upload = Upload(self._store, self._owner, file_name, content_type)
        self._all.append(upload)
        return upload

    def keep(self, kept: bool = True) -> None:
        """Let them outlive the request, because a job needs them; or take that back."""
        self._kept = kept

    async def discard(self) -> None:
        """Remove all of them unless they are kept, even if the request is being cancelled meanwhile."""
        if self._all and not self._kept:
            await asyncio.shield(asyncio.get_running_loop().run_in_executor(None, self._discard_all))

    def _discard_all(self) -> None:
        with ExitStack() as stack:  # so that one that fails does not keep the others
            for upload in self._all:
                stack.callback(upload.discard)
