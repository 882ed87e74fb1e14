"""A watermark in its final size and opacity, and where it lies."""

from enum import StrEnum

from PIL import Image

from pipelines.images import Picture, Size, colour

MARGIN = 10
"""Pixels between the watermark and the edges; less on pictures too small for it."""


class WatermarkPosition(StrEnum):
    """Where the watermark lies, as AI Server spells it."""

    TOP_LEFT = "TopLeft"
    TOP_RIGHT = "TopRight"
    BOTTOM_LEFT = "BottomLeft"
    BOTTOM_RIGHT = "BottomRight"
    CENTER = "Center"


def stamp_of(
    mark: Picture, canvas: Size, factor: float, opacity: float, profile: bytes | None = None
) -> Image.Image:
    """Give the watermark as RGBA.

    Args:
        mark: the watermark.
        canvas: size of what it goes onto; it shrinks if it would not fit inside the margin.
        factor: of its own size.
        opacity: 0 is invisible; the watermark's own transparency counts as well.
        profile: ICC profile of the canvas; None is sRGB.
    """
    room = 2 * _margin(canvas)
    width, height = mark.size
    factor = min(factor, (canvas[0] - room) / width, (canvas[1] - room) / height)
    size = max(1, round(width * factor)), max(1, round(height * factor))
    image = mark.frame(size=size if size != mark.size else None).image
    image = colour.with_rgb(colour.to_srgb(image, mark.profile))
    stamp = colour.convert_profile(image, None, profile).convert("RGBA")
    stamp.putalpha(stamp.getchannel("A").point(lambda alpha: round(alpha * opacity)))
    return stamp


def place_of(position: WatermarkPosition, canvas: Size, stamp: Size) -> Size:
    """Give the watermark's upper left corner."""
    margin = _margin(canvas)
    left, top = margin, margin
    right, bottom = canvas[0] - stamp[0] - margin, canvas[1] - stamp[1] - margin
    return {
        WatermarkPosition.TOP_LEFT: (left, top),
        WatermarkPosition.TOP_RIGHT: (right, top),
        WatermarkPosition.BOTTOM_LEFT: (left, bottom),
        WatermarkPosition.BOTTOM_RIGHT: (right, bottom),
        WatermarkPosition.CENTER: ((canvas[0] - stamp[0]) // 2, (canvas[1] - stamp[1]) // 2),
    }[position]


def _margin(size: Size) -> int:
    return min(MARGIN, (min(size) - 1) // 2)
