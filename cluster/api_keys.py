"""The API keys: made at the first start, compared in constant time."""

import hmac
import secrets
from dataclasses import dataclass
from pathlib import Path

from cluster.secrets import create_secret

ADMIN_ID = "0"
"""The admin key's id, which names the folder of its results (as AI Server numbers it)."""


class EmptyKeyFile(Exception):
    """The file of the admin key has nothing in it."""


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

    Raises:
        EmptyKeyFile: the file is there and empty.
    """
    create_secret(path, f"ak-{secrets.token_hex(16)}\n")
    return _read(path)


def _read(path: Path) -> str:
    key = path.read_text().strip()
    if not key:  # an empty key would open the server to everybody who sends none
        raise EmptyKeyFile(f"{path} is empty. Delete it; the next start makes a new key.")
    return key
