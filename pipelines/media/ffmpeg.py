"""Runs ffmpeg: confined, heard while it works, ended at once when nobody wants its result any more."""

import errno
import logging
import os
import re
import shutil
import signal
import subprocess
from collections import deque
from collections.abc import Iterator, Sequence
from functools import cache
from time import monotonic
from typing import Any, BinaryIO

import ffmpeg
import imageio_ffmpeg

from pipelines.errors import EngineError, InputTooLarge, OutOfMemory, UnsupportedMedia
from pipelines.media.confined import ConfinedProcess, ProcessLimits
from pipelines.media.progress import Progress, ProgressReader
from pipelines.media.sources import MediaSource
from pipelines.tasks.base import MediaLimits, Workspace

_log = logging.getLogger(__name__)

_NO_MEMORY = {256 - errno.ENOMEM, 256 - errno.EAGAIN}
"""ffmpeg's exit code is its last error as one byte; the second one means that it got no further thread."""
_NO_ALLOCATION = re.compile("allocat|malloc", re.IGNORECASE)
"""Its libraries say it in words alone. ru_maxrss is no help: it counts what forked the process, too."""
_KEPT_LINES = 3
_QUIET = ("-nostdin", "-hide_banner", "-loglevel", "error", "-nostats", "-stats_period", "0.25")
_MIN_PART, _TOLERANCE_S = 0.95, 0.25
"""Of the length that the file claims for its streams; what ends earlier is torn."""
_FRAMES_BEHIND = 4
"""So far may the last report stay behind: it counts in decoding order."""


def binary(limits: MediaLimits) -> str:
    """Give the path of ffmpeg: the configured one, or that of the package imageio-ffmpeg.

    Raises:
        EngineError: it does not exist.
    """
    if limits.ffmpeg is None:
        try:
            return str(imageio_ffmpeg.get_ffmpeg_exe())
        except RuntimeError as error:
            raise EngineError("The package imageio-ffmpeg has no ffmpeg for this system.") from error
    if found := shutil.which(limits.ffmpeg):
        return found
    raise EngineError(f"There is no program {limits.ffmpeg!r} (transforms.ffmpeg of the configuration).")


def fault(limits: MediaLimits) -> str | None:
    """Tell what is wrong with the ffmpeg of the configuration, in words for the operator."""
    try:
        program = binary(limits)
    except EngineError as error:
        return error.message
    if (
        b"fd" in _told(program, "-protocols").split()
    ):  # it came with version 6; without it nothing here is safe
        return None
    return f"{program} is no ffmpeg of version 6 or later (transforms.ffmpeg of the configuration)."


def has_filter(program: str, name: str) -> bool:
    """Tell whether this build of ffmpeg has a filter."""
    return _told(program, "-h", f"filter={name}").startswith(b"Filter ")


@cache
def _told(program: str, *question: str) -> bytes:
    """Give what a program says of itself; nothing where it cannot be run."""
    command = [program, "-hide_banner", *question]
    try:
        answer = subprocess.run(  # noqa: S603  # no shell; the arguments are our own
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return b""
    return answer.stdout


def open_input(file: BinaryIO, demuxer: str, **options: Any) -> Any:
    """Begin a graph with an open file: the one descriptor is all that ffmpeg may read."""
    return ffmpeg.input("fd:", fd=file.fileno(), f=demuxer, protocol_whitelist="fd", **options)


def output_path(file: BinaryIO) -> str:
    """Give a name of an open file that ffmpeg can open once more: some formats are read again at the end."""
    return f"/dev/fd/{file.fileno()}"


def run_ffmpeg(
    graph: Any,
    source: MediaSource,
    workspace: Workspace,
    length_s: float | None,
    claimed_s: float | None = None,
    files: Sequence[BinaryIO] = (),
) -> Progress:
    """Run the graph and give how it ended.

    Args:
        graph: of ffmpeg-python, with its output.
        source: the file that errors are about.
        workspace: hears the progress, and may cancel.
        length_s: that the result should have; None where nobody knows.
        claimed_s: the same by what the file says of the very streams, so that less means that it is torn.
        files: the output, and further inputs.

    Raises:
        UnsupportedMedia: the file is damaged or ffmpeg cannot do this with it.
        InputTooLarge: it needs more time or memory, or gives a larger result, than is allowed.
        OutOfMemory: the machine has none left.
        OSError: the disk is full.
    """
    inputs = (source.file, *files)
    for each in inputs:
        each.seek(0)
    limits = workspace.limits.media
    arguments = (*_QUIET, "-progress", "pipe:1", *ffmpeg.get_args(graph, overwrite_output=True))
    confines = ProcessLimits(limits.cpu_s, limits.memory_bytes, limits.output_bytes)
    numbers = [each.fileno() for each in inputs]
    errors: deque[str] = deque(maxlen=_KEPT_LINES)
    reader = ProgressReader()
    with ConfinedProcess([binary(limits), *arguments], confines, numbers) as process:
        for line in _until_deadline(process, limits.wall_s, source.field):
            if workspace.is_cancelled:
                process.kill()
                workspace.check_cancelled()
            if line is None:
                continue
            is_error, text = line
            if is_error:
                errors.append(text)
            elif reader.feed(text):
                workspace.report(_part(reader.latest, length_s))
        code = process.wait()
    if code != 0:
        raise _failure(code, process.cpu_s >= limits.cpu_s, errors, source.field)
    _check_length(reader.latest, claimed_s, source)
    return reader.latest


def _until_deadline(
    process: ConfinedProcess, limit_s: float, field: str
) -> Iterator[tuple[bool, str] | None]:
    until = monotonic() + limit_s
    for line in process.lines():
        if monotonic() > until:
            raise InputTooLarge(f"The file takes longer than {limit_s:g} s to process, the limit.", field)
        yield line


def _part(progress: Progress, length_s: float | None) -> float:
    return min(0.99, progress.done_s / length_s) if length_s else 0.0


def _failure(code: int, is_out_of_time: bool, errors: Sequence[str], field: str) -> Exception:
    if is_out_of_time:
        return InputTooLarge("The file needs more computing time than is allowed.", field)
    if code in _NO_MEMORY or any(_NO_ALLOCATION.search(line) for line in errors):
        return InputTooLarge("The file needs more memory than is allowed.", field)
    if code == -signal.SIGXFSZ:
        return InputTooLarge("The result would be larger than is allowed.", field)
    if code == 256 - errno.ENOSPC:
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # a store says it in its own words
    if code == -signal.SIGKILL:
        return OutOfMemory("The system ended ffmpeg, most likely for want of memory.")
    # For the operator: its words say nothing to who sent the file.
    _log.info("ffmpeg ended with %d: %s", code, "; ".join(errors))
    return UnsupportedMedia(
        "The file could not be processed: it is damaged, or has something that the result cannot hold.", field
    )


def _check_length(progress: Progress, claimed_s: float | None, source: MediaSource) -> None:
    slowest_fps = min((each.fps for each in source.info.video if each.fps), default=25.0)
    tolerance_s = _TOLERANCE_S + _FRAMES_BEHIND / slowest_fps
    if claimed_s and progress.done_s < claimed_s * _MIN_PART - tolerance_s:
        raise UnsupportedMedia(
            f"The file is damaged: it ends after {progress.done_s:.1f} of {claimed_s:.1f} seconds.",
            source.field,
        )
