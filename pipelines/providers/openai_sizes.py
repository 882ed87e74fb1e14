"""The sizes at which the models of OpenAI draw."""

from math import ceil, floor

from pipelines.images import Size
from pipelines.providers.base import fits
from pipelines.providers.openai_wire import OpenAiOptions

_LONGEST = 2.9
"""Times the other side; OpenAI's limit of 3 leaves room for rounding."""


def drawn_size(asked: Size, model: str, options: OpenAiOptions) -> Size:
    """Choose the size to draw: of the fixed ones that with the nearest shape, else the nearest allowed."""
    for pattern, listed in options.image_sizes.items():
        if fits(model, (pattern,)):
            return nearest(asked, [_size(text) for text in listed])
    return _allowed(asked, options)


def nearest(asked: Size, sizes: list[Size]) -> Size:
    """Choose the size with the nearest shape, of several the one with the nearest area."""
    shape, area = asked[0] / asked[1], asked[0] * asked[1]
    return min(sizes, key=lambda size: (_ratio(size[0] / size[1], shape), _ratio(size[0] * size[1], area)))


def _allowed(asked: Size, options: OpenAiOptions) -> Size:
    multiple, (fewest, most) = options.image_side_multiple, options.image_pixels
    width, height = max(asked[0], asked[1] / _LONGEST), max(asked[1], asked[0] / _LONGEST)
    area = width * height
    factor = (min(max(area, fewest), most) / area) ** 0.5
    whole = floor if factor < 1 else ceil
    return (whole(width * factor / multiple) * multiple, whole(height * factor / multiple) * multiple)


def _ratio(one: float, other: float) -> float:
    return max(one / other, other / one)


def _size(text: str) -> Size:
    width, _, height = text.partition("x")
    return int(width), int(height)
