"""Media types by file extension; a table of our own, because `mimetypes` differs between machines."""

_OPAQUE = "application/octet-stream"

_TYPES = {
    # pictures
    "avif": "image/avif",
    "bmp": "image/bmp",
    "gif": "image/gif",
    "jpeg": "image/jpeg",
    "jpg": "image/jpeg",
    "png": "image/png",
    "svg": "image/svg+xml",
    "tif": "image/tiff",
    "tiff": "image/tiff",
    "webp": "image/webp",
    # sound
    "aac": "audio/aac",
    "flac": "audio/flac",
    "m4a": "audio/mp4",
    "mp3": "audio/mpeg",
    "oga": "audio/ogg",
    "ogg": "audio/ogg",
    "opus": "audio/ogg",  # audio/opus is the type of bare packets (RFC 7587), not of the Ogg file
    "pcm": "audio/pcm",
    "wav": "audio/wav",
    "weba": "audio/webm",
    "wma": "audio/x-ms-wma",
    # films
    "avi": "video/x-msvideo",
    "mkv": "video/x-matroska",
    "mov": "video/quicktime",
    "mp4": "video/mp4",
    "mpeg": "video/mpeg",
    "mpg": "video/mpeg",
    "ogv": "video/ogg",
    "webm": "video/webm",
    "wmv": "video/x-ms-wmv",
    # text
    "csv": "text/csv; charset=utf-8",
    "htm": "text/html; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "json": "application/json",
    "jsonl": "application/jsonl",
    "md": "text/markdown; charset=utf-8",
    "pdf": "application/pdf",
    "srt": "application/x-subrip; charset=utf-8",
    "txt": "text/plain; charset=utf-8",
    "vtt": "text/vtt; charset=utf-8",
    "xml": "application/xml",
    "zip": "application/zip",
}

_ACTIVE = frozenset({"svg", "htm", "html", "xml", "pdf"})


def media_type_of(extension: str) -> str:
    """Give the content type of a file, ``application/octet-stream`` where it is unknown."""
    return _TYPES.get(extension, _OPAQUE)


def is_active(extension: str) -> bool:
    """Say whether a browser that opens the file could run what is in it."""
    return extension in _ACTIVE


def is_picture(extension: str) -> bool:
    """Say whether the file is a picture made of pixels."""
    return media_type_of(extension).startswith("image/") and not is_active(extension)


def is_passive(extension: str) -> bool:
    """Say whether browsers show the file with a player of their own: a picture, sound or film."""
    family = media_type_of(extension).partition("/")[0]
    return family in ("image", "audio", "video") and not is_active(extension)
