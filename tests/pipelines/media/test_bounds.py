"""What lies at or beyond the bounds of an encoder is brought within them."""

import pytest

from pipelines.errors import InvalidInput
from tests.fakes import FolderWorkspace
from tests.pipelines.media.clips import PICTURE, TONE, X264, duration_s, frames, make, transform


@pytest.mark.parametrize(
    ("rate", "target"), [("8000", "ogg"), ("22050", "ogg"), ("96000", "ogg"), ("96000", "wma")]
)
def test_every_sample_rate_converts(workspace: FolderWorkspace, rate: str, target: str) -> None:
    make(workspace.path("sound.wav"), *TONE, "-ar", rate)
    result = transform(workspace, "convert-audio", audio="sound.wav", output_format=target)
    assert duration_s(workspace.path(result.audio), "audio") == pytest.approx(2.0, abs=0.15)


@pytest.mark.parametrize("kbps", [8, 100, 1_024])
@pytest.mark.parametrize("target", ["ogg", "wma", "mp3"])
def test_every_bit_rate_of_sound(workspace: FolderWorkspace, target: str, kbps: int) -> None:
    result = transform(workspace, "convert-audio", audio="tone.wav", output_format=target, audio_kbps=kbps)
    assert result.duration_s == pytest.approx(2.0, abs=0.1)


@pytest.mark.parametrize("target", ["mpeg", "webm", "ogg"])
def test_every_bit_rate_of_a_videos_sound(workspace: FolderWorkspace, target: str) -> None:
    make(workspace.path("low.mkv"), *PICTURE, *TONE, *X264, "-c:a", "pcm_s16le", "-ar", "22050", "-ac", "2")
    for kbps in (None, 100, 1_024):
        fields = {"video": "low.mkv", "output_format": target, "audio_kbps": kbps}
        assert transform(workspace, "convert-video", **fields).duration_s == pytest.approx(2.0, abs=0.1)


@pytest.mark.parametrize("target", ["webm", "avi", "mpeg"])
def test_any_frame_rate(workspace: FolderWorkspace, target: str) -> None:
    fields = {"video": "silent.mp4", "output_format": target, "fps": 30.334578607482662}
    result = transform(workspace, "convert-video", **fields)
    assert len(frames(workspace.path(result.video))) == pytest.approx(30, abs=1)


def test_a_clip_shorter_than_a_frame_keeps_one(workspace: FolderWorkspace) -> None:
    result = transform(workspace, "trim-video", video="silent.mp4", start_s=0.0, end_s=0.3, fps=1)
    assert len(frames(workspace.path(result.video))) == 1


def test_moments_too_small_to_be_written_in_full(workspace: FolderWorkspace) -> None:
    result = transform(workspace, "thumbnail-video", video="silent.mp4", time_s=5e-8)
    assert result.width == 160


def test_a_part_with_sound_only(workspace: FolderWorkspace) -> None:
    make(workspace.path("short.mp4"), "-i", str(workspace.path("silent.mp4")), *TONE, *X264, "-c:a", "aac")
    with pytest.raises(InvalidInput, match="no frame") as caught:
        transform(workspace, "trim-video", video="short.mp4", start_s=1.5)
    assert caught.value.field == "start_s"
    assert not list(workspace.folder.glob(".draft*"))
