"""What a picture must pass before it is decoded, and what its failure to decode means."""

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeAlias

from PIL import UnidentifiedImageError

from pipelines.errors import InputTooLarge, UnsupportedMedia
from pipelines.images.formats import PictureFormat

Size: TypeAlias = tuple[int, int]
"""Width and height in pixels."""

MAX_FRAMES = 10_000
"""7 minutes of film; without it a file of tiny frames could stay under the limit of pixels for hours."""

# What Pillow raises on damaged files, found by feeding it such files: lookup, type and assertion
# errors come from tables that a file promises and does not have, RuntimeError from the AVIF decoder.
_DAMAGED = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
    OverflowError,
    MemoryError,
    RuntimeError,
    struct.error,
    zlib.error,
)


def check_pixels(size: Size, frames: int, max_pixels: int, field: str, what: str = "") -> None:
    """Raise `InputTooLarge` if that many frames of that size are over the limit.

    Args:
        size: of one frame.
        frames: how many there are.
        max_pixels: width x height x frames that there may be.
        field: the request's field that the error is about.
        what: the thing that is too large, where it is not the field itself.
    """
    what = what or field
    if frames > MAX_FRAMES:
        raise InputTooLarge(f"The {what} has more than {MAX_FRAMES:,} frames, which is the limit.", field)
    pixels = size[0] * size[1] * frames
    if pixels > max_pixels:
        shape = f"{size[0]} x {size[1]} pixels" + (f" x {frames} frames" if frames > 1 else "")
        raise InputTooLarge(
            f"The {what} is {shape} = {pixels:,} pixels; the limit is {max_pixels:,} (limits.image_pixels).",
            field,
        )


@contextmanager
def decoding(field: str) -> Iterator[None]:
    """Turn what Pillow raises inside the block into `UnsupportedMedia`."""
    try:
        yield
    except UnidentifiedImageError as error:
        kinds = ", ".join(PictureFormat)
        raise UnsupportedMedia(
            f"The {field} is not a picture of a kind that is read here. Accepted: {kinds}.", field
        ) from error
    except _DAMAGED as error:
        raise UnsupportedMedia(
            f"The {field} is damaged or incomplete ({error}). Send the whole file.", field
        ) from error
