"""Videos as cameras and programs really make them."""

import numpy as np
import pytest
from PIL import Image

from pipelines.errors import UnsupportedMedia
from tests.fakes import FolderWorkspace
from tests.pipelines.media.clips import (
    LENGTH_S,
    PICTURE,
    TONE,
    X264,
    Pixels,
    codecs,
    frames,
    make,
    packets,
    psnr,
    timed_frames,
    transform,
)

_DROPPED = "The transparency of the video was dropped."


@pytest.mark.parametrize("turn", ["90", "180", "270"])
@pytest.mark.parametrize("flip", [(), ("-display_hflip",), ("-display_vflip",)])
def test_every_turn_and_flip(workspace: FolderWorkspace, turn: str, flip: tuple[str, ...]) -> None:
    """What is seen is what ffmpeg itself shows."""
    turned = workspace.path("turned.mp4")
    source = ("-i", str(workspace.path("silent.mp4")))
    make(turned, "-display_rotation", turn, *flip, *source, "-frames:v", "2", "-c", "copy")
    seen = make(workspace.path("seen.mkv"), "-i", str(turned), "-c:v", "ffv1", "-pix_fmt", "yuv420p")
    result = transform(workspace, "convert-video", video="turned.mp4", output_format="mkv", quality=95)
    shown, wanted = frames(workspace.path(result.video)), frames(seen)
    assert min(psnr(left, right) for left, right in zip(shown, wanted, strict=True)) > 35


def test_pixels_that_are_not_square(workspace: FolderWorkspace) -> None:
    """Videos keep theirs; a picture has none."""
    make(workspace.path("wide.mp4"), *PICTURE, "-vf", "setsar=2/1", *X264)
    still = transform(workspace, "thumbnail-video", video="wide.mp4")
    assert (still.width, still.height) == (320, 120)
    result = transform(workspace, "scale-video", video="wide.mp4", width=80)
    still = transform(workspace, "thumbnail-video", video=result.video)
    assert (still.width, still.height) == (160, 60)


def test_transparency(workspace: FolderWorkspace) -> None:
    red = ("-f", "lavfi", "-i", "color=red@0.3:s=160x120:d=0.2")
    make(workspace.path("a.webm"), *red, "-c:v", "libvpx-vp9", "-pix_fmt", "yuva420p")
    make(workspace.path("a.mov"), *red, "-c:v", "prores_ks", "-profile:v", "4444", "-pix_fmt", "yuva444p10le")
    for source in ("a.webm", "a.mov"):
        kept = transform(workspace, "convert-video", video=source, output_format="mkv")
        assert kept.notes == ()
        assert packets(workspace.path(kept.video), 0) == packets(workspace.path(source), 0)
        scaled = transform(workspace, "scale-video", video=source, width=80)
        assert scaled.notes == (_DROPPED,)
        assert transform(workspace, "convert-video", video=source, output_format="mp4").notes == (_DROPPED,)


def _comb(frame: Pixels) -> float:
    """Measure how much each line differs from its neighbours."""
    lines = frame.astype(float)
    return float(np.abs(2 * lines[1:-1] - lines[:-2] - lines[2:]).mean())


def test_interlaced_lines_are_joined(workspace: FolderWorkspace) -> None:
    """Without it the two halves of each frame, of two moments, would stay a comb."""
    bar = "color=black:size=160x120:rate=50:duration=0.6,drawbox=w=30:h=120:color=white:t=fill,scroll=h=0.05"
    interlace = ("-vf", "tinterlace=interleave_top,fieldorder=tff", "-flags", "+ildct+ilme")
    make(workspace.path("tv.mp4"), "-f", "lavfi", "-i", bar, *interlace, *X264)
    result = transform(workspace, "convert-video", video="tv.mp4", output_format="mp4", quality=90)
    shown, comb = (frames(workspace.path(name), "gray") for name in (result.video, "tv.mp4"))
    assert len(shown) == len(comb)
    assert _comb(shown[5]) < _comb(comb[5]) / 3


