"""The picture formats, and what each of them can hold."""

from dataclasses import dataclass
from enum import StrEnum


class PictureFormat(StrEnum):
    """A format that pictures are read from and written to; `jpeg` and `tif` are understood too."""

    JPG = "jpg"
    PNG = "png"
    GIF = "gif"
    BMP = "bmp"
    TIFF = "tiff"
    WEBP = "webp"
    AVIF = "avif"

    @classmethod
    def _missing_(cls, value: object) -> "PictureFormat | None":
        if not isinstance(value, str):
            return None
        name = {"jpeg": "jpg", "tif": "tiff"}.get(value.lower(), value.lower())
        return next((member for member in cls if member.value == name), None)

    @property
    def extension(self) -> str:
        """The file name's ending, without a dot."""
        return self.value

    @property
    def traits(self) -> "Traits":
        """What the format can hold."""
        return _TRAITS[self]


@dataclass(frozen=True)
class Traits:
    """What a format can hold."""

    pillow: str
    """Pillow's name for it."""
    max_side: int
    """Pixels."""
    animates: bool = False
    alpha: bool = True
    profiles: tuple[str, ...] = ()
    """ICC colour spaces whose profiles it can carry."""
    default_quality: int | None = None
    """1 to 100; None where the format is lossless."""


_RGB, _GRAY = "RGB ", "GRAY"

_TRAITS = {
    PictureFormat.JPG: Traits("JPEG", 65_500, alpha=False, profiles=(_RGB, _GRAY), default_quality=85),
    PictureFormat.PNG: Traits("PNG", 2**31 - 1, animates=True, profiles=(_RGB, _GRAY)),
    PictureFormat.GIF: Traits("GIF", 65_535, animates=True),
    PictureFormat.BMP: Traits("BMP", 2**31 - 1, alpha=False),
    PictureFormat.TIFF: Traits("TIFF", 2**31 - 1, profiles=(_RGB, _GRAY)),
    # These two hold no grey pixels that a grey profile could describe: Pillow widens them to RGB.
    PictureFormat.WEBP: Traits("WEBP", 16_383, animates=True, profiles=(_RGB,), default_quality=80),
    PictureFormat.AVIF: Traits("AVIF", 32_768, animates=True, profiles=(_RGB,), default_quality=75),
}
