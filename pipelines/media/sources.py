"""Opens a stranger's file of sound or video: sniffed, probed in a confined process, and within the limits."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from socket import socket
from time import monotonic
from typing import BinaryIO

from pydantic import TypeAdapter, ValidationError

from pipelines.errors import InputTooLarge, InvalidInput, UnsupportedMedia
from pipelines.media.info import AudioStream, MediaInfo, VideoStream
from pipelines.media.reader import READER, WALL_S
from pipelines.media.sniffing import ACCEPTED, Kind, sniff
from pipelines.tasks.base import MediaKey, MediaLimits, Record, Workspace

_log = logging.getLogger(__name__)

_TICK_S = 0.1
_MAX_ANSWER_BYTES = 1024**2


class _Fault(Record):
    fault: str
    reason: str = ""


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
            UnsupportedMedia: there is none, or its encoding is unknown.
            InvalidInput: there is none of this number.
        """
        if not self.info.audio:
            raise UnsupportedMedia("The file has no sound.", self.field)
        if track >= len(self.info.audio):
            raise InvalidInput(
                f"The file has {len(self.info.audio)} tracks of sound; the first is 0.", "track"
            )
        stream = self.info.audio[track]
        if not stream.is_known:
            raise UnsupportedMedia("The encoding of this sound is unknown.", self.field)
        return stream


@contextmanager
def open_media(workspace: Workspace, key: MediaKey, field: str) -> Iterator[MediaSource]:
    """Open a file for a block.

    Raises:
        UnsupportedMedia: it is not on the list of formats, or damaged.
        InputTooLarge: it is over a limit of the configuration.
    """
    with workspace.input(key).open("rb", buffering=0) as raw:
        kind = sniff(raw, field)
        info = probe(raw, kind, workspace, field)
        yield MediaSource(raw, kind, info, field)


def probe(file: BinaryIO, kind: Kind, workspace: Workspace, field: str) -> MediaInfo:
    """Tell what is in a file.

    Raises:
        UnsupportedMedia: it cannot be read, or has neither video nor sound.
        InputTooLarge: it is over a limit of the configuration.
    """
    bounds = workspace.limits.media
    try:
        found = _ANSWER.validate_json(_description(file, kind, workspace, field))
    except ValidationError as error:  # a child that has failed, or that a file has taken over
        raise _unreadable("its structure breaks the decoder", field) from error
    if isinstance(found, _Fault):
        _log.info("libav cannot read a file: %s", found.fault or found.reason)
        raise _unreadable(found.reason, field)
    _check(found, bounds, field)
    if not found.video and not found.audio:
        raise UnsupportedMedia(f"The file has neither video nor sound. {ACCEPTED}", field)
    return found.model_copy(update={"format": kind.name})


def _description(file: BinaryIO, kind: Kind, workspace: Workspace, field: str) -> bytes:
    """Have a confined child read the file; what it says is cut short where it has failed."""
    file.seek(0)
    until = monotonic() + WALL_S
    answer = b""
    with READER.read(file, kind.demuxer, workspace.limits.media) as connection:
        for data in _pieces(connection):
            answer += data
            workspace.check_cancelled()
            if len(answer) > _MAX_ANSWER_BYTES:
                raise _unreadable("there is too much to tell of it", field)
            if monotonic() > until:
                raise _unreadable("it takes too long to find out what is in it", field)
    return answer


def _pieces(connection: socket) -> Iterator[bytes]:
    """Yield what comes, and nothing ten times a second."""
    connection.settimeout(_TICK_S)
    while True:
        data = b""
        with suppress(TimeoutError):
            data = connection.recv(65_536)
            if not data:
                return
        yield data


def _unreadable(reason: str, field: str) -> UnsupportedMedia:
    why = f": {reason}" if reason else ""
    return UnsupportedMedia(f"The file is damaged, or its encoding is unknown{why}. {ACCEPTED}", field)


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
