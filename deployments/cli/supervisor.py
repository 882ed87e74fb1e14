"""Keeps `ai-server serve` running: a light process without Ray that starts the server again when it dies."""

import ctypes
import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import psutil

CONFIG_ERROR = 2
"""The exit code of a server that cannot run as it is configured: trying again would not help."""
CLUSTER_LOST = 75
"""The exit code of a server whose Ray cluster died (EX_TEMPFAIL of sysexits.h)."""

POLL_S = 1.0
FIRST_DELAY_S, MAX_DELAY_S = 1.0, 30.0
GOOD_RUN_S = 60.0
"""A server that was ready for so long is started again without patience learned from earlier faults."""
MAX_FAILED_STARTS = 3
STOP_LIMIT_S = 60.0
END_LIMIT_S = 10.0
PORT_LIMIT_S = 15.0

_LINK_VARIABLE = "AI_SERVER_SUPERVISOR_FD"
_READY = b"r"
_STOPPING = (signal.SIGINT, signal.SIGTERM)
_PR_SET_CHILD_SUBREAPER = 36


class Link:
    """The child's end of a socket to its supervisor: it says that it is ready, and sees the other end die."""

    def __init__(self, end: socket.socket) -> None:
        """Take the end."""
        self._end = end
        self._end.setblocking(False)

    @classmethod
    def of_child(cls, environ: MutableMapping[str, str]) -> "Link | None":
        """Find the link, or None in a process that has no supervisor."""
        # Removed, so that nothing that this process starts takes itself for the supervisor's child.
        number = environ.pop(_LINK_VARIABLE, None)
        if number is None:
            return None
        end = socket.socket(fileno=int(number))
        end.set_inheritable(False)
        return cls(end)

    def say_ready(self) -> None:
        """Tell the supervisor that the server answers."""
        try:
            self._end.send(_READY)
        except OSError:
            return  # The supervisor is gone; `is_cut` says so.

    def is_cut(self) -> bool:
        """Say whether the supervisor has died."""
        try:
            return self._end.recv(1) == b""
        except BlockingIOError:
            return False
        except OSError:
            return True


class Family:
    """The processes that descend from this one, also those whose parents have died.

    A `psutil.Process` is an id and a time of birth, so an id that was given away again is never hit.
    """

    def __init__(self, others: Sequence[psutil.Process] = ()) -> None:
        """Take the children of this process that do not belong to the family."""
        self._others = frozenset(others)
        self._known: set[psutil.Process] = set()

    def remember(self) -> None:
        """Note who lives, because the children of a dead process cannot be found any more."""
        for child in set(psutil.Process().children()) - self._others:
            self._known.add(child)
            try:
                self._known.update(child.children(recursive=True))
            except psutil.NoSuchProcess:
                continue
        self._known = {process for process in self._known if process.is_running()}

    def bury(self, child: int) -> None:
        """Take the dead that this process has adopted off the table; the child is for whoever started it."""
        for process in self._known:
            if process.pid != child and not is_alive(process) and process in psutil.Process().children():
                process.wait()

    def end(self) -> list[psutil.Process]:
        """Kill every one; returns those that would not end."""
        alive: list[psutil.Process] = []
        for _ in range(int(END_LIMIT_S)):
            self.remember()
            alive = [process for process in self._known if is_alive(process)]
            if not alive:
                break
            for process in alive:
                try:
                    process.kill()
                except psutil.NoSuchProcess:
                    continue
            psutil.wait_procs(alive, timeout=1)
        return alive


