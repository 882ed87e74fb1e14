"""Which size a checkpoint draws when another is asked for, and how its picture becomes the asked one."""

from PIL import Image

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


def widened(image: Image.Image, asked: Size) -> Image.Image:
    """Bring a picture to the shape of `asked` by repeating its outermost pixels; nothing is cut off."""
    width, height = image.size
    target = max(width, round(height * asked[0] / asked[1])), max(height, round(width * asked[1] / asked[0]))
    if target == image.size:
        return image
    left, top = (target[0] - width) // 2, (target[1] - height) // 2
    canvas = Image.new(image.mode, target)
    canvas.paste(image, (left, top))
    if left:
        canvas.paste(image.crop((0, 0, 1, height)).resize((left, height)), (0, 0))
        right = target[0] - left - width
        canvas.paste(image.crop((width - 1, 0, width, height)).resize((right, height)), (left + width, 0))
    if top:
        bottom = target[1] - top - height
        canvas.paste(image.crop((0, 0, width, 1)).resize((width, top)), (0, 0))
        canvas.paste(image.crop((0, height - 1, width, height)).resize((width, bottom)), (0, top + height))
    return canvas
