"""Colours: any mode that Pillow decodes becomes 8-bit pixels whose colour space is known."""

import math
from io import BytesIO

from PIL import Image, ImageCms

from pipelines.errors import UnsupportedMedia

_GREY_MODES = ("1", "L", "LA", "La", "F")


def colour_space(mode: str) -> str:
    """Name the ICC colour space of a Pillow mode's pixels, after `eight_bit`."""
    if mode in _GREY_MODES or mode.startswith("I"):
        return "GRAY"
    return {"CMYK": "CMYK", "LAB": "Lab "}.get(mode, "RGB ")


def usable_profile(profile: bytes | None, mode: str) -> bytes | None:
    """Give the ICC profile back if it can be read and is meant for pixels of this mode, else None."""
    if not profile:
        return None
    try:
        space = ImageCms.ImageCmsProfile(BytesIO(profile)).profile.xcolor_space
    except (OSError, ImageCms.PyCMSError):
        return None
    return profile if space == colour_space(mode) else None


def eight_bit(image: Image.Image, field: str) -> Image.Image:
    """Give the picture as L, LA, RGB, RGBA, CMYK or LAB; may be the same object."""
    mode, transparent = image.mode, image.has_transparency_data
    if mode.startswith("I") or mode == "F":
        return _narrow(image, field)
    if mode in ("1", "L"):
        return image.convert("RGBA").convert("LA") if transparent else image.convert("L")
    if mode in ("LA", "RGBA", "CMYK", "LAB") or (mode == "RGB" and not transparent):
        return image  # Pillow would copy all pixels
    return image.convert("RGBA" if transparent else "RGB")


def _narrow(image: Image.Image, field: str) -> Image.Image:
    """Map wide grey values to 0..255, where Pillow's own conversion clips them."""
    if image.mode.startswith("I;16"):
        low, high = 0.0, 65535.0
    else:
        low, high = _value_range(image, field)
    scale = 255.0 / (high - low)
    offset = 0.5 - low * scale
    wide = image if image.mode == "F" else image.convert("I")
    return wide.point(lambda value: value * scale + offset).convert("L")


def _value_range(image: Image.Image, field: str) -> tuple[float, float]:
    low, high = (float(value) for value in image.getextrema()[:2])  # type: ignore[arg-type]
    if not math.isfinite(low + high):
        raise UnsupportedMedia(f"The {field} has pixels that are not finite numbers.", field)
    for white in (1.0, 255.0, 65535.0):
        if low >= 0 and high <= white and (white > 1 or image.mode == "F"):
            return 0.0, white
    return low, max(high, low + 1)


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Convert an `eight_bit` picture from its profile to sRGB; without a profile only CMYK and LAB change."""
    space = colour_space(image.mode)
    if space == "Lab ":
        return _convert(image, ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")), _srgb())
    if profile is None:
        return image.convert("RGB") if space == "CMYK" else image
    return convert_profile(image, profile, None)


def convert_profile(image: Image.Image, source: bytes | None, target: bytes | None) -> Image.Image:
    """Convert the colours from one profile to another RGB profile; None stands for sRGB."""
    return image if source == target else _convert(image, _parsed(source), _parsed(target))


def with_rgb(image: Image.Image) -> Image.Image:
    """Widen grey pixels to RGB; alpha stays. May be the same object."""
    wide = {"L": "RGB", "LA": "RGBA"}.get(image.mode)
    return image.convert(wide) if wide else image


def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


def _parsed(profile: bytes | None) -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(BytesIO(profile)) if profile else _srgb()


def _convert(
    image: Image.Image, source: ImageCms.ImageCmsProfile, target: ImageCms.ImageCmsProfile
) -> Image.Image:
    alpha = image.getchannel("A") if image.mode in ("LA", "RGBA") else None
    opaque = image.convert({"LA": "L", "RGBA": "RGB"}.get(image.mode, image.mode))
    try:
        converted = ImageCms.profileToProfile(
            opaque,
            source,
            target,
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            outputMode="RGB",
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except ImageCms.PyCMSError:
        # The header was right but its tables are not: the colours without it are the best guess.
        converted = opaque.convert("RGB")
    assert converted is not None
    if alpha:
        converted.putalpha(alpha)
    return converted
