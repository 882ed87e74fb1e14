"""Opens a stranger's file of sound or video: sniffed, probed in a confined process, and within the limits."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import BinaryIO

from pydantic import TypeAdapter

from pipelines.errors import InputTooLarge, InvalidInput, UnsupportedMedia
from pipelines.media.confined import ConfinedProcess, ProcessLimits
from pipelines.media.decoders import DECODERS
from pipelines.media.info import AudioStream, MediaInfo, VideoStream
from pipelines.media.sniffing import ACCEPTED, Kind, sniff
from pipelines.tasks.base import MediaKey, MediaLimits, Record, Workspace

_log = logging.getLogger(__name__)

_CHILD = Path(__file__).with_name("reading_child.py")
_PROBE_S = 60
_PROBE_MEMORY_BYTES = 2 * 1024**3


class _Fault(Record):
    fault: str


_ANSWER: TypeAdapter[MediaInfo | _Fault] = TypeAdapter(MediaInfo | _Fault)


@dataclass(frozen=True)
class MediaSource:
    """A file that has passed the checks."""

    file: BinaryIO
    kind: Kind
    info: MediaInfo
    field: str
    """Of the request, for errors."""

    @property
    def video(self) -> VideoStream:
        """The first video. Raises `UnsupportedMedia` where there is none, or no frame of it."""
        if not self.info.video:
            raise UnsupportedMedia("The file has no video, only sound.", self.field)
        video = self.info.video[0]
        if not video.pixel_format:
            raise UnsupportedMedia("The file is damaged: no frame of its video can be read.", self.field)
        return video

    def audio(self, track: int = 0) -> AudioStream:
        """Give a track of sound.

        Raises:
            UnsupportedMedia: there is none.
            InvalidInput: there is none of this number.
        """
        if not self.info.audio:
            raise UnsupportedMedia("The file has no sound.", self.field)
        if track >= len(self.info.audio):
            raise InvalidInput(
                f"The file has {len(self.info.audio)} tracks of sound; the first is 0.", "track"
            )
        return self.info.audio[track]


@contextmanager
def open_media(workspace: Workspace, key: MediaKey, field: str) -> Iterator[MediaSource]:
    """Open a file for a block.

    Raises:
        UnsupportedMedia: it is not on the list of formats, or damaged.
        InputTooLarge: it is over a limit of the configuration.
    """
    with workspace.input(key).open("rb", buffering=0) as raw:
        kind = sniff(raw, field)
        info = _probe(raw, kind, workspace, field)
        _check(info, workspace.limits.media, field)
        yield MediaSource(raw, kind, info, field)


def _probe(file: BinaryIO, kind: Kind, workspace: Workspace, field: str) -> MediaInfo:
    number = file.fileno()
    command = [sys.executable, "-I", str(_CHILD), str(number), kind.demuxer, DECODERS]
    limits = ProcessLimits(cpu_s=_PROBE_S, memory_bytes=_PROBE_MEMORY_BYTES, file_bytes=0)
    until = monotonic() + _PROBE_S
    answer = ""
    with ConfinedProcess(command, limits, [number]) as process:
        for line in process.lines():
            if line and not line[0]:
                answer += line[1]
            if workspace.is_cancelled:
                process.kill()
                workspace.check_cancelled()
            if monotonic() > until:
                raise _unreadable(field, ": it takes too long to find out what is in it")
        if process.wait() != 0 or not answer:
            raise _unreadable(field, ": its structure breaks the decoder")
    found = _ANSWER.validate_json(answer)
    if isinstance(found, _Fault):
        _log.info("libav cannot read a file: %s", found.fault)  # for the operator, as those of ffmpeg
        raise _unreadable(field)
    if not found.video and not found.audio:
        raise UnsupportedMedia(f"The file has neither video nor sound. {ACCEPTED}", field)
    return found


def _unreadable(field: str, reason: str = "") -> UnsupportedMedia:
    return UnsupportedMedia(f"The file is damaged, or its encoding is unknown{reason}. {ACCEPTED}", field)


def _check(info: MediaInfo, limits: MediaLimits, field: str) -> None:
    pixels = max((each.width * each.height for each in info.video), default=0)
    frames = max((each.fps for each in info.video), default=0.0) * (info.duration_s or 0.0)
    for what, value, limit in (
        ("pixels per frame", pixels, limits.video_pixels),
        ("seconds", info.duration_s or 0.0, limits.duration_s),
        ("frames", frames, limits.frames),
        ("streams", info.streams, limits.streams),
    ):
        if value > limit:
            raise InputTooLarge(f"The file has {value:,.0f} {what}; {limit:,.0f} is the limit.", field)
