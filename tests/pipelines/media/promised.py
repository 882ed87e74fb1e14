"""What a request for a transform of small files must come to: why it is refused, else what its result is."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
from PIL import Image

from pipelines.images import PictureFormat
from pipelines.media.formats import VideoFormat
from tests.fakes import FolderWorkspace
from tests.pipelines.media.clips import make

LENGTH_S, FPS = 0.4, 10
FRAME_S = 1 / FPS
SIZES = {"odd.mkv": (63, 47)}
SIZE = (64, 48)
PADDING_S = 0.15
"""What encoders of sound add: WMA's packets are the longest, a quarter of a second at 8 kHz."""

_VIDEO = ("-f", "lavfi", "-i", f"testsrc2=size={SIZE[0]}x{SIZE[1]}:rate={FPS}:duration={LENGTH_S}")
_TONE = ("-f", "lavfi", "-i", f"sine=frequency=440:duration={LENGTH_S}")
_SECRET = ("-metadata", "title=secret")
_LOSSY = (PictureFormat.JPG, PictureFormat.WEBP, PictureFormat.AVIF)
_CONTAINERS = {"wmv": "asf", "wma": "asf", "mkv": "matroska"}
"""How libav calls a format, where that is another name."""


def make_files(folder: Path) -> None:
    """Make the files that requests name."""
    make(folder / "clip.mp4", *_VIDEO, *_TONE, "-c:v", "libx264", "-pix_fmt", "yuv420p", *_SECRET)
    make(folder / "other.webm", *_VIDEO, *_TONE, "-c:v", "libvpx", "-c:a", "libopus", "-ac", "2", *_SECRET)
    make(folder / "odd.mkv", *_VIDEO, "-vf", "crop=63:47:0:0:exact=1", "-c:v", "ffv1", *_SECRET)
    make(folder / "phone.wav", *_TONE, "-ar", "8000", *_SECRET)
    Image.linear_gradient("L").resize(SIZE).convert("RGB").save(folder / "picture.png")
    Image.new("RGBA", (20, 10), "red").save(folder / "mark.png")


def faults(name: str, request: Any) -> Iterator[str]:
    """Name the fields for which a request is refused."""
    size = SIZES.get(getattr(request, "video", ""), SIZE)
    if getattr(request, "quality", None) and getattr(request, "video_kbps", None):
        yield "video_kbps"
    if name.startswith("scale") and not (request.width or request.height):
        yield "width"
    if name.startswith("crop"):
        yield from _outside(request.x, request.width, size[0], ("x", "width"))
        yield from _outside(request.y, request.height, size[1], ("y", "height"))
    if not name.endswith(("video", "audio", "media")) or name == "thumbnail-video":
        yield from _quality_of_nothing(request)
    if name.endswith("audio"):
        yield from _missing_sound(request)
    if name == "trim-video" and request.end_s is not None and request.end_s <= request.start_s:
        yield "end_s"


def may_be_without_frame(name: str, request: Any) -> Iterator[str]:
    """Name the fields for which a request may be refused: no frame begins between its moments."""
    if name == "thumbnail-video" and (request.time_s or 0) > LENGTH_S - FRAME_S:
        yield "time_s"
    if name == "trim-video":
        end_s = LENGTH_S if request.end_s is None else min(request.end_s, LENGTH_S)
        if end_s - request.start_s < FRAME_S or request.start_s > LENGTH_S - FRAME_S:
            yield "start_s"


def _outside(start: int, extent: int, side: int, fields: tuple[str, str]) -> Iterator[str]:
    if start + extent > side:
        yield fields[start < side]


def _quality_of_nothing(request: Any) -> Iterator[str]:
    if request.quality and (request.output_format or PictureFormat.PNG) not in _LOSSY:
        yield "quality"


def _missing_sound(request: Any) -> Iterator[str]:
    if getattr(request, "video", "") == "odd.mkv":
        yield "video"
    elif request.track:
        yield "track"


def check_result(space: FolderWorkspace, name: str, request: Any, result: Any) -> None:
    """Open the result and compare it with what was asked for."""
    if name == "probe-media":
        assert abs(result.info.duration_s - LENGTH_S) < PADDING_S
        return
    key = next(getattr(result, kind) for kind in ("image", "video", "audio") if hasattr(result, kind))
    assert key.endswith(".ogv" if result.format is VideoFormat.OGG else f".{result.format}")
    assert result.format == (request.output_format or result.format)
    if hasattr(result, "width"):
        _check_size(name, request, (result.width, result.height))
    path = space.path(key)
    if hasattr(result, "image"):
        with Image.open(path) as image:
            image.load()
            assert (image.size, image.format) == ((result.width, result.height), result.format.traits.pillow)
    else:
        _check_media(path, name, request, result)
    path.unlink()


def _check_size(name: str, request: Any, size: tuple[int, int]) -> None:
    own = SIZES.get(getattr(request, "video", ""), SIZE)
    wanted: tuple[float, ...] = own
    if name.startswith("crop"):
        wanted = request.width, request.height
    elif name.startswith(("scale", "thumbnail")):
        sides = zip((request.width, request.height), own, strict=True)
        factor = min((asked / side for asked, side in sides if asked), default=1.0)
        wanted = tuple(side * (min(1.0, factor) if name.startswith("thumbnail") else factor) for side in own)
    slack = 1.0 if name.endswith("video") else 0.5  # the sides of a video are even
    assert all(abs(side - ideal) <= slack or side == 2 - ("image" in name) > ideal
               for side, ideal in zip(size, wanted, strict=True)), (size, wanted)  # fmt: skip


def _check_media(path: Path, name: str, request: Any, result: Any) -> None:
    with av.open(str(path)) as container:
        assert _CONTAINERS.get(result.format, result.format) in container.format.name
        assert ("secret" in str(_tags(container))) <= request.keep_metadata
        if name.endswith("video"):
            assert len(container.streams.audio) == (request.audio and request.video != "odd.mkv")
            stream = container.streams.video[0]
            assert (stream.width, stream.height) == (result.width, result.height)
        lengths = [_length_s(path, stream.index) for stream in container.streams]
    frame_s = max(FRAME_S, 1 / (getattr(request, "fps", None) or FPS))
    assert abs(max(lengths) - result.duration_s) <= frame_s + PADDING_S, (lengths, result.duration_s)
    assert abs(result.duration_s - _asked_s(name, request)) <= frame_s, result.duration_s


def _tags(container: Any) -> list[dict[str, str]]:
    return [container.metadata, *(stream.metadata for stream in container.streams)]


def _asked_s(name: str, request: Any) -> float:
    if name != "trim-video":
        return LENGTH_S
    end_s: float = LENGTH_S if request.end_s is None else min(request.end_s, LENGTH_S)
    return end_s - float(request.start_s)


def _length_s(path: Path, index: int) -> float:
    """Decode all of a stream, and measure from its first to its last frame."""
    with av.open(str(path)) as container:
        packets = container.demux(container.streams[index])
        decoded = [frame.time for packet in packets for frame in packet.decode()]  # type: ignore[union-attr]
    moments = [moment for moment in decoded if moment is not None]  # the last one of some encoders has none
    return moments[-1] - moments[0]
