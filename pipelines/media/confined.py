"""Programs that read strangers' files: without a shell, in a process group of their own, with limits."""

import os
import selectors
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import get_ident
from types import TracebackType
from typing import Self

_LAUNCHER = Path(__file__).with_name("launcher.py")
_TICK_S = 0.1
_LINE_BYTES = 4096
ENVIRONMENT = {"PATH": "/nonexistent", "LC_ALL": "C.UTF-8"}
"""Neither keys of providers nor a path to other programs."""


@dataclass(frozen=True)
class ProcessLimits:
    """What the kernel holds a process to."""

    cpu_s: int
    memory_bytes: int
    """Of address space."""
    file_bytes: int
    """Of each file that it writes."""


class ConfinedProcess:
    """A running program; a context manager whose end kills whatever is left of it.

    The program also dies with the thread that started it, and so with our process, however that ends.
    So this very thread has to wait for it, and no generator may hold it across threads.
    """

    def __init__(self, command: Sequence[str], limits: ProcessLimits, files: Sequence[int] = ()) -> None:
        """Start it.

        Args:
            command: absolute path of the program, and its arguments.
            limits: that it gets.
            files: descriptors that it inherits.
        """
        numbers = (os.getpid(), limits.cpu_s, limits.memory_bytes, limits.file_bytes)
        self._process = subprocess.Popen(  # noqa: S603  # no shell; the arguments are our own
            [sys.executable, "-I", "-S", str(_LAUNCHER), *(str(each) for each in numbers), *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=files,
            start_new_session=True,
            env=ENVIRONMENT,
        )
        self.cpu_s = 0.0
        """Computing time that it took; known when it has ended."""
        self._thread = get_ident()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.kill()
        for pipe in (self._process.stdout, self._process.stderr):
            assert pipe is not None
            pipe.close()

    @property
    def pid(self) -> int:
        """The id of the process, and of its group."""
        return self._process.pid

    def kill(self) -> None:
        """End the whole group now; nothing happens where it has ended."""
        if self._process.returncode is None:
            os.killpg(self.pid, signal.SIGKILL)
            self.wait()

    def wait(self) -> int:
        """Give the exit code once its pipes are closed; minus the signal's number where one ended it."""
        assert get_ident() == self._thread, "another thread could end, and the program with it"
        if self._process.returncode is None:
            _, status, usage = os.wait4(self.pid, 0)
            self._process.returncode = os.waitstatus_to_exitcode(status)
            self.cpu_s = usage.ru_utime + usage.ru_stime
        return self._process.returncode

    def lines(self) -> Iterator[tuple[bool, str] | None]:
        """Yield (whether it is an error's, line) as they come, and None at least ten times a second."""
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        pending: dict[int, bytes] = {}
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ, False)
            selector.register(self._process.stderr, selectors.EVENT_READ, True)
            while selector.get_map():
                yield None
                for key, _ in selector.select(_TICK_S):
                    data = os.read(key.fd, 65_536)
                    if not data:
                        selector.unregister(key.fileobj)
                    *whole, rest = (pending.get(key.fd, b"") + (data or b"\n")).split(b"\n")
                    pending[key.fd] = rest[-_LINE_BYTES:]
                    for line in filter(None, whole):
                        yield key.data, line[-_LINE_BYTES:].decode(errors="replace")
