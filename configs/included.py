"""Lists that several configuration files share.

Ray Serve hands `args` to the application as they stand in the file, so a name in a list is looked up here, on
the machine that builds the application: from the folder that has the package `configs`, the checkout's.
"""

from pathlib import Path
from typing import Any

from configs.documents import read_yaml

ROOT = Path(__file__).resolve().parent.parent


def with_files(entries: Any) -> Any:
    """Put the entries of the files that a list names in the places of their names.

    Raises:
        ValueError: a file cannot be read, or is no list.
    """
    if not isinstance(entries, list):
        return entries  # for the schema to judge
    return [part for entry in entries for part in (_read(entry) if isinstance(entry, str) else [entry])]


def _read(name: str) -> list[Any]:
    path = ROOT / name
    entries = read_yaml(path)
    if not isinstance(entries, list):
        raise ValueError(f"{path}: the file must hold a list")  # noqa: TRY004  # pydantic reports ValueErrors
    return entries
