import io
import wave
from pathlib import Path

import av
import numpy as np
import pytest

from pipelines.audio import AudioFormat, AudioWriter, ByteSink, Int16Samples, PipeSink
from pipelines.errors import EngineError

VOICE_RATE = 22_050
HEADERLESS = AudioFormat.PCM


def tone(duration_s: float, rate: int = VOICE_RATE) -> Int16Samples:
    times = np.arange(int(duration_s * rate)) / rate
    return (8000 * np.sin(2 * np.pi * 440 * times)).astype(np.int16)


def decoded(data: bytes) -> tuple[float, int]:
    """Give duration in seconds and rate in Hz of an encoded file."""
    with av.open(io.BytesIO(data), "r") as container:
        rate = container.streams.audio[0].rate
        return sum(frame.samples for frame in container.decode(container.streams.audio[0])) / rate, rate


def written(sink: ByteSink, audio_format: AudioFormat, pieces: list[Int16Samples]) -> AudioWriter:
    with AudioWriter(sink, audio_format) as writer:
        for piece in pieces:
            writer.write(piece, VOICE_RATE)
    return writer


@pytest.mark.parametrize("audio_format", sorted(set(AudioFormat) - {HEADERLESS}))
@pytest.mark.parametrize("is_seekable", [True, False])
def test_every_format_keeps_duration_and_rate(audio_format: AudioFormat, is_seekable: bool) -> None:
    file, pipe = io.BytesIO(), PipeSink()
    writer = written(file if is_seekable else pipe, audio_format, [tone(1.0), tone(0.5), tone(1.5)])
    duration_s, rate = decoded(file.getvalue() or pipe.take())
    assert duration_s == pytest.approx(3.0, abs=0.1)
    assert writer.duration_s == 3.0
    # Ogg Opus always says 48 kHz to whoever decodes it.
    assert rate == (48_000 if audio_format is AudioFormat.OPUS else VOICE_RATE)
    assert writer.sample_rate == (24_000 if audio_format is AudioFormat.OPUS else VOICE_RATE)


def test_pcm_is_16_bit_little_endian_at_24_khz() -> None:
    sink = PipeSink()
    writer = written(sink, AudioFormat.PCM, [tone(1.0)])
    samples = np.frombuffer(sink.take(), "<i2")
    assert len(samples) == 24_000
    assert np.abs(samples).max() == pytest.approx(8000, rel=0.05)
    assert writer.sample_rate == 24_000


@pytest.mark.parametrize("audio_format", AudioFormat)
def test_a_pipe_gets_most_of_each_sentence_at_once(audio_format: AudioFormat) -> None:
    sizes = []
    sink = PipeSink()
    with AudioWriter(sink, audio_format) as writer:
        for _ in range(3):
            writer.write(tone(2.0), VOICE_RATE)
            sizes.append(len(sink.take()))
    sizes[-1] += len(sink.take())
    assert min(sizes) > 0.6 * np.median(sizes)


@pytest.mark.parametrize("audio_format", [AudioFormat.WAV, AudioFormat.MP3])
def test_what_a_pipe_got_so_far_can_be_played(audio_format: AudioFormat) -> None:
    sink = PipeSink()
    with AudioWriter(sink, audio_format) as writer:
        writer.write(tone(2.0), VOICE_RATE)
        duration_s, _ = decoded(sink.take())
    # An mp3 encoder looks ahead.
    assert duration_s == pytest.approx(2.0, abs=0.2)


def test_a_seekable_wav_has_right_sizes_in_its_header(tmp_path: Path) -> None:
    path = tmp_path / "speech.wav"
    with path.open("wb") as file:
        written(file, AudioFormat.WAV, [tone(1.0), tone(1.0)])
    with wave.open(str(path)) as file_read:
        assert file_read.getnframes() == 2 * VOICE_RATE
        assert np.array_equal(
            np.frombuffer(file_read.readframes(-1), "<i2"), np.concatenate([tone(1.0), tone(1.0)])
        )


@pytest.mark.parametrize("audio_format", AudioFormat)
@pytest.mark.parametrize("pieces", [[], [np.zeros(0, np.int16)]])
def test_no_samples_give_a_valid_file(audio_format: AudioFormat, pieces: list[Int16Samples]) -> None:
    sink = PipeSink()
    writer = written(sink, audio_format, pieces)
    data = sink.take()
    duration_s = len(data) / 48_000 if audio_format is HEADERLESS else decoded(data)[0]
    assert duration_s < 0.1
    assert (writer.duration_s, writer.sample_rate) == (0.0, 24_000)


@pytest.mark.parametrize("audio_format", AudioFormat)
@pytest.mark.parametrize("rate", [8_000, 44_100, 96_000])
def test_rates_that_a_format_lacks_are_resampled(audio_format: AudioFormat, rate: int) -> None:
    sink = PipeSink()
    with AudioWriter(sink, audio_format) as writer:
        writer.write(tone(1.0, rate), rate)
    data = sink.take()
    duration_s = len(data) / 48_000 if audio_format is HEADERLESS else decoded(data)[0]
    assert duration_s == pytest.approx(1.0, abs=0.2)


class FullDisk:
    """Takes so many bytes, then says that there is no room."""

    def __init__(self, room: int) -> None:
        self.room = room

    def write(self, data: bytes, /) -> int:
        self.room -= len(data)
        if self.room < 0:
            raise OSError(28, "No space left on device")
        return len(data)


@pytest.mark.parametrize("audio_format", AudioFormat)
def test_a_full_disk_is_what_the_caller_sees(audio_format: AudioFormat) -> None:
    with pytest.raises(OSError, match="No space left"):
        written(FullDisk(room=1000), audio_format, [tone(1.0)] * 3)
    with pytest.raises(OSError, match="No space left"):
        written(FullDisk(room=0), audio_format, [])


@pytest.mark.parametrize("audio_format", AudioFormat)
@pytest.mark.parametrize("room", [0, 10**6])
def test_an_error_of_the_block_is_not_hidden_by_closing(audio_format: AudioFormat, room: int) -> None:
    sink = FullDisk(room=10**6)

    def fail_after_a_sentence() -> None:
        with AudioWriter(sink, audio_format) as writer:
            writer.write(tone(1.0), VOICE_RATE)
            sink.room = room
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        fail_after_a_sentence()


def test_an_error_before_the_first_sample_passes_too() -> None:
    sink = PipeSink()
    with pytest.raises(KeyError), AudioWriter(sink, AudioFormat.WAV):
        raise KeyError("mine")
    assert sink.take() == b""


def test_a_voice_may_not_change_its_rate() -> None:
    writer = AudioWriter(PipeSink(), AudioFormat.WAV)
    writer.write(tone(0.1), VOICE_RATE)
    with pytest.raises(EngineError, match="from 22050 to 24000 Hz"):
        writer.write(tone(0.1), 24_000)


def test_names_of_the_formats() -> None:
    assert [audio_format.extension for audio_format in AudioFormat] == [
        "mp3", "opus", "aac", "flac", "wav", "pcm",
    ]  # fmt: skip
    assert {audio_format.media_type for audio_format in AudioFormat} == {
        "audio/mpeg", "audio/ogg", "audio/aac", "audio/flac", "audio/wav", "audio/pcm",
    }  # fmt: skip
