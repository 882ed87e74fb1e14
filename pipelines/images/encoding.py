"""Decides how a picture that was made from another one is written."""

from pipelines.errors import InvalidInput
from pipelines.images.colour import colour_space
from pipelines.images.formats import PictureFormat
from pipelines.images.reading import Picture
from pipelines.images.writing import Encoding


def check_quality(format_: PictureFormat, quality: int | None) -> None:
    """Raise `InvalidInput` if a quality is given for a format that has none."""
    if quality and not format_.traits.default_quality:
        raise InvalidInput(
            f"{format_} is lossless: leave the quality out, or choose jpg, webp or avif.", "quality"
        )


def encoding_for(
    picture: Picture, format_: PictureFormat, quality: int | None, rgb: bool = False
) -> Encoding:
    """Keep the picture's colour profile where the format can carry it.

    Args:
        picture: the input.
        format_: of the result.
        quality: 1 to 100; None is the format's default.
        rgb: whether the result is RGB, so that a grey picture's profile cannot be kept.

    Raises:
        InvalidInput: a quality for a format that has none.
    """
    check_quality(format_, quality)
    space = colour_space(picture.mode)
    kept = space in format_.traits.profiles and not (rgb and space == "GRAY")
    return Encoding(format_, quality, picture.profile if kept else None)
