"""Reading sound: any audio or video file as mono 16 kHz samples, in bounded memory."""

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from types import TracebackType
from typing import Self, TypeAlias

import av
import av.error
import numpy as np
import numpy.typing as npt
from av.audio.fifo import AudioFifo
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream

from pipelines.errors import UnsupportedMedia

_JOINED_SAMPLES = 100_000

SPEECH_SAMPLE_RATE = 16_000
"""Hz that speech models hear at."""

FloatSamples: TypeAlias = npt.NDArray[np.float32]
"""Mono, shape (n,), from -1 to 1."""

# FFmpeg also reads play lists, which would make it open other files and addresses for a stranger.
_CONTAINERS = (
    "aac,ac3,aiff,amr,ape,asf,au,avi,caf,dts,eac3,flac,flv,loas,matroska,mov,mp3,mp4,mpeg,mpegts,"
    "ogg,tta,w64,wav,webm,wv"
)

_ACCEPTED = (
    "Send WAV, MP3, FLAC, Ogg, Opus, M4A, AAC, WMA, AMR or AIFF, "
    "or a video (MP4, WebM, MOV, MKV, AVI) with sound."
)


class AudioReader:
    """The sound of one file, decoded block by block while it is iterated; a context manager.

    Args:
        path: the file.
        field: name of the request's field that errors are about.

    Raises:
        UnsupportedMedia: when it is opened or iterated: no sound file, damaged, or without sound.
    """

    def __init__(self, path: Path, field: str = "audio") -> None:
        self._field = field
        self._num_samples = 0
        self._is_exhausted = False
        try:
            self._container = av.open(
                str(path), container_options={"format_whitelist": _CONTAINERS}, metadata_errors="ignore"
            )
        except (av.error.FileNotFoundError, av.error.PermissionError):
            raise
        except (av.error.FFmpegError, ValueError) as error:
            raise self._unsupported("is not a sound file, or it is damaged") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._container.close()

    def __iter__(self) -> Iterator[FloatSamples]:
        """Yield the samples in blocks of some seconds."""
        if not self._container.streams.audio:
            raise self._unsupported("has no sound")
        try:
            for frame in _resampled(self._frames(self._container.streams.audio[0])):
                self._num_samples += frame.samples
                # Through 16 bits, because Whisper's own reader does so and equal input gives equal text.
                yield frame.to_ndarray().reshape(-1).astype(np.float32) / 32768.0
        except av.error.FFmpegError as error:
            raise self._unsupported("is damaged, or its encoding is unknown") from error
        if self._num_samples == 0:
            raise self._unsupported("has a length of 0 seconds, or it is damaged")
        self._is_exhausted = True

    @property
    def duration_s(self) -> float:
        """Length of what has been read so far."""
        return self._num_samples / SPEECH_SAMPLE_RATE

    @property
    def expected_duration_s(self) -> float | None:
        """Length of the whole: exact after the last block, before that what the file claims, if it does."""
        if self._is_exhausted:
            return self.duration_s
        claimed = self._container.duration
        return max(claimed / av.time_base, self.duration_s) if claimed else None

    def _frames(self, stream: AudioStream) -> Iterator[AudioFrame]:
        packets = self._container.demux(stream)
        while True:
            try:
                packet = next(packets)
                frames = packet.decode()
            except StopIteration:
                return
            except av.error.InvalidDataError:
                # A scratch in the file; what can be read around it still counts.
                continue
            for frame in frames:
                assert isinstance(frame, AudioFrame)
                yield frame

    def _unsupported(self, what: str) -> UnsupportedMedia:
        return UnsupportedMedia(f"The file {what}. {_ACCEPTED}", self._field)


def _resampled(frames: Iterator[AudioFrame]) -> Iterator[AudioFrame]:
    """Convert to mono 16 kHz; a file may change its own format on the way."""
    for _, alike in groupby(frames, key=_format_of):
        resampler = AudioResampler(format="s16", layout="mono", rate=SPEECH_SAMPLE_RATE)
        for frame in _joined(alike):
            yield from resampler.resample(frame)
        yield from resampler.resample(None)


def _format_of(frame: AudioFrame) -> tuple[str, str, int]:
    return frame.format.name, frame.layout.name, frame.sample_rate


def _joined(frames: Iterator[AudioFrame]) -> Iterator[AudioFrame]:
    """Join frames of a few milliseconds, which halves the time that reading takes."""
    fifo = AudioFifo()
    for frame in frames:
        # Broken time stamps would make the resampler insert or drop sound.
        frame.pts = None
        fifo.write(frame)
        if fifo.samples >= _JOINED_SAMPLES and (joined := fifo.read()):
            yield joined
    if rest := fifo.read():
        yield rest
