"""Reading sound: any audio or video file as mono 16 kHz samples, decoded in a confined process."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO, TypeAlias

import ffmpeg
import numpy as np
import numpy.typing as npt

from pipelines.errors import InputTooLarge, InvalidInput, UnsupportedMedia
from pipelines.media.decoders import DECODERS
from pipelines.media.ffmpeg import open_input, output_path, run_ffmpeg
from pipelines.media.info import UNKNOWN_CODEC, MediaInfo
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
        try:
            _decode(source, samples, workspace)
        except InvalidInput as error:
            raise _refusal(error, source, workspace) from error
        sound = Sound(samples)
        if sound.duration_s > workspace.limits.media.duration_s:
            limit = f"{workspace.limits.media.duration_s:,.0f} seconds"
            raise InputTooLarge(f"The recording is longer than {limit}, the limit.", field)
        yield sound


def _decode(source: MediaSource, samples: BinaryIO, workspace: Workspace) -> None:
    limits = workspace.limits.media
    bounds = {"threads": 1, "max_streams": limits.streams, "codec_whitelist": DECODERS}
    media = open_input(source.file, source.kind.demuxer, **bounds)
    options = {"f": "s16le", "ac": 1, "ar": SPEECH_SAMPLE_RATE, "t": limits.duration_s + 1}
    graph = ffmpeg.output(media["a:0"], output_path(samples), **options)
    run_ffmpeg(graph, source, workspace, None, files=[samples])
    if samples.seek(0, 2) == 0:
        raise UnsupportedMedia(
            f"The file has a length of 0 seconds, or it is damaged. {_ACCEPTED}", source.field
        )


def _refusal(error: InvalidInput, source: MediaSource, workspace: Workspace) -> InvalidInput:
    """Look into the file, which tells more than its decoder does."""
    info = probe(source.file, source.kind, workspace, source.field)
    if info.audio and info.audio[0].codec != UNKNOWN_CODEC:
        return error
    what = "sound, but its encoding is unknown" if info.audio else "no sound"
    return UnsupportedMedia(f"The file has {what}. {_ACCEPTED}", source.field)
