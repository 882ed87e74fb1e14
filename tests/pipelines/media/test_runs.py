"""How ffmpeg is watched: progress, cancelling, and what happens to it when we die."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from configs.schema import ServerConfig
from deployments.provider_backend import run_limits
from pipelines.errors import Cancelled, EngineError, InvalidInput
from pipelines.media.ffmpeg import binary
from pipelines.media.progress import Progress, ProgressReader
from pipelines.tasks.base import MediaLimits, RunLimits
from tests.fakes import FolderWorkspace
from tests.pipelines.media.clips import FRACTAL, X264, make, transform

ROOT = Path(__file__).parents[3]
_SLOW = {"width": 1280, "quality": 100, "output_format": "webm"}
"""Takes half a minute."""


@pytest.fixture
def long_clip(workspace: FolderWorkspace) -> str:
    make(workspace.path("long.mp4"), *FRACTAL, "-t", "30", *X264)
    return "long.mp4"


def _arguments(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:  # it ended meanwhile
        return []


def _is_encoding(arguments: list[str]) -> bool:
    return arguments[:1] == [binary(MediaLimits())] and "libvpx-vp9" in arguments


def _await(seconds: float) -> None:
    threading.Event().wait(seconds)


def _wait_for_ffmpeg(parent: int) -> psutil.Process:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        children = psutil.Process(parent).children(recursive=True)
        # The launcher has the same arguments, after those of Python.
        if running := [each for each in children if _is_encoding(_arguments(each))]:
            return running[0]
        _await(0.02)
    raise AssertionError("ffmpeg was not started")


def _in_thread(workspace: FolderWorkspace, clip: str) -> threading.Thread:
    """Begin a run that goes on until it is cancelled."""

    def work() -> None:
        with pytest.raises(Cancelled):
            transform(workspace, "scale-video", video=clip, **_SLOW)

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def _has_ended(process: psutil.Process) -> bool:
    """Tell whether it runs no more; its parent may not have looked yet."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_progress_grows_to_the_end(workspace: FolderWorkspace) -> None:
    make(workspace.path("some.mp4"), *FRACTAL, "-t", "6", *X264)
    transform(workspace, "scale-video", video="some.mp4", width=640, output_format="webm")
    told = [progress for progress, _ in workspace.reports]
    assert told == sorted(told)
    assert len(told) > 2
    assert 0 < told[0] < 0.9
    assert told[-1] == 0.99


def test_progress_lines() -> None:
    reader = ProgressReader()
    assert not any(reader.feed(line) for line in ("frame=3", "out_time_us=N/A", "total_size=N/A"))
    assert reader.feed("progress=continue")
    assert reader.latest == Progress(0.0, 0, 3)
    assert not reader.feed("progress=continue")
    reader.feed("out_time_us=1500000")
    assert reader.feed("progress=end")
    assert reader.latest.done_s == 1.5


def test_cancel_ends_ffmpeg_within_a_second(workspace: FolderWorkspace, long_clip: str) -> None:
    thread = _in_thread(workspace, long_clip)
    process = _wait_for_ffmpeg(os.getpid())
    began = time.monotonic()
    workspace.cancel()
    thread.join(5)
    assert time.monotonic() - began < 1
    assert not thread.is_alive()
    assert _has_ended(process)
    assert not list(workspace.folder.glob(".draft*"))
    assert not list(workspace.folder.glob("output*"))


def test_a_killed_replica_leaves_no_process(workspace: FolderWorkspace, long_clip: str) -> None:
    code = (
        "import sys, pathlib\n"
        "from tests.fakes import FolderWorkspace\n"
        "from tests.pipelines.media.clips import transform\n"
        "transform(FolderWorkspace(pathlib.Path(sys.argv[1])), 'scale-video', video=sys.argv[2],"
        f" **{_SLOW!r})"
    )
    path = os.pathsep.join([str(ROOT), *(each for each in sys.path if each)])
    replica = subprocess.Popen(
        [sys.executable, "-c", code, str(workspace.folder), long_clip], env={**os.environ, "PYTHONPATH": path}
    )
    try:
        process = _wait_for_ffmpeg(replica.pid)
        children = psutil.Process(replica.pid).children(recursive=True)
    finally:
        replica.send_signal(signal.SIGKILL)
        replica.wait()
    assert process in children
    assert len(children) == 2  # the other one reads files
    until = time.monotonic() + 1
    while not all(map(_has_ended, children)) and time.monotonic() < until:
        _await(0.02)
    assert all(map(_has_ended, children))
    assert not list(workspace.folder.glob("output*"))


def test_a_configured_ffmpeg_is_taken(workspace: FolderWorkspace) -> None:
    known = binary(MediaLimits())
    assert binary(MediaLimits(ffmpeg=known)) == known
    missing = FolderWorkspace(workspace.folder, RunLimits(media=MediaLimits(ffmpeg="/nowhere/ffmpeg")))
    with pytest.raises(EngineError, match=r"transforms\.ffmpeg"):
        transform(missing, "scale-video", video="clip.mp4", width=80)


def test_ffmpeg_gets_neither_secrets_nor_paths(
    workspace: FolderWorkspace, long_clip: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    thread = _in_thread(workspace, long_clip)
    process = _wait_for_ffmpeg(os.getpid())
    assert "OPENAI_API_KEY" not in process.environ()
    assert long_clip not in " ".join(process.cmdline())
    assert os.getpgid(process.pid) == process.pid
    workspace.cancel()
    thread.join(5)


def test_errors_name_their_field(workspace: FolderWorkspace) -> None:
    with pytest.raises(InvalidInput) as caught:
        transform(workspace, "crop-video", video="clip.mp4", x=400, width=10, height=10)
    assert caught.value.field == "x"


def test_the_configuration_sets_the_limits() -> None:
    config = ServerConfig.model_validate(
        {"limits": {"media": {"duration_s": 60}}, "transforms": {"ffmpeg": "f", "resources": {"num_cpus": 3}}}
    )
    media = run_limits(config).media
    assert (media.duration_s, media.ffmpeg, media.threads) == (60.0, "f", 3)
