"""Bringing pictures to another shape without distorting them."""

from PIL import Image

from pipelines.images.checks import Size


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


def unwidened(image: Image.Image, asked: Size) -> Image.Image:
    """Undo `widened` in a picture that may have been scaled since: cut off what it added, and scale back.

    Args:
        image: of the shape that a picture of the size `asked` was widened to.
        asked: width and height in pixels.
    """
    width, height = asked
    wide = max(width, round(height * image.width / image.height))
    high = max(height, round(width * image.height / image.width))
    left, top = (wide - width) // 2, (high - height) // 2
    across, down = image.width / wide, image.height / high
    box = (left * across, top * down, (left + width) * across, (top + height) * down)
    return image.resize(asked, Image.Resampling.LANCZOS, box=box)
