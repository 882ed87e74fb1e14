"""Encodes pictures. Of a picture's own metadata only the ICC profile is kept: no place and no owner."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO

from PIL import ExifTags, Image
from PIL.PngImagePlugin import PngInfo

from pipelines.errors import InvalidInput
from pipelines.images.animation import FrameSequence
from pipelines.images.checks import Size
from pipelines.images.formats import PictureFormat
from pipelines.images.reading import Frame

PNG_COMPRESS_LEVEL = 4
"""A photo of 1024 x 768 takes 0.10 s and 1.14 MB; level 6: 0.28 s, 1.13 MB; level 1: 0.06 s, 1.24 MB."""

LOSSLESS_EFFORT = 40
"""Of webp, 0 to 100; larger takes longer and hardly saves."""

# GIF's numbers: the palette's index for holes, what counts as none, and how a viewer leaves a frame.
_TRANSPARENT = 255
_OPAQUE_ALPHA = 128
_KEEP, _RESTORE_BACKGROUND = 1, 2

_MOST_PLAYS = 65_535
"""All formats can count as far."""


@dataclass(frozen=True)
class Encoding:
    """How a picture is written."""

    format: PictureFormat
    quality: int | None = None
    """1 to 100; None is the format's default."""
    profile: bytes | None = None
    """The ICC profile of the pixels; None means sRGB or plain grey, and embeds nothing."""
    parameters: str | None = None
    """How a drawn picture was made; stands where the tools of the field look for it."""

    lossless: bool = False
    """Write every pixel as it is, where the format can; the file is larger."""

    def check_size(self, size: Size, field: str) -> None:
        """Raise `InvalidInput` if a picture of this size does not fit into the format."""
        limit = self.format.traits.max_side
        if max(size) > limit:
            raise InvalidInput(
                f"{self.format} holds at most {limit:,} pixels per side; this is {size[0]} x {size[1]}."
                " Choose another output_format or scale it down.",
                field,
            )

    def options(self) -> dict[str, Any]:
        """Give the arguments for Pillow's writer."""
        traits = self.format.traits
        options: dict[str, Any] = {"format": traits.pillow}
        if traits.default_quality:
            options["quality"] = self.quality or traits.default_quality
        if self.profile:
            options["icc_profile"] = self.profile
        if self.parameters:
            options |= _metadata(self.format, self.parameters)
        if self.lossless and self.format is PictureFormat.WEBP:
            options |= {"lossless": True, "quality": LOSSLESS_EFFORT}
        return options | _OPTIONS.get(self.format, {})


def _metadata(format_: PictureFormat, parameters: str) -> dict[str, Any]:
    """A PNG's text "parameters", or the EXIF comment: AUTOMATIC1111's places, which others read too."""
    if format_ is PictureFormat.PNG:
        info = PngInfo()
        info.add_text("parameters", parameters)
        return {"pnginfo": info}
    exif = Image.Exif()
    comment = b"UNICODE\x00" + parameters.encode("utf-16-be")
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment] = comment
    return {"exif": exif.tobytes()}


_OPTIONS: dict[PictureFormat, dict[str, Any]] = {
    PictureFormat.PNG: {"compress_level": PNG_COMPRESS_LEVEL},
    PictureFormat.TIFF: {"compression": "tiff_adobe_deflate"},
    # For animations: without these lossy frames smear, and take twice the space.
    PictureFormat.WEBP: {"method": 4, "allow_mixed": True},
    # One run may not take the cores of the others.
    PictureFormat.AVIF: {"max_threads": 1},
}


def write_still(image: Image.Image, file: BinaryIO, encoding: Encoding) -> None:
    """Write one picture (L, LA, RGB or RGBA)."""
    _fitted(image, encoding.format).save(file, **encoding.options())


