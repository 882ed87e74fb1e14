"""How files are named; a key that was not made here names nothing."""

import re
from dataclasses import dataclass
from datetime import datetime

from cluster.artifacts.store import Area, ArtifactNotFound

_DAY = r"[0-9]{4}/[0-9]{2}/[0-9]{2}"
_OWNER = r"[A-Za-z0-9_-]{1,64}"
_EXTENSION = r"[a-z0-9]{1,8}"
_MARK = r"[a-z0-9]{1,32}"

_OWNER_PATTERN = re.compile(_OWNER)
_EXTENSION_PATTERN = re.compile(_EXTENSION)
_SUFFIX_PATTERN = re.compile(rf"{_MARK}\.{_EXTENSION}")
_KEY_PATTERN = re.compile(
    rf"(?:(?P<input>input/)(?P<upload_folder>{_DAY}/(?P<uploader>{_OWNER}))/(?P<uuid>[0-9a-f]{{32}})"
    rf"|(?P<folder>{_DAY}/(?P<owner>{_OWNER}))/(?P<sha256>[0-9a-f]{{64}})(?P<mark>_{_MARK})?)"
    rf"\.(?P<extension>{_EXTENSION})"
)


@dataclass(frozen=True)
class ParsedKey:
    """What a key says about its file."""

    area: Area
    owner: str
    """Id of the API key that it was made for."""
    folder: str
    stem: str
    """The file's name without its extension; no two files of different content share it."""
    extension: str
    derived: bool
    """Whether it was put beside another file."""

    @property
    def file_name(self) -> str:
        """The last part of the key."""
        return f"{self.stem}.{self.extension}"

    def beside(self, suffix: str) -> str:
        """Name a file derived from this one, e.g. ``suffix="100w.webp"``: ``<sha256>_100w.webp``.

        Raises:
            ArtifactNotFound: this is an upload or itself derived; nothing lies beside those.
        """
        if self.area is Area.INPUT or self.derived:
            raise ArtifactNotFound(f"{self.file_name} is not an original result.")
        if not _SUFFIX_PATTERN.fullmatch(suffix):
            raise ValueError(f"suffix: {suffix!r} is not like '100w.webp'")
        return f"{self.folder}/{self.stem}_{suffix}"


def parse_key(key: str) -> ParsedKey:
    """Take a key apart.

    Raises:
        ArtifactNotFound: it is not a key, so nothing can lie there.
    """
    match = _KEY_PATTERN.fullmatch(key)
    if match is None:
        raise ArtifactNotFound("There is no such file.")
    parts = match.groupdict()
    is_input = parts["input"] is not None
    return ParsedKey(
        area=Area.INPUT if is_input else Area.RESULT,
        owner=parts["uploader"] if is_input else parts["owner"],
        folder=f"input/{parts['upload_folder']}" if is_input else parts["folder"],
        stem=parts["uuid"] if is_input else f"{parts['sha256']}{parts['mark'] or ''}",
        extension=parts["extension"],
        derived=parts["mark"] is not None,
    )


def folder_of(area: Area, owner: str, day: datetime) -> str:
    """Name the folder of the files that are made for `owner` on that day (UTC)."""
    if not _OWNER_PATTERN.fullmatch(owner):
        raise ValueError(f"owner: {owner!r} is not the id of an API key (letters, digits, '-', '_')")
    folder = f"{day:%Y/%m/%d}/{owner}"
    return f"input/{folder}" if area is Area.INPUT else folder


def check_extension(extension: str) -> None:
    """Refuse what cannot end a key, with a ValueError that names the rule."""
    if not _EXTENSION_PATTERN.fullmatch(extension):
        raise ValueError(
            f"extension: {extension!r} is not 1 to 8 lower-case letters or digits, without a dot"
        )
