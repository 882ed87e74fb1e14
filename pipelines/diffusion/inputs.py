"""Pictures and masks that a request brings."""

from pathlib import Path

from PIL import Image

from pipelines.errors import InvalidInput
from pipelines.images import colour, open_image
from pipelines.tasks.image_with_mask import MaskChannel

_OPAQUE = 255
_WHITE = 128
"""diffusers repaints where a mask is at least half white."""


def read_picture(path: Path, max_pixels: int) -> tuple[Image.Image, list[str]]:
    """Give a picture as RGB in display orientation, and what was left out of it.

    Raises:
        UnsupportedMedia: it is no picture, or damaged.
        InputTooLarge: it has more pixels than that.
    """
    with open_image(path, "image", max_pixels) as picture:
        notes = picture.first_frame_notes
        image = colour.with_rgb(colour.to_srgb(picture.frame().image, picture.profile))
    if image.mode == "RGBA":
        if image.getchannel("A").getextrema()[0] != _OPAQUE:
            notes.append("The image is partly transparent; it was put on white.")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image.convert("RGB"), notes


def read_mask(
    path: Path, channel: MaskChannel, size: tuple[int, int], max_pixels: int
) -> tuple[Image.Image, list[str]]:
    """Give a mask as grey picture of that size, white where to repaint, and what was changed about it.

    Raises:
        InvalidInput: it asks for nothing to be repainted.
        UnsupportedMedia: it is no picture, or damaged.
    """
    with open_image(path, "mask", max_pixels) as picture:
        image, notes = picture.frame().image, picture.first_frame_notes
    mask = _transparent(image) if channel is MaskChannel.ALPHA else _red(image)
    if mask.size != size:
        notes.append(f"The mask was resized from {_text(mask.size)} to {_text(size)}, the image's size.")
        mask = mask.resize(size, Image.Resampling.BILINEAR)
    if not mask.point(lambda value: 255 * (value >= _WHITE)).getbbox():
        what = "transparent" if channel is MaskChannel.ALPHA else "white or red"
        raise InvalidInput(f"The mask asks for nothing: make {what} what shall be repainted.", "mask")
    return mask, notes


def in_cells(mask: Image.Image, size: tuple[int, int], cell: int) -> Image.Image:
    """Give a mask in another size, black and white: each cell of the latents that it touches is repainted.

    diffusers itself looks at one pixel of each cell, which loses thin strokes.

    Args:
        mask: grey, white where to repaint.
        size: width and height in pixels; multiples of `cell`.
        cell: side of what one latent stands for, in pixels.
    """
    binary = mask.point(lambda value: 255 * (value >= _WHITE))
    share = binary.resize((size[0] // cell, size[1] // cell), Image.Resampling.BOX)
    return share.point(lambda value: 255 * (value > 0)).resize(size, Image.Resampling.NEAREST)


def _red(image: Image.Image) -> Image.Image:
    return colour.to_srgb(colour.with_rgb(image), None).getchannel("R")


def _transparent(image: Image.Image) -> Image.Image:
    if "A" not in image.getbands():
        raise InvalidInput("The mask has no transparency: make transparent what shall be repainted.", "mask")
    return image.getchannel("A").point(lambda alpha: 255 - alpha)


def _text(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"
