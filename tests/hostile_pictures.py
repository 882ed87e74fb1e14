"""Pictures that mean harm, small as files and large when decoded."""

import gzip
import struct
import zlib
from collections.abc import Callable
from functools import cache

_SVG = (
    b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'
)


@cache
def _bomb() -> bytes:
    """A hundred megabytes of zeros."""
    return zlib.compress(bytes(100_000_000), 9)


def png(*chunks: tuple[bytes, bytes], size: tuple[int, int] = (4, 4)) -> bytes:
    """Write a black PNG with further chunks; its pixels are those of 4 x 4, whatever size it claims."""
    header = struct.pack(">IIBBBBB", *size, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(4 * (1 + 3 * 4)))
    whole = ((b"IHDR", header), *chunks, (b"IDAT", pixels), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*each) for each in whole)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _gif(frames: int) -> bytes:
    frame = b"!\xf9\x04\x09\x0a\0\0\0," + struct.pack("<HHHH", 0, 0, 1, 1) + b"\0\x02\x02\x4c\x01\0"
    return b"GIF89a" + struct.pack("<HH", 1, 1) + b"\x80\0\0" + bytes(6) + frame * frames + b";"


def _apng(claimed_frames: int) -> bytes:
    return png((b"acTL", struct.pack(">II", claimed_frames, 0)))


def _tiff(side: int, compression: int = 1, further: tuple[tuple[int, int, int, int], ...] = ()) -> bytes:
    """Write a TIFF whose tags lie: there are no pixels in it."""
    tags = [(256, 4, 1, side), (257, 4, 1, side), (258, 3, 1, 8), (259, 3, 1, compression), (262, 3, 1, 1)]
    tags += [(273, 4, 1, 8), (277, 3, 1, 1), (278, 4, 1, side), (279, 4, 1, 100), *further]
    entries = b"".join(struct.pack("<HHII", *tag) for tag in sorted(tags))
    return b"II*\0" + struct.pack("<I", 208) + bytes(200) + struct.pack("<H", len(tags)) + entries + bytes(4)


def _bmp(side: int) -> bytes:
    info = struct.pack("<IiiHHIIiiII", 40, side, side, 1, 24, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 100, 0, 0, 54) + info


def _jpg(side: int) -> bytes:
    return b"\xff\xd8\xff\xc0" + struct.pack(">HBHHB", 11, 8, side, side, 1) + b"\1\x11\0\xff\xda" + bytes(99)


HOSTILE_PICTURES: dict[str, tuple[Callable[[], bytes], str]] = {
    "zTXt": (lambda: png((b"zTXt", b"c\0\0" + _bomb())), "too large"),
    "iTXt": (lambda: png((b"iTXt", b"c\0\1\0\0\0" + _bomb())), "too large"),
    "iCCP": (lambda: png((b"iCCP", b"c\0\0" + _bomb())), "too large"),
    "many texts": (
        lambda: png(*[(b"zTXt", b"c\0\0" + zlib.compress(bytes(1_000_000)))] * 99),
        "MAX_TEXT_MEMORY",
    ),
    "huge PNG": (lambda: png(size=(60_000, 60_000)), "60000 x 60000"),
    "animated PNG": (lambda: _apng(100_000), "10,000 frames"),
    "GIF": (lambda: _gif(80_000), "10,000 frames"),
    "huge TIFF": (lambda: _tiff(60_000), "60000 x 60000"),
    "TIFF without its pixels": (lambda: _tiff(9_000, 8), "damaged"),
    "TIFF with a tag of 4 GB": (lambda: _tiff(10, 8, ((700, 1, 0xFFFFFFF0, 8),)), "damaged"),
    "huge BMP": (lambda: _bmp(60_000), "60000 x 60000"),
    "huge JPEG": (lambda: _jpg(60_000), "60000 x 60000"),
    "SVG": (lambda: _SVG, "Accepted: jpg, png"),
    "SVGZ": (lambda: gzip.compress(_SVG), "Accepted: jpg, png"),
    "list": (lambda: b"#EXTM3U\nfile:///etc/passwd\n", "Accepted: jpg, png"),
}
"""Name -> (its bytes, words of the refusal)."""
