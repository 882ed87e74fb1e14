"""Whether picture and sound stay together, and last as long as they should."""

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from tests.fakes import FolderWorkspace
from tests.pipelines.media.clips import FPS, X264, duration_s, frames, make, psnr, timed_frames, transform

FLASH_S = 1.0
SYNC_S = 0.02
LATE_PICTURE = ("film.flv", "film.avi", "film.wmv")
VIDEO_FORMATS = ("mp4", "mov", "webm", "mkv", "avi", "wmv", "mpeg", "ogg")


@pytest.fixture(scope="module")
def flash(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dark film that turns white for a fifth of a second, and beeps meanwhile."""
    # With noise, because PyAV stumbles over the empty packets by which Theora repeats a frame.
    flash = "drawbox=color=white:t=fill:enable='between(n,25,29)'"
    picture = f"color=black:s=64x48:r=25:d=2,{flash},noise=alls=30:allf=t"
    sound = f"aevalsrc='if(between(t,{FLASH_S},1.2),0.8*sin(2*PI*1000*t),0)':s=44100:d=2"
    sources = ("-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", sound)
    return make(tmp_path_factory.mktemp("flash") / "flash.mp4", *sources, *X264, "-g", "10", "-c:a", "aac")


def flash_s(path: Path) -> float:
    """Find when the picture turns white."""
    moments, shown = zip(*timed_frames(path), strict=True)
    number = next(number for number, frame in enumerate(shown) if frame.mean() > 128)
    # In MPEG several frames share a time stamp, and libav guesses; players count, as it says they should.
    return float(moments[0] + number / FPS if path.suffix == ".mpeg" else moments[number])


def beep_s(path: Path) -> float:
    """Find when the tone begins."""
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            samples = frame.to_ndarray()[0].astype(float)
            full = {"s": 2**15, "f": 1}[frame.format.name[0]]
            loud = np.flatnonzero(np.abs(samples) > 0.2 * full)
            if len(loud):
                return _time(frame) + float(loud[0]) / frame.sample_rate
    raise AssertionError("there is no beep")


def _time(frame: av.AudioFrame) -> float:
    assert frame.time is not None
    return frame.time


def start_s(path: Path) -> float:
    """Find where the sound's times begin: an MP3's do behind what its encoder put before."""
    with av.open(str(path)) as container:
        return _time(next(container.decode(audio=0)))


@pytest.mark.parametrize("target", VIDEO_FORMATS)
def test_every_format_keeps_picture_and_sound_together(
    workspace: FolderWorkspace, flash: Path, target: str
) -> None:
    workspace.add(flash, "flash.mp4")
    result = transform(workspace, "convert-video", video="flash.mp4", output_format=target)
    path = workspace.path(result.video)
    assert beep_s(path) - flash_s(path) == pytest.approx(0, abs=SYNC_S)


@pytest.mark.parametrize(
    ("operation", "fields", "flash_at_s"),
    [
        ("scale-video", {"width": 32}, 1.0),
        ("crop-video", {"width": 32, "height": 32}, 1.0),
        ("trim-video", {"start_s": 0.52, "end_s": 1.6}, 0.48),
        ("trim-video", {"start_s": 0.52, "end_s": 1.6, "output_format": "webm"}, 0.48),
        ("trim-video", {"start_s": 0.52, "end_s": 1.6, "output_format": "mpeg"}, 0.48),
        ("trim-video", {"start_s": 0.52, "end_s": 1.6, "mode": "keyframe"}, None),
        ("convert-video", {"output_format": "mp4", "fps": 10}, 1.0),
    ],
)
def test_every_operation_does(
    workspace: FolderWorkspace, flash: Path, operation: str, fields: dict[str, Any], flash_at_s: float | None
) -> None:
    workspace.add(flash, "flash.mp4")
    path = workspace.path(transform(workspace, operation, video="flash.mp4", **fields).video)
    seen_s = flash_s(path)
    assert beep_s(path) - seen_s == pytest.approx(0, abs=SYNC_S)
    if flash_at_s is not None:
        first_s = next(moment for moment, _ in timed_frames(path))
        assert seen_s - first_s == pytest.approx(flash_at_s, abs=0.002)


@pytest.mark.parametrize(
    ("source", "options"),
    [
        ("film.ts", ("-output_ts_offset", "100")),
        ("film.mpeg", ("-f", "vob", "-c:v", "mpeg2video", "-q:v", "2", "-c:a", "mp2")),
        ("film.flv", ("-ar", "44100", "-c:a", "aac")),
        ("film.avi", ("-c:v", "mpeg4", "-q:v", "2", "-c:a", "mp3")),
        ("film.wmv", ("-c:v", "wmv2", "-q:v", "2", "-c:a", "wmav2")),
        ("film.webm", ("-live", "1", "-c:v", "libvpx", "-crf", "8", "-b:v", "2M", "-c:a", "libopus")),
        ("film.ogg", ("-c:v", "libtheora", "-q:v", "9", "-c:a", "libvorbis")),
        ("film.mkv", ("-g", "500", "-bf", "3")),
    ],
)
def test_trims_every_kind_of_file_to_the_frame(
    workspace: FolderWorkspace, source: str, options: tuple[str, ...]
) -> None:
    codec = () if "-c:v" in options else X264
    make(workspace.path(source), "-i", str(workspace.path("clip.mp4")), *codec, *options)
    result = transform(
        workspace, "trim-video", video=source, start_s=0.6, end_s=1.2, output_format="mp4", quality=90
    )
    path = workspace.path(result.video)
    whole, shown = frames(workspace.path(source)), frames(path)
    # Where the sound begins before the picture, so does the file's time, by less than a frame.
    slack = int(source in LATE_PICTURE)
    assert 15 - slack <= len(shown) <= 15
    first = max(range(15 - slack, 16 + slack), key=lambda number: psnr(shown[0], whole[number]))
    for number, frame in enumerate(shown):
        assert psnr(frame, whole[first + number]) > 30
    assert duration_s(path, "audio") == pytest.approx(0.6, abs=1 / FPS)


@pytest.mark.parametrize("source", ["tone.wav", "flash.mp4"])
@pytest.mark.parametrize(
    ("target", "tolerance_s"),
    # Raw AAC cannot say how much silence its encoder put before and behind: two frames of 1,024 samples;
    # WMA neither: two of 2,048. All others are exact to the sample, once their priming is left out.
    [
        ("mp3", 0.001),
        ("wav", 0.001),
        ("aac", 0.05),
        ("flac", 0.001),
        ("ogg", 0.001),
        ("m4a", 0.025),
        ("wma", 0.1),
    ],
)
def test_sound_lasts_as_long_as_before(
    workspace: FolderWorkspace, flash: Path, source: str, target: str, tolerance_s: float
) -> None:
    workspace.add(flash, "flash.mp4")
    result = transform(workspace, "convert-audio", audio=source, output_format=target, audio_kbps=96)
    with av.open(str(workspace.path(result.audio))) as container:
        samples = sum(frame.samples for frame in container.decode(audio=0))
        length_s = samples / container.streams.audio[0].sample_rate
    assert length_s == pytest.approx(2.0, abs=tolerance_s)
    assert result.duration_s == pytest.approx(2.0, abs=0.03)
    if source == "flash.mp4":
        path = workspace.path(result.audio)
        assert beep_s(path) - start_s(path) == pytest.approx(FLASH_S, abs=max(tolerance_s, 0.005))