def write_animation(
    frame: Callable[[int], Frame], count: int, plays: int, file: BinaryIO, encoding: Encoding
) -> None:
    """Write an animation; its frames are asked for one by one, for some formats twice.

    Args:
        frame: gives the frame of a number, all of one size and mode.
        count: how many there are.
        plays: how often it runs; 0 is for ever.
        file: writable and seekable.
        encoding: its format must be one that animates.

    Raises:
        InvalidInput: a frame, or several equal ones in a row, are shown for longer than the format can say.
    """
    write = _write_gif if encoding.format is PictureFormat.GIF else _write_frames
    try:
        write(frame, count, min(plays, _MOST_PLAYS), file, encoding)
    except (ValueError, OverflowError) as error:
        raise InvalidInput(
            f"{encoding.format} cannot say for how long a frame of this animation is shown."
            " Choose another output_format.",
            "output_format",
        ) from error


def _write_frames(
    frame: Callable[[int], Frame], count: int, plays: int, file: BinaryIO, encoding: Encoding
) -> None:
    def fitted(index: int) -> Frame:
        made = frame(index)
        return Frame(_fitted(made.image, encoding.format), made.duration_ms)

    frames = FrameSequence(fitted, count, unit_ms=1)
    frames.save(file, save_all=True, duration=frames.durations_ms, loop=plays, **encoding.options())


def _write_gif(
    frame: Callable[[int], Frame], count: int, plays: int, file: BinaryIO, _encoding: Encoding
) -> None:
    """With holes, every frame is wiped before the next: what it shows would shine through them.

    Looking for them first keeps the others small: only what changes is written of their frames.
    """
    holes = any(_has_holes(frame(index).image) for index in range(count))

    def indexed(index: int) -> Frame:
        made = frame(index)
        return Frame(_indexed(made.image, holes), made.duration_ms)

    frames = FrameSequence(indexed, count, unit_ms=10)
    frames.save(
        file,
        "GIF",
        save_all=True,
        duration=frames.durations_ms,
        loop=(plays and plays - 1) if plays != 1 else None,  # GIF counts the repetitions
        disposal=_RESTORE_BACKGROUND if holes else _KEEP,
        # Optimised, a first frame without holes would not say which colour is the transparent one.
        optimize=not holes,
    )


def _fitted(image: Image.Image, format_: PictureFormat) -> Image.Image:
    """Bring the pixels into a mode that the format holds."""
    if format_ is PictureFormat.GIF:
        return _indexed(image, _has_holes(image))
    if not image.has_transparency_data:
        return image
    if not format_.traits.alpha:
        return _on_white(image)
    return image.convert("RGBA") if format_ in (PictureFormat.WEBP, PictureFormat.AVIF) else image


def _on_white(image: Image.Image) -> Image.Image:
    alpha = image.getchannel("A")
    opaque = image.convert({"LA": "L", "RGBA": "RGB"}[image.mode])
    background = Image.new(opaque.mode, image.size, "white")
    background.paste(opaque, mask=alpha)
    return background


def _has_holes(image: Image.Image) -> bool:
    return image.has_transparency_data and _holes(image).getbbox() is not None


def _holes(image: Image.Image) -> Image.Image:
    """Give a mask of what is more transparent than not."""
    return image.convert("RGBA").getchannel("A").point(lambda alpha: 255 * (alpha < _OPAQUE_ALPHA))


def _indexed(image: Image.Image, holes: bool) -> Image.Image:
    """Choose up to 256 colours, with holes one of them for these."""
    if image.mode == "L":
        return image
    colours = image.convert("RGB")
    if not holes:
        return colours.quantize(256, Image.Quantize.MEDIANCUT)
    indexed = colours.quantize(_TRANSPARENT, Image.Quantize.MEDIANCUT)
    palette = indexed.getpalette() or []
    indexed.putpalette(palette + [0] * (3 * (_TRANSPARENT + 1) - len(palette)))
    indexed.paste(_TRANSPARENT, mask=_holes(image))
    indexed.info["transparency"] = _TRANSPARENT
    return indexed
