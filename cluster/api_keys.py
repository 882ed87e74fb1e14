"""The API keys: made at the first start, compared in constant time."""

import hmac
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

ADMIN_ID = "0"
"""The admin key's id, which names the folder of its results (as AI Server numbers it)."""


@dataclass(frozen=True)
class ApiKey:
    """A key that was presented and is valid."""

    id: str


class ApiKeys:
    """The keys that open this server."""

    def __init__(self, admin_key: str) -> None:
        """Take the admin key."""
        self._admin = admin_key.encode()

    def find(self, presented: str) -> ApiKey | None:
        """Give the key's record, or None if it is not valid."""
        if hmac.compare_digest(presented.encode(), self._admin):
            return ApiKey(ADMIN_ID)
        return None


def load_or_create_admin_key(path: Path) -> str:
    """Read the admin key, or make one: ``ak-`` and 32 hex digits in a file of mode 0600.

    Two processes that start at once agree on one key: whoever links the file first wins.

    Raises:
        ValueError: the file is there and empty.
    """
    if path.exists():
        return _read(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(f"ak-{secrets.token_hex(16)}\n")
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    return _read(path)


def _read(path: Path) -> str:
    key = path.read_text().strip()
    if not key:  # an empty key would open the server to everybody who sends none
        raise ValueError(f"{path} is empty. Delete it; the next start makes a new key.")
    return key
