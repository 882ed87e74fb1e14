"""The API keys: made at the first start, compared in constant time."""

import hashlib
import hmac
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from cluster.jobs.errors import StoreUnavailable
from cluster.secrets import create_secret

ADMIN_ID = "0"
"""The admin key's id, which names the folder of its results (as AI Server numbers it)."""
REMEMBERED_S = 15.0
"""A key that was revoked opens the server for at most so long."""
MAX_REMEMBERED = 10_000


class EmptyKeyFile(Exception):
    """The file of the admin key has nothing in it."""


@dataclass(frozen=True)
class ApiKey:
    """A key that was presented and is valid."""

    id: str


async def _nobody(_: str) -> str | None:
    return None


class ApiKeys:
    """The keys that open this server: the admin's, and those that were made for others.

    The latter are remembered for a while, so that a database that is away does not lock everybody out.
    """

    def __init__(
        self,
        admin_key: str,
        look_up: Callable[[str], Awaitable[str | None]] = _nobody,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the admin key, and who knows the id of any other key."""
        self._admin = admin_key.encode()
        self._look_up = look_up
        self._clock = clock
        self._known: dict[bytes, tuple[str, float]] = {}

    async def find(self, presented: str) -> ApiKey | None:
        """Give the key's record, or None if it is not valid.

        Raises:
            StoreUnavailable: the key is not known here, and who could know it does not answer.
        """
        if hmac.compare_digest(presented.encode(), self._admin):
            return ApiKey(ADMIN_ID)
        digest = hashlib.sha256(presented.encode()).digest()
        known, until = self._known.get(digest, ("", 0.0))
        if self._clock() < until:
            return ApiKey(known)
        try:
            found = await self._look_up(presented)
        except StoreUnavailable:
            if not known:
                raise
            return ApiKey(known)
        return self._remember(digest, found)

    def _remember(self, digest: bytes, found: str | None) -> ApiKey | None:
        if found is None:
            self._known.pop(digest, None)
            return None
        if len(self._known) >= MAX_REMEMBERED:
            self._known.clear()
        self._known[digest] = (found, self._clock() + REMEMBERED_S)
        return ApiKey(found)


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
