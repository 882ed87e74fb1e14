import io
import wave
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from faster_whisper.audio import decode_audio

from pipelines.audio import AudioFormat, AudioWriter, Int16Samples
from pipelines.audio_decoding import FloatSamples, open_sound
from pipelines.errors import InputTooLarge, UnsupportedMedia
from pipelines.tasks.base import MediaLimits, RunLimits
from tests.fakes import FolderWorkspace
from tests.pipelines.speech_clips import CLIPS, Clip


def read(path: Path) -> FloatSamples:
    with open_sound(path, FolderWorkspace(path.parent)) as sound:
        return np.concatenate(list(sound))


def encoded(samples: Int16Samples, audio_format: AudioFormat, rate: int = 16_000) -> bytes:
    file = io.BytesIO()
    with AudioWriter(file, audio_format) as writer:
        writer.write(samples, rate)
    return file.getvalue()


def film(path: Path, sound: Int16Samples | None) -> Path:
    """Make an mp4 of four black pictures, with or without a sound track."""
    with av.open(str(path), "w") as container:
        pictures = container.add_stream("mpeg4", rate=4)
        pictures.width, pictures.height, pictures.pix_fmt = 32, 32, "yuv420p"
        track = None if sound is None else container.add_stream("aac", rate=16_000, layout="mono")
        for number in range(4):
            picture = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
            picture.pts, picture.time_base = number, Fraction(1, 4)
            container.mux(pictures.encode(picture))
        container.mux(pictures.encode(None))
        if track is not None and sound is not None:
            frame = av.AudioFrame.from_ndarray(sound.reshape(1, -1), format="s16", layout="mono")
            frame.sample_rate = 16_000
            container.mux(track.encode(frame))
            container.mux(track.encode(None))
    return path


@pytest.mark.parametrize("clip", CLIPS, ids=lambda clip: clip.path.stem[-4:])
def test_the_samples_are_those_of_whispers_own_reader(clip: Clip) -> None:
    assert np.array_equal(read(clip.path), decode_audio(str(clip.path)))


@pytest.mark.parametrize("audio_format", sorted(set(AudioFormat) - {AudioFormat.PCM}))
def test_every_compressed_format_too(
    audio_format: AudioFormat, all_clips: Int16Samples, tmp_path: Path
) -> None:
    path = tmp_path / f"speech.{audio_format.extension}"
    path.write_bytes(encoded(all_clips, audio_format))
    assert np.array_equal(read(path), decode_audio(str(path)))


def test_a_length_that_the_file_does_not_say_is_known_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "stream.flac"
    data = bytearray(encoded(np.ones(16_000, np.int16), AudioFormat.FLAC))
    # STREAMINFO as an encoder leaves it that writes into a pipe: a total of 0 samples, "unknown".
    data[21] &= 0xF0
    data[22:26] = bytes(4)
    path.write_bytes(data)
    with open_sound(path, FolderWorkspace(tmp_path)) as sound:
        assert sound.duration_s == 1.0
        assert sum(len(block) for block in sound) == 16_000


def test_a_recording_over_the_limit_is_refused_before_anybody_listens(
    tmp_path: Path, all_clips: Int16Samples
) -> None:
    path = tmp_path / "speech.mp3"
    path.write_bytes(encoded(all_clips, AudioFormat.MP3))
    limited = FolderWorkspace(tmp_path, RunLimits(media=MediaLimits(duration_s=20)))
    with pytest.raises(InputTooLarge, match="longer than 20 seconds"), open_sound(path, limited):
        pass


def test_a_decoder_that_breaks_takes_nobody_with_it(tmp_path: Path, all_clips: Int16Samples) -> None:
    """Out of memory is one of the ways; what else libav may do ends in another process, too."""
    path = tmp_path / "speech.flac"
    path.write_bytes(encoded(all_clips, AudioFormat.FLAC))
    starved = FolderWorkspace(tmp_path, RunLimits(media=MediaLimits(memory_bytes=1_000_000)))
    with pytest.raises((InputTooLarge, UnsupportedMedia)), open_sound(path, starved):
        pass


def test_a_film_is_heard(tmp_path: Path, all_clips: Int16Samples) -> None:
    assert len(read(film(tmp_path / "film.mp4", all_clips[:16_000]))) == pytest.approx(16_000, abs=2_000)


def test_a_file_may_change_its_rate_on_the_way(tmp_path: Path) -> None:
    path = tmp_path / "radio.mp3"
    halves = [encoded(np.ones(rate, np.int16), AudioFormat.MP3, rate) for rate in (16_000, 44_100)]
    path.write_bytes(b"".join(halves))
    assert len(read(path)) == pytest.approx(32_000, abs=4_000)


def test_what_comes_after_a_scratch_is_still_heard(tmp_path: Path, all_clips: Int16Samples) -> None:
    data = bytearray(encoded(all_clips, AudioFormat.MP3))
    middle = len(data) // 2
    data[middle : middle + 2000] = b"\xff\xfb\x90\x00" * 500
    path = tmp_path / "scratched.mp3"
    path.write_bytes(data)
    assert len(read(path)) / 16_000 > 22


def test_a_truncated_file_is_heard_up_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "cut.wav"
    path.write_bytes(CLIPS[0].path.read_bytes()[: 44 + 32_000])
    assert len(read(path)) == 16_000


def silent_wav(num_samples: int) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((1, 2, 16_000, num_samples, "NONE", ""))
        writer.writeframes(bytes(2 * num_samples))
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "is empty"),
        (b"Dear server, this is a letter.\n" * 100, "is neither video nor sound"),
        (b"1\n00:00:01,000 --> 00:00:02,000\nA subtitle\n", "is neither video nor sound"),
        (b"#EXTM3U\n#EXTINF:10,\nother.aac\n#EXT-X-ENDLIST\n", "is neither video nor sound"),
        (b"ffconcat version 1.0\nfile other.mp3\n", "is neither video nor sound"),
        (CLIPS[0].path.read_bytes()[:20], "is damaged"),
        (CLIPS[0].path.read_bytes()[:44], "nothing of its sound"),
        (silent_wav(0), "nothing of its sound"),
        (silent_wav(100)[:20] + b"\x34\x12" + silent_wav(100)[22:], "its encoding is unknown"),
    ],
    ids=[
        "empty",
        "letter",
        "subtitles",
        "playlist",
        "concat",
        "half-header",
        "header",
        "0-seconds",
        "unknown-encoding",
    ],
)
def test_what_is_no_sound_is_refused_with_what_is_accepted(data: bytes, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "upload"
    path.write_bytes(data)
    with pytest.raises(UnsupportedMedia, match=rf"The file .*{reason}.* Send (WAV|a video)") as refusal:
        read(path)
    assert refusal.value.field == "audio"


def test_a_silent_film_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedMedia, match="The file has no sound"):
        read(film(tmp_path / "film.mp4", None))


def test_a_missing_file_is_the_servers_fault_not_the_callers(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "gone.wav")