def test_a_start_that_an_edit_list_hides_stays_hidden(workspace: FolderWorkspace) -> None:
    long = ("-f", "lavfi", "-i", "testsrc2=size=160x120:rate=25:duration=2", *TONE)
    make(workspace.path("whole.mp4"), *long, "-c:v", "libx264", "-bf", "3", "-c:a", "aac")
    make(workspace.path("cut.mp4"), "-ss", "0.52", "-i", str(workspace.path("whole.mp4")), "-c", "copy")
    wanted = frames(workspace.path("cut.mp4"))
    assert len(wanted) == 37
    for target in ("mp4", "mkv", "avi", "webm"):
        result = transform(workspace, "convert-video", video="cut.mp4", output_format=target)
        shown = frames(workspace.path(result.video))
        assert len(shown) == pytest.approx(len(wanted), abs=1)
        assert psnr(shown[1], wanted[1]) > 24


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("late.ts", ("-output_ts_offset", "100")),
        ("early.mkv", ("-output_ts_offset", "-0.5", "-avoid_negative_ts", "disabled")),
    ],
)
def test_times_that_begin_elsewhere(workspace: FolderWorkspace, name: str, options: tuple[str, ...]) -> None:
    make(workspace.path(name), "-i", str(workspace.path("clip.mp4")), "-c", "copy", *options)
    result = transform(workspace, "scale-video", video=name, width=80, output_format="mp4")
    moments = [moment for moment, _ in timed_frames(workspace.path(result.video))]
    assert moments[0] == pytest.approx(0, abs=0.05)
    assert len(moments) == 50


def test_one_frame(workspace: FolderWorkspace) -> None:
    make(workspace.path("one.mp4"), *PICTURE, "-frames:v", "1", *X264)
    (wanted,) = frames(workspace.path("one.mp4"))
    still = transform(workspace, "thumbnail-video", video="one.mp4", output_format="png")
    assert psnr(np.asarray(Image.open(workspace.path(still.image))), wanted) > 30
    assert (
        len(frames(workspace.path(transform(workspace, "scale-video", video="one.mp4", width=80).video))) == 1
    )


@pytest.mark.parametrize(("moment_s", "number"), [(0.0, 0), (0.39, 9), (0.4, 10), (0.41, 10), (0.96, 24)])
def test_a_still_is_the_frame_that_is_seen(workspace: FolderWorkspace, moment_s: float, number: int) -> None:
    still = transform(workspace, "thumbnail-video", video="silent.mp4", time_s=moment_s, output_format="png")
    picture = np.asarray(Image.open(workspace.path(still.image)))
    scores = [psnr(picture, frame) for frame in frames(workspace.path("silent.mp4"))]
    assert scores.index(max(scores)) == number


@pytest.mark.parametrize("target", ["mp3", "ogg", "m4a", "wma"])
@pytest.mark.parametrize("rate", ["4000", "8000", "37000", "192000"])
def test_unusual_rates(workspace: FolderWorkspace, rate: str, target: str) -> None:
    make(workspace.path("tone8.wav"), "-f", "lavfi", "-i", f"sine=d=1:sample_rate={rate}")
    result = transform(workspace, "convert-audio", audio="tone8.wav", output_format=target)
    assert result.duration_s == pytest.approx(1, abs=0.06)


@pytest.mark.parametrize("target", ["mp3", "ogg", "webm", "avi", "mpeg", "wmv"])
def test_surround(workspace: FolderWorkspace, target: str) -> None:
    surround = ("-f", "lavfi", "-i", "sine=d=1", "-af", "pan=5.1|FL=c0|FR=c0|FC=c0|LFE=c0|BL=c0|BR=c0")
    make(workspace.path("surround.mkv"), *PICTURE, *surround, *X264, "-c:a", "flac", "-t", "1")
    if target in ("mp3", "ogg"):
        made = transform(workspace, "convert-audio", audio="surround.mkv", output_format=target).audio
    else:
        made = transform(workspace, "convert-video", video="surround.mkv", output_format=target).video
    (track,) = transform(workspace, "probe-media", media=made).info.audio
    assert track.channels == (6 if target in ("ogg", "webm") else 2)


