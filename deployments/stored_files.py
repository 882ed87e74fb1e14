"""A file of the artifact store as an HTTP answer: whole, in part, or "you have it already"."""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from http import HTTPStatus
from itertools import chain

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from cluster.artifacts.keys import ParsedKey, parse_key
from cluster.artifacts.media_types import is_active, is_passive, media_type_of
from cluster.artifacts.store import Area, Artifact, ArtifactStore
from deployments.byte_ranges import ByteRange, parse_range

CHUNK_BYTES = 512 * 1024
"""Read and sent at once; under Serve, the 64 KB of Starlette's FileResponse are 10 times slower."""

_UNCHANGED_HEADERS = ("ETag", "Last-Modified", "Cache-Control")
"""What a 304 repeats."""


def file_answer(request: Request, store: ArtifactStore, key: str, *, download: bool = False) -> Response:
    """Answer GET or HEAD for a stored file. Blocks until the first chunk is read.

    Args:
        request: its method and conditional headers are heeded.
        store: where the file lies.
        key: the file's.
        download: have browsers save it instead of showing it.

    Raises:
        ArtifactNotFound: there is no such file.
        RangeNotSatisfiable: the request is for bytes that the file does not have.
    """
    artifact = store.stat(key)
    headers = _headers(parse_key(key), artifact, download)
    if _is_unchanged(request.headers, headers["ETag"], artifact.modified):
        kept = {name: headers[name] for name in _UNCHANGED_HEADERS}
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=kept)
    part = _part(request, headers, artifact.size_bytes)
    if part is None:
        part, status = ByteRange(0, artifact.size_bytes - 1), HTTPStatus.OK
    else:
        status = HTTPStatus.PARTIAL_CONTENT
        headers["Content-Range"] = f"bytes {part.start}-{part.end}/{artifact.size_bytes}"
    headers["Content-Length"] = str(part.size_bytes)
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers)
    return _body(store, key, part, status, headers)


def _body(
    store: ArtifactStore, key: str, part: ByteRange, status: HTTPStatus, headers: Mapping[str, str]
) -> Response:
    chunks = store.read(key, part.start, part.size_bytes, CHUNK_BYTES)
    first = next(chunks, b"")  # before the status line goes out: the file may have been deleted just now
    if len(first) == part.size_bytes:
        return Response(first, status, headers)
    return StreamingResponse(chain((first,), chunks), status, headers)


def _headers(key: ParsedKey, artifact: Artifact, download: bool) -> dict[str, str]:
    headers = {
        "Content-Type": media_type_of(key.extension),
        "ETag": f'"{key.stem}"',
        "Last-Modified": format_datetime(artifact.modified, usegmt=True),
        "Accept-Ranges": "bytes",
        "Cache-Control": _cache_control(key.area),
        "X-Content-Type-Options": "nosniff",
    }
    if not is_passive(key.extension):
        # Not for sound and films: the policy would also stop the browser's own player.
        headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
    if download or is_active(key.extension):
        headers["Content-Disposition"] = f'attachment; filename="{key.file_name}"'
    return headers


def _cache_control(area: Area) -> str:
    return "private, no-store" if area is Area.INPUT else "public, max-age=31536000, immutable"


def _is_unchanged(asked: Mapping[str, str], etag: str, modified: datetime) -> bool:
    if (known := asked.get("if-none-match")) is not None:
        tags = [tag.strip().removeprefix("W/") for tag in known.split(",")]
        return etag in tags or "*" in tags
    since = _date(asked.get("if-modified-since"))
    return since is not None and modified.replace(microsecond=0) <= since


def _part(request: Request, headers: Mapping[str, str], size_bytes: int) -> ByteRange | None:
    wanted = request.headers.get("range")
    if wanted is None or request.method != "GET":
        return None
    if request.headers.get("if-range", headers["ETag"]) not in (headers["ETag"], headers["Last-Modified"]):
        return None
    return parse_range(wanted, size_bytes)


def _date(text: str | None) -> datetime | None:
    try:
        date = parsedate_to_datetime(text or "")
    except (ValueError, OverflowError):
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)
