"""Files of sound and video that mean harm."""

import struct
import subprocess
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from pipelines.media.ffmpeg import binary
from pipelines.tasks.base import MediaLimits
from tests.deployments.stored import film

_TONE = ("-f", "lavfi", "-i", "sine=d=1")
_EBML = b"\x1a\x45\xdf\xa3"


@cache
def encoded(extension: str, *arguments: str) -> bytes:
    """Make a file with ffmpeg; the first input may be the test film."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"made.{extension}"
        command = [binary(MediaLimits()), "-v", "error", "-nostdin", *arguments, "-threads", "1", str(path)]
        subprocess.run(command, input=film(), check=True)
        return path.read_bytes()


def _patched(data: bytes, mark: bytes, offset: int, value: bytes) -> bytes:
    """Overwrite what stands behind a mark."""
    place = data.index(mark) + len(mark) + offset
    return data[:place] + value + data[place + len(value) :]


def _element(kind: bytes, content: bytes) -> bytes:
    return kind + struct.pack(">Q", len(content) | 1 << 56) + content


def _nested(kinds: tuple[bytes, ...], depth: int, before: tuple[bytes, ...]) -> bytes:
    """Put elements of Matroska into each other."""
    content = b""
    for level in range(depth):
        content = _element(kinds[level % len(kinds)], content)
    for kind in before:
        content = _element(kind, content)
    return _element(_EBML, _element(b"\x42\x82", b"matroska")) + content


def _nested_boxes(depth: int) -> bytes:
    content = b""
    for _ in range(depth):
        content = struct.pack(">I", len(content) + 8) + b"moov" + content
    return struct.pack(">I", 16) + b"ftypisom\0\0\0\0" + content


def _compressed_index() -> bytes:
    """QuickTime's ``cmov``: an index that is 100 MB when it is unpacked."""
    packed = zlib.compress(bytes(100_000_000), 9)
    inner = struct.pack(">I", 12) + b"dcomzlib" + struct.pack(">I", 12 + len(packed))
    inner += b"cmvd" + struct.pack(">I", 0x7FFF_FFFF) + packed
    outer = struct.pack(">I", 8 + len(inner)) + b"cmov" + inner
    return struct.pack(">I", 16) + b"ftypqt  \0\0\0\0" + struct.pack(">I", 8 + len(outer)) + b"moov" + outer


def _lying_wav(size_bytes: int) -> bytes:
    return _patched(encoded("wav", *_TONE), b"data", 0, struct.pack("<I", size_bytes))


def _frames_lie() -> bytes:
    data = _patched(film(), b"stts", 8, struct.pack(">II", 1_000_000_000, 1))
    return _patched(data, b"stsz", 4, struct.pack(">II", 1, 1_000_000_000))


def _huge_frames() -> bytes:
    """Motion JPEG: its headers, and those of its container, claim 60,000 x 60,000 pixels."""
    data = encoded("avi", "-i", "pipe:0", "-an", "-c:v", "mjpeg", "-frames:v", "2")
    data = _patched(data, b"strf", 8, struct.pack("<ii", 60_000, 60_000))
    return _patched(data, b"\xff\xc0", 3, struct.pack(">HH", 60_000, 60_000))


def _growing() -> bytes:
    """An MPEG-TS that begins with 320 x 180 pixels and goes on with 6,200 x 6,200."""
    parts = (("320x180", "0"), ("6200x6200", "1"))
    return b"".join(
        encoded("ts", "-f", "lavfi", "-i", f"color=s={size}:d=0.4", "-preset", "ultrafast",
                "-c:v", "libx264", "-output_ts_offset", start)
        for size, start in parts
    )  # fmt: skip


def _many_streams() -> bytes:
    maps = ("-map", "0:a") * 900
    return encoded("mkv", "-i", "pipe:0", *maps, "-c", "copy", "-t", "0.05")


def _changing_rates() -> bytes:
    return b"".join(encoded("mp3", *_TONE, "-ar", rate) for rate in ("8000", "44100", "16000"))


def _hours(extension: str) -> bytes:
    """Ten hours of silence; some kilobytes."""
    silence = ("-f", "lavfi", "-i", "anullsrc=r=1000:cl=mono", "-t", "36000")
    return encoded(extension, *silence, "-frame_size", "16384", "-compression_level", "0")


_ACCEPTED = "Send a video"
_DAMAGED = "damaged"

HOSTILE_MEDIA: dict[str, tuple[Callable[[], bytes], str | None]] = {
    "wav of 4 GB": (lambda: _lying_wav(0xFFFF_FFFF), None),
    "wav of 3.7 GB": (lambda: _lying_wav(0xF000_0000), None),
    "ten hours of silence": (lambda: _hours("flac"), "limit"),
    "mp4 of 1e9 frames": (_frames_lie, "no frame of its video"),
    "mp4 whose length lies": (lambda: _patched(film(), b"mvhd", 16, b"\xff\xff\xff\xfe"), None),
    "60,000 x 60,000": (_huge_frames, _DAMAGED),
    "larger in the middle": (_growing, _DAMAGED),
    "900 streams": (_many_streams, "900 streams; 32 is the limit"),
    "changing rates": (_changing_rates, None),
    "nested chapters": (
        lambda: _nested((b"\xb6",), 20_000, (b"\x45\xb9", b"\x10\x43\xa7\x70", b"\x18\x53\x80\x67")),
        _DAMAGED,
    ),
    "nested tags": (
        lambda: _nested((b"\x67\xc8",), 20_000, (b"\x73\x73", b"\x12\x54\xc3\x67", b"\x18\x53\x80\x67")),
        _DAMAGED,
    ),
    "nested boxes": (lambda: _nested_boxes(30_000), _DAMAGED),
    "packed index": (_compressed_index, _DAMAGED),
    "playlist": (lambda: b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n", _ACCEPTED),
    "concat": (lambda: b"ffconcat version 1.0\nfile /etc/passwd\n", _ACCEPTED),
    "MPD": (lambda: b"<?xml version='1.0'?><MPD><BaseURL>http://127.0.0.1/</BaseURL></MPD>", _ACCEPTED),
    "SDP": (lambda: b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\nm=video 5004 RTP/AVP 96\r\n", _ACCEPTED),
    "SVG": (lambda: b'<svg xmlns="http://www.w3.org/2000/svg"/>', _ACCEPTED),
    "empty": (lambda: b"", "is empty"),
}
"""Name -> (its bytes, words of the refusal or None where it may be used)."""
