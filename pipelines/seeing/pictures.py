"""Pictures as models see them: the first frame, upright, in sRGB, without holes, no larger than needed."""

from PIL import Image, ImageStat

from pipelines.images import Picture
from pipelines.images.colour import to_srgb, with_rgb

_LIGHT = 200
"""Mean brightness, 0 to 255, from which on what is to be seen would vanish on white."""


def as_seen(picture: Picture, max_side: int) -> Image.Image:
    """Decode the picture as RGB, its longer side `max_side` pixels at most.

    Raises:
        UnsupportedMedia: it is damaged.
    """
    scale = max_side / max(picture.size)
    width, height = (max(1, round(side * scale)) for side in picture.size)
    frame = picture.frame(0, (width, height) if scale < 1 else None)
    return _without_holes(with_rgb(to_srgb(frame.image, picture.profile)))


def _without_holes(image: Image.Image) -> Image.Image:
    """Put what is transparent on white; on black if the rest is light: logos and signatures often are."""
    if image.mode != "RGBA":
        return image
    alpha = image.getchannel("A")
    brightness = ImageStat.Stat(image.convert("L"), alpha).mean[0]
    background = Image.new("RGB", image.size, "black" if brightness > _LIGHT else "white")
    background.paste(image.convert("RGB"), mask=alpha)
    return background
