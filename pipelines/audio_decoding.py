"""Reading sound: any audio or video file as mono 16 kHz samples, decoded in a confined process."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO, TypeAlias

import ffmpeg
import numpy as np
import numpy.typing as npt

from pipelines.errors import InputTooLarge, UnsupportedMedia
from pipelines.media.decoders import DECODERS
from pipelines.media.ffmpeg import open_input, output_path, run_ffmpeg
from pipelines.media.info import MediaInfo
from pipelines.media.sniffing import sniff
from pipelines.media.sources import MediaSource, probe
from pipelines.tasks.base import Workspace

SPEECH_SAMPLE_RATE = 16_000
"""Hz that speech models hear at."""

FloatSamples: TypeAlias = npt.NDArray[np.float32]
"""Mono, shape (n,), from -1 to 1."""

_SAMPLE_BYTES = 2
_BLOCK_BYTES = 30 * SPEECH_SAMPLE_RATE * _SAMPLE_BYTES
_ACCEPTED = (
    "Send WAV, MP3, FLAC, Ogg, Opus, M4A, AAC, WMA, AMR or AIFF, "
    "or a video (MP4, WebM, MOV, MKV, AVI) with sound."
)


class Sound:
    """A decoded recording; gives its samples in blocks of half a minute."""

    def __init__(self, file: BinaryIO) -> None:
        """Take an open file of 16-bit samples."""
        self._file = file
        self.duration_s = file.seek(0, 2) / _SAMPLE_BYTES / SPEECH_SAMPLE_RATE

    def __iter__(self) -> Iterator[FloatSamples]:
        self._file.seek(0)
        while block := self._file.read(_BLOCK_BYTES):
            # Through 16 bits, because Whisper's own reader does so and equal input gives equal text.
            yield np.frombuffer(block, np.int16).astype(np.float32) / 32768.0


@contextmanager
def open_sound(path: Path, workspace: Workspace, field: str = "audio") -> Iterator[Sound]:
    """Decode the sound of a file, for a block.

    ffmpeg does it, and into a nameless file (115 MB per hour): what breaks a decoder takes no model
    with it, and the length is known before anybody listens.

    Args:
        path: the file.
        workspace: of the run; has the limits, and may cancel.
        field: name of the request's field that errors are about.

    Raises:
        UnsupportedMedia: it is no sound file, damaged, or without sound.
        InputTooLarge: it is over a limit of the configuration.
    """
    with path.open("rb", buffering=0) as file, TemporaryFile() as samples:
        kind = sniff(file, field)
        source = MediaSource(file, kind, MediaInfo(format=kind.demuxer), field)
        _decode(source, samples, workspace)
        sound = Sound(samples)
        _check_length(sound.duration_s, source, workspace)
        yield sound


def _decode(source: MediaSource, samples: BinaryIO, workspace: Workspace) -> None:
    limits = workspace.limits.media
    media = open_input(source.file, source.kind.demuxer, threads=1, codec_whitelist=DECODERS)
    options = {"f": "s16le", "ac": 1, "ar": SPEECH_SAMPLE_RATE, "t": limits.duration_s + 1}
    graph = ffmpeg.output(media["a:0"], output_path(samples), **options)
    try:
        run_ffmpeg(graph, source, workspace, None, files=[samples])
    except UnsupportedMedia as error:
        raise _reason(source, workspace) from error


def _reason(source: MediaSource, workspace: Workspace) -> UnsupportedMedia:
    """Look into a file that could not be decoded, which tells more than the decoder does."""
    info = probe(source.file, source.kind, workspace, source.field)
    what = "is damaged, or its encoding is unknown" if info.audio else "has no sound"
    return UnsupportedMedia(f"The file {what}. {_ACCEPTED}", source.field)


def _check_length(duration_s: float, source: MediaSource, workspace: Workspace) -> None:
    limit_s = workspace.limits.media.duration_s
    if duration_s == 0:
        what = "has a length of 0 seconds, or it is damaged"
        raise UnsupportedMedia(f"The file {what}. {_ACCEPTED}", source.field)
    if duration_s > limit_s:
        raise InputTooLarge(f"The recording is longer than {limit_s:,.0f} seconds, the limit.", source.field)
