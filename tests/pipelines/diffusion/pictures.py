"""Pictures and masks for tests, as files' bytes."""

from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image, ImageDraw


def scene(size: tuple[int, int]) -> Image.Image:
    """Make a picture with soft colours and some edges, RGB."""
    width, height = size
    x, y = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    image = Image.fromarray(np.stack([x, y, 255 - x], -1).astype(np.uint8))
    ImageDraw.Draw(image).ellipse((width // 4, height // 4, width // 2, height // 2), "orange")
    return image


def mask(size: tuple[int, int], box: tuple[int, int, int, int], colour: str = "white") -> Image.Image:
    """Make a black picture with a box in it, whose last column and row are outside."""
    image = Image.new("RGB", size)
    image.paste(colour, box)
    return image


def transparent_mask(size: tuple[int, int], box: tuple[int, int, int, int]) -> Image.Image:
    """Make a white picture with a transparent box in it."""
    image = Image.new("RGBA", size, "white")
    image.paste((255, 255, 255, 0), box)
    return image


def encoded(image: Image.Image, pillow_format: str = "PNG", **options: Any) -> bytes:
    """Write a picture."""
    file = BytesIO()
    image.save(file, pillow_format, **options)
    return file.getvalue()