def is_alive(process: psutil.Process) -> bool:
    """Say whether a process runs; one that has died stays in the table until its parent has asked for it."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def adopt_orphans() -> None:
    """Make this process the parent of every descendant whose own parent dies (Linux only)."""
    try:
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    except (OSError, AttributeError):
        return  # Elsewhere, `Family.remember` has seen all but the youngest.


def block_stop_signals(how: int = signal.SIG_BLOCK) -> None:
    """Hold back SIGINT and SIGTERM; a new process inherits that and lets them in when it can handle them."""
    signal.pthread_sigmask(how, _STOPPING)


class _Signals:
    """SIGINT, SIGTERM and the end of a child, as something to wait for."""

    def __init__(self) -> None:
        self.asked_to_stop = False

    @contextmanager
    def caught(self) -> Iterator[None]:
        """Take the signals for the block."""
        # A handler may not touch locks, so there is none: Python writes the signal's number into a socket.
        self._reader, writer = socket.socketpair()
        with self._reader, writer:
            self._reader.setblocking(False)
            writer.setblocking(False)
            fd_before = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
            before = {number: signal.signal(number, _ignore) for number in (*_STOPPING, signal.SIGCHLD)}
            try:
                yield
            finally:
                for number, handler in before.items():
                    signal.signal(number, handler)
                signal.set_wakeup_fd(fd_before)

    def wait(self, timeout_s: float) -> None:
        """Wait until a signal comes."""
        if select.select([self._reader], [], [], timeout_s)[0]:
            numbers = self._reader.recv(4096)
            self.asked_to_stop |= any(number in numbers for number in _STOPPING)


def _ignore(*_: object) -> None:
    pass


@dataclass(frozen=True)
class _Run:
    """How one child fared."""

    code: int
    ready_s: float | None
    """How long it was ready; None if it never was."""

    @property
    def reason(self) -> str:
        if self.code == CLUSTER_LOST:
            return "its Ray cluster died"
        if self.code < 0:
            return f"killed by {signal.Signals(-self.code).name}"
        return f"exit code {self.code}"

    @property
    def exit_code(self) -> int:
        """The code as a shell would give it."""
        return self.code if self.code >= 0 else 128 - self.code


class Supervisor:
    """Runs a command again and again, until it is asked to stop or sees no hope."""

    def __init__(
        self,
        command: Sequence[str],
        say: Callable[[str], None],
        port_is_free: Callable[[], bool],
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] | None = None,
    ) -> None:
        """Take the command of the child, and what tests replace."""
        self._command = command
        self._say = say
        self._port_is_free = port_is_free
        self._clock = clock
        self._pause = pause or self._wait
        self._signals = _Signals()
        self._family = Family(others=psutil.Process().children())

    def run(self) -> int:
        """Run until the end; returns the exit code."""
        delay_s, failed_starts, was_ever_ready = FIRST_DELAY_S, 0, False
        with self._signals.caught():
            while True:
                run = self._run_child()
                if self._signals.asked_to_stop or run.code == CONFIG_ERROR:
                    return run.exit_code
                failed_starts += 1
                was_ever_ready |= run.ready_s is not None
                if failed_starts == MAX_FAILED_STARTS and not was_ever_ready:
                    self._say(f"The server failed {failed_starts} times before it was ready ({run.reason}).")
                    return 1
                if run.ready_s is not None and run.ready_s >= GOOD_RUN_S:
                    delay_s = FIRST_DELAY_S
                self._say(f"The server has ended: {run.reason}. Starting it again in {delay_s:.0f} s …")
                self._pause(delay_s)
                self._wait_for_port()
                if self._signals.asked_to_stop:
                    return 0
                delay_s = min(2 * delay_s, MAX_DELAY_S)

    def _run_child(self) -> _Run:
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                child = self._start(theirs)
            ours.setblocking(False)
            ready_since = self._watch(child, ours)
        ready_s = None if ready_since is None else self._clock() - ready_since
        if remaining := self._family.end():
            self._say(f"These processes could not be ended: {[process.pid for process in remaining]}")
        return _Run(child.wait(), ready_s)

    def _start(self, link: socket.socket) -> "subprocess.Popen[bytes]":
        environ = {**os.environ, _LINK_VARIABLE: str(link.fileno())}
        block_stop_signals()
        try:
            return subprocess.Popen(self._command, env=environ, pass_fds=[link.fileno()])  # noqa: S603  # our own
        finally:
            block_stop_signals(signal.SIG_UNBLOCK)

    def _watch(self, child: "subprocess.Popen[bytes]", link: socket.socket) -> float | None:
        """Wait for the child's end, and stop it if that is asked for; returns since when it was ready."""
        ready_since = asked_at = None
        while child.poll() is None:
            self._signals.wait(POLL_S)
            self._family.remember()
            self._family.bury(child.pid)
            if ready_since is None and _says_ready(link):
                ready_since = self._clock()
            if self._signals.asked_to_stop and asked_at is None:
                asked_at = self._clock()
                # SIGINT for SIGTERM too, because Ray has a handler of its own for that one while it starts.
                child.send_signal(signal.SIGINT)
            if asked_at is not None and self._clock() - asked_at > STOP_LIMIT_S:
                child.kill()
                child.wait()
        if ready_since is None and _says_ready(link):
            ready_since = self._clock()
        return ready_since

    def _wait(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while not self._signals.asked_to_stop and (left := end - time.monotonic()) > 0:
            self._signals.wait(left)

    def _wait_for_port(self) -> None:
        """Wait for the port that the dead server had; if it stays taken, the next one says so."""
        end = time.monotonic() + PORT_LIMIT_S
        while not self._signals.asked_to_stop and not self._port_is_free() and time.monotonic() < end:
            self._wait(0.1)


def _says_ready(link: socket.socket) -> bool:
    try:
        return link.recv(1) == _READY
    except OSError:
        return False
