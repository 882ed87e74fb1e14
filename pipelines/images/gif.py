"""Measures a GIF without decoding it.

Pillow finds a GIF's frames one by one, lets each of them enlarge the canvas, and allocates that
canvas before anybody can object; so the blocks are walked here first.
https://www.w3.org/Graphics/GIF/spec-gif89a.txt
"""

from dataclasses import dataclass
from typing import BinaryIO

SIGNATURE = b"GIF8"
_EXTENSION, _IMAGE, _END = b"!", b",", b";"
_COMMENT, _APPLICATION = b"\xfe", b"\xff"
_MAX_STRAY_BYTES = 1024


@dataclass
class GifExtent:
    """How big a GIF is."""

    width: int
    height: int
    """The canvas, enlarged so that every frame fits."""
    frames: int = 0

    def add_frame(self, descriptor: bytes) -> None:
        """Count a frame in: left, top, width and height, two bytes each."""
        self.frames += 1
        self.width = max(self.width, _uint16(descriptor, 0) + _uint16(descriptor, 4))
        self.height = max(self.height, _uint16(descriptor, 2) + _uint16(descriptor, 6))


def measure(file: BinaryIO, max_frames: int) -> GifExtent:
    """Walk the blocks from the start of the file; stops one frame above `max_frames`.

    A file that ends too early is measured up to there: the decoder says what is wrong with it.

    Raises:
        ValueError: there is something else than blocks in it.
    """
    file.seek(0)
    header = file.read(13).ljust(13, b"\0")
    extent = GifExtent(_uint16(header, 6), _uint16(header, 8))
    _skip_palette(file, header[10])
    stray_bytes = 0
    while extent.frames <= max_frames and (kind := file.read(1)) not in (b"", _END):
        if kind == _EXTENSION:
            _skip_extension(file, first=extent.frames == 0)
        elif kind == _IMAGE:
            descriptor = file.read(9).ljust(9, b"\0")
            extent.add_frame(descriptor)
            _skip_palette(file, descriptor[8])
            file.seek(1, 1)  # the code size
            _skip_data(file)
        else:  # decoders skip such bytes, so some encoders leave them
            stray_bytes += 1
            if stray_bytes > _MAX_STRAY_BYTES:
                raise ValueError("it is not made of GIF blocks")
    return extent


def _uint16(data: bytes, offset: int) -> int:
    return int.from_bytes(data[offset : offset + 2], "little")


def _skip_palette(file: BinaryIO, flags: int) -> None:
    if flags & 0x80:
        file.seek(3 << (flags & 7) + 1, 1)


def _skip_extension(file: BinaryIO, first: bool) -> None:
    """Skip exactly what Pillow skips; else a file could show the two of them different frames."""
    label = file.read(1)
    if label != _COMMENT:
        name = _part(file)
        if label == _APPLICATION and first and name.startswith(b"NETSCAPE2.0"):
            _part(file)
    _skip_data(file)


def _skip_data(file: BinaryIO) -> None:
    while _part(file):
        pass


def _part(file: BinaryIO) -> bytes:
    size = file.read(1)
    return file.read(size[0]) if size else b""
