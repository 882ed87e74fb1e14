"""Makes small clips with ffmpeg's own test sources, and reads results back with PyAV."""

import math
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from pipelines.media.ffmpeg import binary
from pipelines.tasks.base import MediaLimits, TaskResult
from pipelines.transforms import TRANSFORMS
from tests.fakes import FolderWorkspace

Pixels = npt.NDArray[np.uint8]
"""Height x width x RGB."""

SIZE, FPS, LENGTH_S = (160, 120), 25, 2.0
PICTURE = ("-f", "lavfi", "-i", f"testsrc2=size=160x120:rate={FPS}:duration=2")
FRACTAL = ("-f", "lavfi", "-i", f"mandelbrot=size=160x120:rate={FPS}")
TONE = ("-f", "lavfi", "-i", "sine=frequency=440:duration=2")
X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-crf", "8", "-pix_fmt", "yuv420p")


def make(path: Path, *arguments: str) -> Path:
    """Run ffmpeg."""
    program = binary(MediaLimits())
    command = [program, "-v", "error", "-nostdin", "-y", *arguments, "-threads", "1", str(path)]
    subprocess.run(command, check=True)
    return path


def transform(workspace: FolderWorkspace, name: str, **fields: Any) -> Any:
    """Do a transform."""
    operation = TRANSFORMS[name]
    result = operation.run(operation.request(**fields), workspace)
    assert isinstance(result, TaskResult)
    return result


def frames(path: Path, pixels: str = "rgb24") -> list[Pixels]:
    """Decode a video as it is to be seen."""
    return [frame for _, frame in timed_frames(path, pixels)]


def timed_frames(path: Path, pixel_format: str = "rgb24") -> Iterator[tuple[float, Pixels]]:
    """Decode a video, each frame with its moment in seconds."""
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            assert frame.time is not None
            pixels: Pixels = frame.to_ndarray(format=pixel_format).astype(np.uint8, copy=False)
            yield frame.time, np.rot90(pixels, -frame.rotation // 90 % 4) if frame.rotation else pixels


def psnr(left: Pixels, right: Pixels) -> float:
    """Compare two frames, in decibels."""
    error = np.mean((left.astype(float) - right.astype(float)) ** 2)
    return math.inf if error == 0 else 10 * math.log10(255**2 / error)


def codecs(path: Path) -> list[str]:
    """List the codecs of the streams."""
    with av.open(str(path)) as container:
        return [stream.codec_context.codec.canonical_name for stream in container.streams]


def duration_s(path: Path, kind: str) -> float:
    """Measure how long the first stream of a kind lasts: from its first to the end of its last frame."""
    with av.open(str(path)) as container:
        stream = (container.streams.video if kind == "video" else container.streams.audio)[0]
        spans = [
            (float(packet.pts * packet.time_base), float((packet.duration or 0) * packet.time_base))
            for packet in container.demux(stream)
            if packet.pts is not None
        ]
    return max(start + length for start, length in spans) - min(start for start, _ in spans)


def packets(path: Path, index: int) -> Sequence[bytes]:
    """Give the encoded packets of a stream: equal ones were copied."""
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(container.streams[index]) if packet.size]
