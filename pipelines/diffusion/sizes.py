"""Which size a checkpoint draws when another is asked for."""

from pipelines.diffusion.options import DiffusionOptions
from pipelines.images import Size


def drawable(asked: Size, options: DiffusionOptions, multiple: int) -> Size:
    """Give the nearest size that the checkpoint draws.

    Args:
        asked: width and height in pixels.
        options: the sizes or bounds of the checkpoint.
        multiple: what both sides must be a multiple of.
    """
    width, height = asked
    if options.sizes:
        shape, area = width / height, width * height
        return min(
            options.sizes,
            key=lambda size: (_ratio(size[0] / size[1], shape), _ratio(size[0] * size[1], area)),
        )
    pixels = min(max(width * height, options.min_pixels), options.max_pixels)
    factor = (pixels / (width * height)) ** 0.5
    longest = options.max_pixels // multiple  # where the other side is as short as it can be
    return _rounded(width * factor, multiple, longest), _rounded(height * factor, multiple, longest)


def _rounded(side: float, multiple: int, longest: int) -> int:
    return max(multiple, round(min(side, longest) / multiple) * multiple)


def _ratio(one: float, other: float) -> float:
    return max(one / other, other / one)
