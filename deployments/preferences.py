"""What a client asks for beside its request: how long it waits, and who shall hear of the job."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

MAX_NAME_LENGTH = 255
MAX_KEY_LENGTH = 250
"""The jobs of a batch add their place in it: ``:999``."""
MAX_URL_LENGTH = 2_000
MAX_STATE_LENGTH = 10_000
"""Characters of what a client says of its job."""
_WAIT = re.compile(r"wait\s*=\s*\"?(\d{1,9})\"?")


@dataclass(frozen=True)
class Preference:
    """The header ``Prefer`` (RFC 7240), as far as we know it."""

    respond_async: bool = False
    """Rather a job than an answer that takes long."""
    wait_s: float | None = None
    """How long the client waits for the answer before it takes a job instead."""

    @classmethod
    def of(cls, headers: Iterable[str]) -> "Preference":
        """Read the header's values; what cannot be understood is no preference, as the RFC wants it."""
        respond_async, wait_s = False, None
        for word in ",".join(headers).lower().split(","):
            preference = word.partition(";")[0].strip()  # without its parameters: there are none that we know
            if preference == "respond-async":
                respond_async = True
            elif (match := _WAIT.fullmatch(preference)) and wait_s is None:
                wait_s = float(match[1])
        return cls(respond_async, wait_s)

    @property
    def takes_job(self) -> bool:
        """Whether the client expects that the answer may be a job."""
        return self.respond_async or self.wait_s is not None

    def limit_s(self, limit_s: float | None) -> float | None:
        """Give how long to wait, never longer than `limit_s`."""
        if self.wait_s is None:
            return 0.0 if self.respond_async else limit_s
        return self.wait_s if limit_s is None else min(self.wait_s, limit_s)


@dataclass(frozen=True)
class JobWish:
    """What a client says of the job that its request is, or may become."""

    ref_id: str | None = None
    tag: str | None = None
    reply_to: str | None = None
    client_state: str | None = None
    priority: int | None = None
    idempotency_key: str | None = None

    @property
    def is_repeatable(self) -> bool:
        """Whether the client gave the request a name, so that sending it twice means it once."""
        return self.ref_id is not None or self.idempotency_key is not None


NO_PREFERENCE = Preference()
NO_WISH = JobWish()
