"""The part of a file that a request asks for (RFC 9110, section 14)."""

import re
from dataclasses import dataclass

from deployments.errors import RangeNotSatisfiable

_SINGLE = re.compile(r"bytes[ \t]*=[ \t]*([0-9]{0,18})-([0-9]{0,18})[ \t]*", re.IGNORECASE)


@dataclass(frozen=True)
class ByteRange:
    """Some bytes of a file, at least one."""

    start: int
    end: int
    """The last byte, included."""

    @property
    def size_bytes(self) -> int:
        """How many bytes it has."""
        return self.end - self.start + 1


def parse_range(header: str, size_bytes: int) -> ByteRange | None:
    """Read a ``Range`` header against a file of that size; None asks for the whole file.

    The whole file is also the answer to a malformed header, to another unit than bytes, to
    several ranges at once, and for an empty file: the RFC lets a server ignore the header, and
    no client of ours gains from ``multipart/byteranges``.

    Raises:
        RangeNotSatisfiable: the range is well formed and lies outside the file.
    """
    match = _SINGLE.fullmatch(header)
    if match is None or not size_bytes:
        return None
    first, last = match.groups()
    if not first:
        return _suffix(last, size_bytes)
    start = int(first)
    end = min(int(last), size_bytes - 1) if last else size_bytes - 1
    if last and int(last) < start:
        return None
    if start >= size_bytes:
        raise RangeNotSatisfiable(size_bytes)
    return ByteRange(start, end)


def _suffix(length: str, size_bytes: int) -> ByteRange | None:
    if not length:
        return None
    if not int(length):
        raise RangeNotSatisfiable(size_bytes)
    return ByteRange(max(0, size_bytes - int(length)), size_bytes - 1)
