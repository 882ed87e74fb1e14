"""Opens pictures that strangers sent: the kind, the size and the frames are checked before any decoding."""

import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from PIL import ExifTags, Image, ImageFile

from pipelines.images import gif
from pipelines.images.checks import MAX_FRAMES, Size, check_pixels, decoding
from pipelines.images.colour import eight_bit, usable_profile
from pipelines.images.formats import PictureFormat

# Pillow's own limit is one number for the whole process, and up to its double only a warning;
# `check_pixels` stands before every decoding instead, and before Pillow where opening allocates.
Image.MAX_IMAGE_PIXELS = None

# What it wonders at in strangers' files is no news to the operator, and Python would keep every such text.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")

_READABLE = {each.traits.pillow: each for each in PictureFormat}
_FORMATS = _READABLE | {"MPO": PictureFormat.JPG}  # JPEG's reader gives it for several JPEGs in one file

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation -> how the pixels must be turned to be seen upright."""

_DRAFT_GAP = 1.5
"""JPEGs are decoded at 1/2, 1/4 or 1/8 while that stays so many times above the wanted size.

Measured against decoding in full: 44 to 55 dB PSNR, which nobody sees, and 2.3 x as fast for
12 megapixels to 1024."""


@dataclass(frozen=True)
class Frame:
    """One frame of a picture, as it is to be seen."""

    image: Image.Image
    """L, LA, RGB, RGBA, CMYK or LAB; without metadata, and not shared with the file's decoder."""
    duration_ms: float


class Picture:
    """A picture file that has passed the checks; nothing is decoded until a frame is asked for."""

    def __init__(self, image: ImageFile.ImageFile, field: str, frames: range) -> None:
        """Take the facts of the header; use `open_image`."""
        self.field = field
        self.format = _FORMATS[image.format or ""]
        self.mode = image.mode
        """Pillow's name for the stored pixels."""
        self.profile = usable_profile(image.info.get("icc_profile"), image.mode)
        """The ICC profile of the frames; None where there is none that fits them."""
        self.plays = _plays(image)
        """How often an animation runs; 0 is for ever."""
        self._image = image
        self._frames = frames
        self._stored_size = image.size
        self._orientation = _orientation(image)

    @property
    def size(self) -> Size:
        """Width and height as the picture is to be seen."""
        return self._turned(self._stored_size)

    @property
    def frame_count(self) -> int:
        """1 for a still picture."""
        return len(self._frames)

    @property
    def first_frame_notes(self) -> list[str]:
        """Sentences for people on what the first frame leaves out."""
        return [f"The {self.field} is animated; its first frame was used."] if self.frame_count > 1 else []

    def frame(self, index: int = 0, size: Size | None = None) -> Frame:
        """Decode one frame, in display orientation, scaled to `size` where it is given.

        Ask in ascending order: going back means decoding again from the start.
        """
        stored_size = self._turned(size) if size else self._stored_size
        with decoding(self.field):
            self._image.seek(self._frames[index])
            draft = self._image.draft(None, _with_gap(stored_size)) if size else None
            self._image.load()
            duration_ms = float(self._image.info.get("duration") or 0)
            frame = eight_bit(self._image, self.field)
        if size:
            # Outside the draft's box lies what fills up JPEG's last blocks.
            frame = frame.resize(stored_size, Image.Resampling.LANCZOS, box=draft[1] if draft else None)
        else:
            frame = frame.crop((0, 0, *stored_size))  # later frames of a GIF may enlarge its canvas
        if (turn := _TURNS.get(self._orientation)) is not None:
            frame = frame.transpose(turn)
        frame.info.clear()
        # Browsers show frames of 10 ms or less for 100 ms: that is what their authors saw.
        return Frame(frame, duration_ms if duration_ms > 10 else 100.0)

    def _turned(self, size: Size) -> Size:
        return (size[1], size[0]) if self._orientation >= 5 else size


@contextmanager
def open_image(path: Path, field: str, max_pixels: int) -> Iterator[Picture]:
    """Open a picture file for the block.

    Args:
        path: the file.
        field: the request's field that it came in, for errors.
        max_pixels: width x height x frames that it may have at most.

    Raises:
        UnsupportedMedia: it is no picture of a known kind, or damaged.
        InputTooLarge: it has more pixels; finding out takes milliseconds.
    """
    with path.open("rb") as file:
        yield _opened(file, field, max_pixels)


def check_image(data: bytes | bytearray, field: str, max_pixels: int) -> None:
    """Raise what `open_image` would for a file of these bytes, which somebody else is going to decode."""
    _opened(BytesIO(data), field, max_pixels)


def _opened(file: BinaryIO, field: str, max_pixels: int) -> Picture:
    gif_frames = _check_gif(file, field, max_pixels)
    with decoding(field):
        # As an open file, because Pillow maps a path into memory, where a file that shrinks is a crash.
        image = Image.open(file, formats=list(_READABLE))
        frames = range(gif_frames) if gif_frames else _frames(image)
    check_pixels(image.size, len(frames), max_pixels, field)
    with decoding(field):
        return Picture(image, field, frames)


def _check_gif(file: BinaryIO, field: str, max_pixels: int) -> int:
    """Give the number of frames of a GIF within the limit; 0 for other files."""
    if file.read(len(gif.SIGNATURE)) != gif.SIGNATURE:
        return 0
    with decoding(field):
        extent = gif.measure(file, MAX_FRAMES)
    check_pixels((extent.width, extent.height), extent.frames, max_pixels, field)
    return extent.frames


def _frames(image: ImageFile.ImageFile) -> range:
    """Give the numbers of the frames; the pages of a TIFF or MPO are no animation."""
    if image.format not in ("PNG", "WEBP", "AVIF"):
        return range(1)
    count = int(getattr(image, "n_frames", 1))
    # A PNG may carry another picture, before its animation, for viewers that cannot animate.
    return range(int(count > 1 and bool(image.info.get("default_image"))), count)


def _plays(image: ImageFile.ImageFile) -> int:
    loops = image.info.get("loop")
    if image.format == "GIF":  # it counts the repetitions
        return 1 if loops is None else loops and int(loops) + 1
    return int(loops or 0)


def _orientation(image: ImageFile.ImageFile) -> int:
    if image.format == "TIFF":  # Pillow applies and forgets it while it decodes
        return 1
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except (SyntaxError, ValueError, TypeError, struct.error):  # bad metadata: the pixels are still fine
        return 1


def _with_gap(size: Size) -> Size:
    return int(size[0] * _DRAFT_GAP), int(size[1] * _DRAFT_GAP)
