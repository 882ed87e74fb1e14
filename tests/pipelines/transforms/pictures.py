"""Makes tiny pictures, and reads results back."""

from collections.abc import Sequence
from io import BytesIO
from typing import Any

from PIL import Image, ImageChops, ImageSequence, ImageStat

from pipelines.transforms import TRANSFORMS
from pipelines.transforms.base import ImageResult
from tests.fakes import FolderWorkspace

RED, GREEN, BLUE, WHITE = (220, 40, 40), (40, 160, 90), (60, 120, 200), (255, 255, 255)


def encoded(image: Image.Image, format_: str, **options: Any) -> bytes:
    buffer = BytesIO()
    image.save(buffer, format_, **options)
    return buffer.getvalue()


def animated(frames: Sequence[Image.Image], format_: str, **options: Any) -> bytes:
    return encoded(frames[0], format_, save_all=True, append_images=frames[1:], **options)


def flag(mode: str = "RGB", size: tuple[int, int] = (60, 40)) -> Image.Image:
    """Blue, with a red quarter at the top left: any turn or mirroring shows."""
    image = Image.new("RGB", size, BLUE)
    image.paste(RED, (0, 0, size[0] // 2, size[1] // 2))
    return image.convert(mode)


def transform(workspace: FolderWorkspace, name: str, **fields: Any) -> ImageResult:
    operation = TRANSFORMS[name]
    result = operation.run(operation.request(**fields), workspace)
    assert isinstance(result, ImageResult)
    return result


def opened(workspace: FolderWorkspace, result: ImageResult) -> Image.Image:
    """Decode a result, after checking that it is what it says."""
    image = Image.open(BytesIO(workspace.path(result.image).read_bytes()))
    assert image.size == (result.width, result.height)
    assert image.format == result.format.traits.pillow
    assert result.image.endswith(f".{result.format}")
    return image


def shown_frames(image: Image.Image) -> list[tuple[Image.Image, float]]:
    """Give every frame as a viewer shows it, and for how many milliseconds."""
    frames = []
    for frame in ImageSequence.Iterator(image):
        frame.load()
        frames.append((frame.convert("RGBA"), float(frame.info.get("duration", 0))))
    return frames


def difference(left: Image.Image, right: Image.Image) -> float:
    """The mean difference of the worst channel, 0 to 255, seen on magenta."""
    sides = []
    for image in (left, right):
        canvas = Image.new("RGBA", image.size, "magenta")
        canvas.alpha_composite(image.convert("RGBA"))
        sides.append(canvas)
    return max(ImageStat.Stat(ImageChops.difference(*sides)).mean)
