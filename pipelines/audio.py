"""Writing speech: samples become an encoded file while they are spoken (`pipelines.audio_decoding` reads)."""

from contextlib import suppress
from enum import StrEnum
from fractions import Fraction
from types import TracebackType
from typing import Any, NamedTuple, Protocol, Self, TypeAlias

import av
import numpy as np
import numpy.typing as npt
from av.audio.stream import AudioStream
from av.container import OutputContainer

from pipelines.errors import EngineError

PCM_SAMPLE_RATE = 24_000
"""Hz of headerless ``pcm``, as OpenAI defines it."""

Int16Samples: TypeAlias = npt.NDArray[np.int16]
"""Mono, shape (n,)."""


class AudioFormat(StrEnum):
    """The files that speech can be written as; the values are OpenAI's ``response_format``."""

    MP3 = "mp3"
    OPUS = "opus"
    AAC = "aac"
    FLAC = "flac"
    WAV = "wav"
    PCM = "pcm"

    @property
    def extension(self) -> str:
        """The file's extension, without the dot."""
        return self.value

    @property
    def media_type(self) -> str:
        """The file's MIME type."""
        return _ENCODINGS[self].media_type


class _Encoding(NamedTuple):
    """What FFmpeg calls a format, and the web."""

    container: str
    codec: str
    media_type: str
    sample_rate: int | None = None
    """Hz, where the format has only one."""


_ENCODINGS = {
    AudioFormat.MP3: _Encoding("mp3", "libmp3lame", "audio/mpeg"),
    AudioFormat.OPUS: _Encoding("ogg", "libopus", "audio/ogg"),
    AudioFormat.AAC: _Encoding("adts", "aac", "audio/aac"),
    AudioFormat.FLAC: _Encoding("flac", "flac", "audio/flac"),
    AudioFormat.WAV: _Encoding("wav", "pcm_s16le", "audio/wav"),
    AudioFormat.PCM: _Encoding("s16le", "pcm_s16le", "audio/pcm", PCM_SAMPLE_RATE),
}

# Without them a packet waits for 32 KB more, and an Ogg page (its length in microseconds) for a whole second.
_STREAMING_OPTIONS = {"flush_packets": "1", "page_duration": "200000"}


class ByteSink(Protocol):
    """Takes the bytes of a file; where it is seekable too, the file's header gets right sizes."""

    def write(self, data: bytes, /) -> Any:
        """Take the next bytes."""


class PipeSink:
    """Takes the bytes of a file in the making, for somebody who sends them on at once."""

    def __init__(self) -> None:
        self._pending = bytearray()

    def write(self, data: bytes, /) -> int:
        """Keep the bytes until the next `take`."""
        self._pending += data
        return len(data)

    def seekable(self) -> bool:
        """Say that what has been sent cannot be changed any more."""
        return False

    def take(self) -> bytes:
        """Give what has been written since the last call."""
        data = bytes(self._pending)
        self._pending.clear()
        return data


class AudioWriter:
    """Encodes mono speech into a sink; a context manager whose end completes the file.

    A sink that cannot seek gets every packet as soon as it is encoded. A block that ends without
    any samples leaves one silent sample, because an mp3 or aac file without a frame is no file.
    """

    def __init__(self, sink: ByteSink, audio_format: AudioFormat, bit_rate: int | None = None) -> None:
        self._sink = sink
        self._bit_rate = bit_rate
        self._encoding = _ENCODINGS[audio_format]
        self._input_rate = 0
        self._num_samples = 0
        self._container: OutputContainer | None = None
        self._stream: AudioStream | None = None

    @property
    def duration_s(self) -> float:
        """Length of what has been written."""
        return self._num_samples / self._input_rate if self._input_rate else 0.0

    @property
    def sample_rate(self) -> int:
        """Hz of the file; 24,000 as long as nothing has been written."""
        return self._stream.rate if self._stream else PCM_SAMPLE_RATE

    def __enter__(self) -> Self:
        return self

    def write(self, samples: Int16Samples, sample_rate: int) -> None:
        """Append mono samples; the rate must be the same every time."""
        if len(samples) == 0:
            return
        self._encode(samples, sample_rate)
        self._num_samples += len(samples)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None:
            self._abandon()
            return
        try:
            self._finish()
        except BaseException:
            self._abandon()
            raise

    def _encode(self, samples: Int16Samples, sample_rate: int) -> None:
        if self._stream is None:
            self._open(sample_rate)
        if sample_rate != self._input_rate:
            raise EngineError(f"the voice changed its rate from {self._input_rate} to {sample_rate} Hz")
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate = sample_rate
        frame.pts = self._num_samples
        frame.time_base = Fraction(1, sample_rate)
        self._mux(frame)

    def _open(self, sample_rate: int) -> None:
        is_seekable = getattr(self._sink, "seekable", lambda: False)()
        container = av.open(
            self._sink,
            "w",
            format=self._encoding.container,
            container_options={} if is_seekable else _STREAMING_OPTIONS,
        )
        stream = container.add_stream(
            self._encoding.codec, rate=_supported_rate(self._encoding, sample_rate), layout="mono"
        )
        assert isinstance(stream, AudioStream)
        if self._bit_rate is not None:
            stream.bit_rate = self._bit_rate
        self._container, self._stream, self._input_rate = container, stream, sample_rate

    def _mux(self, frame: av.AudioFrame | None) -> None:
        assert self._container is not None
        assert self._stream is not None
        for packet in self._stream.encode(frame):
            self._container.mux(packet)

    def _finish(self) -> None:
        if self._stream is None:
            self._encode(np.zeros(1, np.int16), PCM_SAMPLE_RATE)
        self._mux(None)
        assert self._container is not None
        self._container.close()

    def _abandon(self) -> None:
        # The file is lost already: what its end would say must not hide the reason.
        with suppress(Exception):
            if self._container is not None:
                self._container.close()


def _supported_rate(encoding: _Encoding, sample_rate: int) -> int:
    """Choose the codec's lowest rate that loses nothing."""
    wanted = encoding.sample_rate or sample_rate
    rates = sorted(av.Codec(encoding.codec, "w").audio_rates or (wanted,))
    return next((rate for rate in rates if rate >= wanted), rates[-1])
