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


def trimmed(image: Image.Image, asked: Size) -> Image.Image:
    """Cut off what `widened` added to a picture of the shape of `asked`, at whatever scale."""
    width, height = image.size
    target = min(width, round(height * asked[0] / asked[1])), min(height, round(width * asked[1] / asked[0]))
    left, top = (width - target[0]) // 2, (height - target[1]) // 2
    return image.crop((left, top, left + target[0], top + target[1]))
