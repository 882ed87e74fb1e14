"""The clips that `ai-server bench media` works on, drawn by ffmpeg, and its bare commands."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from pipelines.media.ffmpeg import binary
from pipelines.media.formats import VideoFormat
from pipelines.media.plans import DEFAULT_QUALITY
from pipelines.tasks.base import MediaLimits

_SOURCE = ("-f", "lavfi", "-i")
_H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-crf", "18", "-pix_fmt", "yuv420p", "-g", "50")
_HEAVY = ("-c:v", "mpeg4", "-b:v", "66M", "-g", "15")


def clip(path: Path, size: str, seconds: float) -> Path:
    """Draw a film with a tone: sharp edges, and the grain of a camera."""
    drawn = f"testsrc2=s={size}:r=30:d={seconds},noise=alls=6:allf=t"
    run([*_SOURCE, drawn, *_SOURCE, f"sine=d={seconds}", *_H264, "-c:a", "aac", str(path)])
    return path


def large_clip(path: Path, megabytes: int) -> Path:
    """Write a film of that size, two seconds again and again."""
    seed = path.with_name("seed.mp4")
    drawn = "testsrc2=s=1920x1080:r=30:d=2,noise=alls=20:allf=t"
    run([*_SOURCE, drawn, *_SOURCE, "sine=d=2", *_HEAVY, "-c:a", "aac", str(seed)])
    run(["-stream_loop", "-1", "-i", str(seed), "-c", "copy", "-fs", f"{megabytes}M", str(path)])
    return path


def run(arguments: Sequence[str], niceness: int = 0) -> None:
    """Run the ffmpeg that the transforms run."""
    program = ["nice", "-n", str(niceness), binary(MediaLimits())]
    command = [*program, "-nostdin", "-v", "error", "-y", *arguments]
    subprocess.run(command, check=True)  # noqa: S603  # our own arguments


def encode(source: Path, target: Path, filters: str, threads: int, niceness: int = 0) -> None:
    """Encode as the transforms do: the same encoder, preset, quality and threads, and the sound copied."""
    container = VideoFormat.MP4.traits
    encoder = container.video_encoder
    assert encoder is not None
    settings = {"c:v": encoder.name, encoder.quality_option: encoder.quality(DEFAULT_QUALITY)}
    settings |= {**encoder.options, **container.options, "c:a": "copy", "threads": str(threads)}
    options = [word for name, value in settings.items() for word in (f"-{name}", value)]
    run(["-threads", str(threads), "-i", str(source), "-vf", filters, *options, str(target)], niceness)
