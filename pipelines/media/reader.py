"""Has strangers' files read in confined processes, by a process that stays and forks them."""

import atexit
import importlib.util
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from threading import Lock
from typing import BinaryIO

from pipelines.media.confined import ENVIRONMENT, ProcessLimits
from pipelines.media.decoders import DECODERS
from pipelines.media.reading_server import ORDER_BYTES
from pipelines.tasks.base import MediaLimits

_SERVER = Path(__file__).with_name("reading_server.py")
WALL_S = 60
LIMITS = ProcessLimits(cpu_s=WALL_S, memory_bytes=2 * 1024**3, file_bytes=0)


class Reader:
    """Keeps the process, and starts another one where it has died."""

    def __init__(self) -> None:
        """Start nothing before it is needed."""
        self._lock = Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._orders: socket.socket | None = None

    @property
    def pid(self) -> int | None:
        """The process's id; None before the first file."""
        return self._process.pid if self._process else None

    def read(self, file: BinaryIO, demuxer: str, limits: MediaLimits) -> socket.socket:
        """Begin to read a file.

        Returns:
            The connection on which the answer comes, one line, and then its end; without the line the
            child has failed. To close it ends the child.
        """
        ours, theirs = socket.socketpair()
        with ExitStack() as on_failure, theirs, self._lock:
            on_failure.enter_context(ours)
            order = f"{demuxer} {limits.video_pixels} {limits.streams}".encode().ljust(ORDER_BYTES)
            descriptors = [file.fileno(), theirs.fileno()]
            try:
                socket.send_fds(self._orders or self._start(), [order], descriptors)
            except OSError:  # it has died
                socket.send_fds(self._start(), [order], descriptors)
            on_failure.pop_all()
        return ours

    def close(self) -> None:
        """End the process, and so whatever it forked."""
        if self._orders:
            self._orders.close()
        if self._process:
            self._process.wait()
        self._process = self._orders = None

    def _start(self) -> socket.socket:
        self.close()
        self._orders, theirs = socket.socketpair()
        with theirs:
            limits = (LIMITS.cpu_s, LIMITS.memory_bytes, LIMITS.file_bytes)
            # -S: a search for packages would take longer than all else.
            command = [sys.executable, "-I", "-S", str(_SERVER), _folder_of("av"), DECODERS]
            self._process = subprocess.Popen(  # noqa: S603  # no shell; the arguments are our own
                [*command, *(str(each) for each in limits)],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                env=ENVIRONMENT,
            )
        return self._orders


def _folder_of(package: str) -> str:
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    return str(Path(spec.origin).parents[1])


READER = Reader()
"""Of this process."""
atexit.register(READER.close)
