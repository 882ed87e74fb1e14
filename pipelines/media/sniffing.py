"""Tells from a file's first bytes what it is, never from its name; what is not on the list is refused.

ffmpeg is told the demuxer, so that it never guesses. Play lists (m3u8, ffconcat, MPD, SDP), pictures and
SVG are not on the list: ffmpeg would open other files and addresses for them.
"""

from typing import BinaryIO, NamedTuple

from pipelines.errors import UnsupportedMedia
from pipelines.media.formats import VideoFormat

ACCEPTED = (
    "Send a video (MP4, MOV, WebM, MKV, AVI, WMV, MPEG, MPEG-TS, FLV, Ogg) or sound (MP3, WAV, AAC, FLAC, "
    "Ogg, Opus, M4A, WMA, AIFF, AMR, CAF)."
)
_HEAD_BYTES = 4096
_PICTURE_BRANDS = {b"avif", b"avis", b"heic", b"heix", b"mif1", b"msf1"}
_QUICKTIME_ATOMS = {b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"}


class Kind(NamedTuple):
    """What a file is."""

    demuxer: str
    """ffmpeg's name."""
    video_format: VideoFormat = VideoFormat.MP4
    """What a result becomes if nothing else is asked for: its own format where we write that."""
    brand: str = ""

    @property
    def name(self) -> str:
        """What people call it."""
        return self.brand or self.demuxer


_SIGNATURES: tuple[tuple[int, bytes, Kind], ...] = (
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", Kind("asf", VideoFormat.WMV)),
    (0, b"OggS", Kind("ogg", VideoFormat.OGG)),
    (0, b"FLV\x01", Kind("flv")),
    (0, b"\x00\x00\x01\xba", Kind("mpeg", VideoFormat.MPEG)),
    (0, b"\x00\x00\x01\xb3", Kind("mpegvideo", VideoFormat.MPEG)),
    (0, b"fLaC", Kind("flac")),
    (0, b"#!AMR", Kind("amr")),
    (0, b"caff", Kind("caf")),
    (0, b"ADIF", Kind("aac")),
    (8, b"AVI ", Kind("avi", VideoFormat.AVI)),
    (8, b"WAVE", Kind("wav")),
    (8, b"AIFF", Kind("aiff")),
    (8, b"AIFC", Kind("aiff")),
)


def sniff(file: BinaryIO, field: str) -> Kind:
    """Tell what a file is; its position is at the start afterwards.

    Raises:
        UnsupportedMedia: it is empty or not on the list.
    """
    head = _head(file)
    file.seek(0)
    if not head:
        raise UnsupportedMedia(f"The file is empty. {ACCEPTED}", field)
    kind = _signed(head) or _iso(head) or _matroska(head) or _transport(head) or _frames(head)
    if kind is None:
        raise UnsupportedMedia(f"The file is neither video nor sound. {ACCEPTED}", field)
    return kind


def _head(file: BinaryIO) -> bytes:
    """Give the first bytes, or those after an ID3 tag, whatever its size."""
    file.seek(0)
    head = file.read(_HEAD_BYTES)
    if head[:3] != b"ID3" or len(head) < 10:
        return head
    size = 0
    for byte in head[6:10]:
        size = size << 7 | byte & 0x7F
    file.seek(10 + size)
    return file.read(_HEAD_BYTES).lstrip(b"\0") or head


def _signed(head: bytes) -> Kind | None:
    return next(
        (kind for start, magic, kind in _SIGNATURES if head[start : start + len(magic)] == magic), None
    )


def _iso(head: bytes) -> Kind | None:
    kind, brand = head[4:8], head[8:12]
    if kind in _QUICKTIME_ATOMS or (kind == b"ftyp" and brand == b"qt  "):
        return Kind("mov", VideoFormat.MOV, "mov")
    if kind != b"ftyp" or brand in _PICTURE_BRANDS:
        return None
    names = {b"M4A ": "m4a", b"M4B ": "m4a"}
    return Kind("mov", VideoFormat.MP4, "3gp" if brand[:2] == b"3g" else names.get(brand, "mp4"))


def _matroska(head: bytes) -> Kind | None:
    if head[:4] != b"\x1a\x45\xdf\xa3":
        return None
    written = VideoFormat.WEBM if b"webm" in head[:64] else VideoFormat.MKV
    return Kind("matroska", written, written.value)


def _transport(head: bytes) -> Kind | None:
    packets = ((188, 0), (192, 4))
    is_transport = any(
        len(head) > 2 * size + offset and all(head[offset + size * n] == 0x47 for n in range(3))
        for size, offset in packets
    )
    return Kind("mpegts") if is_transport else None


def _frames(head: bytes) -> Kind | None:
    """Know MP3 and AAC by the first two bytes of a frame."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    layer = head[1] >> 1 & 3
    if head[1] & 0xF0 == 0xF0 and layer == 0:
        return Kind("aac")
    is_frame = layer != 0 and head[2] >> 4 != 0xF and head[2] >> 2 & 3 != 3
    return Kind("mp3") if is_frame else None
