"""The API keys: made at the first start, compared in constant time."""

import hashlib
import hmac
import secrets
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from cluster.jobs.errors import StoreUnavailable
from cluster.secrets import create_secret

ADMIN_ID = "0"
"""The admin key's id, which names the folder of its results (as AI Server numbers it)."""
REMEMBERED_S = 15.0
"""A key that was revoked opens the server for at most so long, and new limits are unknown for as long."""
MAX_REMEMBERED = 10_000


class EmptyKeyFile(Exception):
    """The file of the admin key has nothing in it."""


@dataclass(frozen=True)
class ApiKey:
    """A key that was presented and is valid, and what it may do. None does not restrict."""

    id: str
    monthly_budget: float | None = None
    """US dollars."""
    models: tuple[str, ...] | None = None
    """Patterns of names: ``gpt-*``."""
    providers: tuple[str, ...] | None = None
    """Their ids; ``ai-server`` is this server's own models."""

    def may_use_model(self, names: Iterable[str]) -> bool:
        """Say whether a model that has these names is open to the key; the case does not matter."""
        if self.models is None:
            return True
        patterns = [pattern.lower() for pattern in self.models]
        return any(fnmatchcase(name.lower(), pattern) for name in names for pattern in patterns)


ADMIN = ApiKey(ADMIN_ID)


async def _nobody(_: str) -> ApiKey | None:
    return None


class ApiKeys:
    """The keys that open this server: the admin's, and those that were made for others.

    The latter are remembered for a while, so that a database that is away does not lock everybody out.
    """

    def __init__(
        self,
        admin_key: str,
        look_up: Callable[[str], Awaitable[ApiKey | None]] = _nobody,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the admin key, and who knows any other key."""
        self._admin = admin_key.encode()
        self._look_up = look_up
        self._clock = clock
        self._known: dict[bytes, tuple[ApiKey, float]] = {}

    async def find(self, presented: str) -> ApiKey | None:
        """Give the key's record, or None if it is not valid.

        Raises:
            StoreUnavailable: the key is not known here, and who could know it does not answer.
        """
        if hmac.compare_digest(presented.encode(), self._admin):
            return ADMIN
        digest = hashlib.sha256(presented.encode()).digest()
        known, until = self._known.get(digest, (None, 0.0))
        if known is not None and self._clock() < until:
            return known
        try:
            found = await self._look_up(presented)
        except StoreUnavailable:
            if known is None:
                raise
            return known
        return self._remember(digest, found)

    def _remember(self, digest: bytes, found: ApiKey | None) -> ApiKey | None:
        if found is None:
            self._known.pop(digest, None)
            return None
        if len(self._known) >= MAX_REMEMBERED:
            self._known.clear()
        self._known[digest] = (found, self._clock() + REMEMBERED_S)
        return found


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
