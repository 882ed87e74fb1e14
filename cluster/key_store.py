"""The API keys that an operator makes for others, in the job store's database."""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, insert, select, update
from sqlalchemy.exc import IntegrityError

from cluster.api_keys import ADMIN, ADMIN_ID, ApiKey
from cluster.jobs.database import Database
from cluster.jobs.job import Clock, system_clock
from cluster.jobs.schema import api_keys
from cluster.webhook_sender import new_secret

MAX_ID_DIGITS = 19
_IN_A_FILE = "the admin key lies in a file"


@dataclass(frozen=True)
class StoredKey:
    """A key, as far as the server remembers it. Times are seconds since the epoch."""

    id: str
    name: str
    created_at: float
    revoked_at: float | None
    key: ApiKey
    """What it may do."""


def digest_of(key: str) -> str:
    """Give what is stored of a key; it has 128 random bits, so a plain hash cannot be reversed."""
    return hashlib.sha256(key.encode()).hexdigest()


def _is_id(key_id: str) -> bool:
    return key_id.isdecimal() and len(key_id) < MAX_ID_DIGITS


def _limits(
    budget: float | None, models: Sequence[str] | None, providers: Sequence[str] | None
) -> dict[str, Any]:
    return {
        "monthly_budget": budget,
        "models": None if models is None else list(models),
        "providers": None if providers is None else [each.lower() for each in providers],
    }


def _key_of(row: Row[*tuple[Any, ...]]) -> ApiKey:
    return ApiKey(
        str(row.id),
        row.monthly_budget,
        None if row.models is None else tuple(row.models),
        None if row.providers is None else tuple(row.providers),
    )


class KeyStore:
    """Makes, limits, lists and revokes keys. Every method blocks, and is one transaction."""

    def __init__(self, database: Database, clock: Clock = system_clock) -> None:
        """Take the database and the time."""
        self._database = database
        self._clock = clock

    def create(
        self,
        name: str,
        budget: float | None = None,
        models: Sequence[str] | None = None,
        providers: Sequence[str] | None = None,
    ) -> tuple[str, str]:
        """Make a key and give its id and the key itself, which nobody can look up later.

        None does not restrict: neither what it may cost in a month, nor its models or providers.
        """
        key = f"ak-{secrets.token_hex(16)}"
        values = {
            "name": name,
            "sha256": digest_of(key),
            "webhook_secret": new_secret(),
            "created_at": self._clock(),
            **_limits(budget, models, providers),
        }
        with self._database.write() as connection:
            key_id = connection.execute(insert(api_keys).values(values).returning(api_keys.c.id)).scalar_one()
        return str(key_id), key

    def all(self) -> list[StoredKey]:
        """Give all keys but the admin's, the oldest first."""
        query = select(api_keys).where(api_keys.c.id != int(ADMIN_ID)).order_by(api_keys.c.id)
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        return [
            StoredKey(str(row.id), row.name, row.created_at, row.revoked_at, _key_of(row)) for row in rows
        ]

    def update(
        self,
        key_id: str,
        budget: float | None,
        models: Sequence[str] | None,
        providers: Sequence[str] | None,
    ) -> bool:
        """Set all that a key may do; False if there is no such key."""
        if not _is_id(key_id) or key_id == ADMIN_ID:
            return False
        change = update(api_keys).where(api_keys.c.id == int(key_id))
        with self._database.write() as connection:
            done = connection.execute(change.values(_limits(budget, models, providers)))
            return done.rowcount == 1

    def revoke(self, key_id: str) -> bool:
        """Let a key open nothing any more; False if there is no such valid key."""
        if not _is_id(key_id) or key_id == ADMIN_ID:
            return False
        valid = (api_keys.c.id == int(key_id)) & api_keys.c.revoked_at.is_(None)
        with self._database.write() as connection:
            done = connection.execute(update(api_keys).where(valid).values(revoked_at=self._clock()))
            return done.rowcount == 1

    def find(self, digest: str) -> ApiKey | None:
        """Give the valid key with this digest."""
        query = select(api_keys).where(api_keys.c.sha256 == digest, api_keys.c.revoked_at.is_(None))
        with self._database.read() as connection:
            found = connection.execute(query).one_or_none()
        return None if found is None else _key_of(found)

    def get(self, key_id: str) -> ApiKey | None:
        """Give a key by its id, revoked or not; the admin's may do everything."""
        if key_id == ADMIN_ID:
            return ADMIN
        if not _is_id(key_id):
            return None
        with self._database.read() as connection:
            found = connection.execute(select(api_keys).where(api_keys.c.id == int(key_id))).one_or_none()
        return None if found is None else _key_of(found)

    def webhook_secret(self, key_id: str) -> str | None:
        """Give the secret that signs a key's webhooks; the admin's is made when it is first asked for."""
        if not _is_id(key_id):
            return None
        if key_id == ADMIN_ID:
            self._add_admin()
        query = select(api_keys.c.webhook_secret).where(api_keys.c.id == int(key_id))
        with self._database.read() as connection:
            secret: str | None = connection.execute(query).scalar_one_or_none()
        return secret

    def _add_admin(self) -> None:
        with self._database.read() as connection:
            if connection.execute(select(api_keys.c.id).where(api_keys.c.id == int(ADMIN_ID))).first():
                return
        values = {
            "id": int(ADMIN_ID),
            "name": "admin",
            "sha256": _IN_A_FILE,
            "webhook_secret": new_secret(),
            "created_at": self._clock(),
        }
        try:
            with self._database.write() as connection:
                connection.execute(insert(api_keys).values(values))
        except IntegrityError:
            return  # somebody else was faster