def test_hlg_is_mapped_or_refused(workspace: FolderWorkspace, monkeypatch: pytest.MonkeyPatch) -> None:
    colours = "colorprim=bt2020:transfer=arib-std-b67:colormatrix=bt2020nc:log-level=error"
    encoder = ("-c:v", "libx265", "-x265-params", colours, "-pix_fmt", "yuv420p10le")
    make(workspace.path("hlg.mp4"), *PICTURE, "-t", "0.2", *encoder)
    result = transform(workspace, "scale-video", video="hlg.mp4", width=80)
    assert transform(workspace, "probe-media", media=result.video).info.video[0].hdr is None
    assert codecs(
        workspace.path(transform(workspace, "convert-video", video="hlg.mp4", output_format="mkv").video)
    ) == ["hevc"]
    monkeypatch.setattr("pipelines.media.filters.has_filter", lambda *_: False)
    with pytest.raises(UnsupportedMedia, match=r"HDR \(HLG\).*lacks the filter zscale"):
        transform(workspace, "scale-video", video="hlg.mp4", width=80)


@pytest.mark.parametrize(
    ("target", "asked", "made"),
    [
        ("mpeg", 100, 96),
        ("mpeg", 1024, 384),
        ("wmv", 8, 24),
        ("webm", 1024, 256),
        ("mp4", 100, None),
        ("avi", 1024, 320),
        ("ogg", 1024, 250),
    ],
)
def test_bit_rates_that_a_format_lacks(
    workspace: FolderWorkspace, target: str, asked: int, made: int | None
) -> None:
    result = transform(workspace, "convert-video", video="clip.mp4", output_format=target, audio_kbps=asked)
    expected = (f"The sound has {made} kbit/s: this format has no {asked}.",) if made else ()
    assert result.notes == expected
    result = transform(workspace, "convert-audio", audio="clip.mp4", output_format="wma", audio_kbps=9)
    assert result.notes == ("The sound has 24 kbit/s: this format has no 9.",)


@pytest.mark.parametrize("target", ["ogg", "webm", "mkv"])
def test_sound_of_an_unknown_encoding(workspace: FolderWorkspace, target: str) -> None:
    make(workspace.path("known.mkv"), "-i", str(workspace.path("clip.mp4")), "-c", "copy")
    workspace.add(workspace.path("known.mkv").read_bytes().replace(b"A_AAC", b"A_XYZ"), "odd.mkv")
    result = transform(workspace, "convert-video", video="odd.mkv", output_format=target)
    assert len(codecs(workspace.path(result.video))) == 1
    assert result.notes == ("1 of 1 tracks of sound were dropped: their encoding is unknown.",)
    with pytest.raises(UnsupportedMedia, match="encoding of this sound is unknown"):
        transform(workspace, "convert-audio", audio="odd.mkv", output_format="ogg")


def test_video_of_an_unknown_encoding(workspace: FolderWorkspace) -> None:
    workspace.add(workspace.path("clip.mp4").read_bytes().replace(b"avc1", b"xyz1"), "odd.mp4")
    (video,) = transform(workspace, "probe-media", media="odd.mp4").info.video
    assert video.codec == "unknown"
    sound = transform(workspace, "extract-audio", video="odd.mp4")
    assert sound.duration_s == pytest.approx(LENGTH_S, abs=0.05)
    with pytest.raises(UnsupportedMedia, match="no frame of its video"):
        transform(workspace, "scale-video", video="odd.mp4", width=80)


@pytest.mark.parametrize("target", ["mp3", "wav", "ogg"])
def test_no_sound_at_all(workspace: FolderWorkspace, target: str) -> None:
    make(workspace.path("nothing.wav"), "-f", "lavfi", "-i", "sine=d=1", "-t", "0")
    with pytest.raises(UnsupportedMedia, match="nothing of its sound"):
        transform(workspace, "convert-audio", audio="nothing.wav", output_format=target)
    assert not list(workspace.folder.glob("output*"))
