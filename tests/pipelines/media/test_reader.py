"""The process that reads strangers' files, and its children."""

import os
import resource
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import socket
from typing import BinaryIO

import psutil
import pytest

from pipelines.media.reader import LIMITS, Reader
from pipelines.tasks.base import MediaLimits
from tests.fakes import FolderWorkspace


@pytest.fixture
def reader() -> Iterator[Reader]:
    reader = Reader()
    yield reader
    reader.close()


@contextmanager
def stuck(reader: Reader) -> Iterator[tuple[socket, psutil.Process]]:
    """Have something read that never comes; give the connection and the child."""
    before = _children(reader)
    source, nothing = os.pipe()
    with (
        open(source, "rb", buffering=0) as file,
        open(nothing, "wb"),
        reader.read(file, "mpegts", MediaLimits()) as connection,
    ):
        _await(lambda: any(_has_begun(each) for each in set(_children(reader)).difference(before)))
        (child,) = set(_children(reader)).difference(before)
        yield connection, child


def _children(reader: Reader) -> list[psutil.Process]:
    return psutil.Process(reader.pid).children() if reader.pid else []


def _has_begun(child: psutil.Process) -> bool:
    """Tell whether the child has its limits, and so is about to open the file."""
    return child.rlimit(psutil.RLIMIT_FSIZE) == (0, 0)


def _await(holds: Callable[[], bool], seconds: float = 5.0) -> None:
    for _ in range(int(seconds / 0.01)):
        if holds():
            return
        threading.Event().wait(0.01)
    raise AssertionError("it did not happen in time")


def _answer(connection: socket) -> bytes:
    pieces = iter(lambda: connection.recv(65_536), b"")
    return b"".join(pieces)


def _read(reader: Reader, file: BinaryIO) -> bytes:
    with reader.read(file, "mov", MediaLimits()) as connection:
        return _answer(connection)


def test_one_process_reads_all_files(reader: Reader, workspace: FolderWorkspace) -> None:
    pids = set()
    for name in ("clip.mp4", "silent.mp4"):
        with workspace.path(name).open("rb") as file:
            assert b'"codec": "h264"' in _read(reader, file)
        pids.add(reader.pid)
    assert len(pids) == 1


def test_a_child_is_confined(reader: Reader) -> None:
    with stuck(reader) as (_, child):
        assert os.getpgid(child.pid) == os.getsid(child.pid) == child.pid
        assert child.rlimit(psutil.RLIMIT_CPU)[0] == LIMITS.cpu_s
        assert child.rlimit(psutil.RLIMIT_AS) == (LIMITS.memory_bytes, LIMITS.memory_bytes)
        assert set(child.environ()) == {"PATH", "LC_ALL"}
    assert resource.getrlimit(resource.RLIMIT_FSIZE) != (0, 0)


def test_a_child_sees_no_other_file(reader: Reader) -> None:
    with stuck(reader), stuck(reader) as (_, child):
        folder = Path(f"/proc/{child.pid}/fd")
        opened = {os.readlink(each).partition(":")[0] for each in folder.iterdir()}
        assert opened == {os.devnull, "socket", "pipe"}
        assert len(list(folder.iterdir())) <= 5  # ffmpeg has the file twice


def test_who_hangs_up_ends_the_child(reader: Reader) -> None:
    with stuck(reader) as (_, child):
        pass
    _await(lambda: not child.is_running(), 1.0)


def test_a_child_that_dies_gives_no_answer(reader: Reader) -> None:
    with stuck(reader) as (connection, child):
        child.kill()
        assert _answer(connection) == b""


def test_children_die_with_the_process(reader: Reader) -> None:
    with stuck(reader) as (connection, child):
        assert reader.pid
        os.kill(reader.pid, signal.SIGKILL)
        assert _answer(connection) == b""
        _await(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, 1.0)


def test_another_process_follows_one_that_died(reader: Reader, workspace: FolderWorkspace) -> None:
    with workspace.path("clip.mp4").open("rb") as file:
        _read(reader, file)
        assert reader.pid
        first = psutil.Process(reader.pid)
        first.kill()
        _await(lambda: first.status() == psutil.STATUS_ZOMBIE)
        assert b'"codec": "h264"' in _read(reader, file)
        assert reader.pid != first.pid


def test_many_at_once(reader: Reader, workspace: FolderWorkspace) -> None:
    answers: list[bytes] = []

    def work() -> None:
        with workspace.path("clip.mp4").open("rb") as file:
            answers.append(_read(reader, file))

    threads = [threading.Thread(target=work) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(answers)) == 1
    assert b'"codec": "h264"' in answers[0]
    _await(lambda: not _children(reader))
