"""Sends one webhook, once, and says how it went; signed as standardwebhooks.com specifies."""

import asyncio
import base64
import secrets
import time
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus

import httpx
from standardwebhooks import Webhook

from cluster.address_guard import AddressError, AddressGuard, ForbiddenAddress, GuardedTransport

RETRY_DELAYS_S = (5.0, 300.0, 1_800.0, 7_200.0, 18_000.0, 36_000.0, 50_400.0, 72_000.0, 86_400.0)
"""The pauses after failed attempts, as the specification suggests them: in all a little over three days."""
_JITTER = 0.1
_ANSWER_LIMIT_BYTES = 64 * 1024
_ERROR_LIMIT = 300
_LONGEST_RETRY_AFTER_S = 86_400.0
_BUSY = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)


def _utc_now() -> datetime:
    return datetime.now(UTC)


def new_secret() -> str:
    """Make a secret for a receiver to check signatures with."""
    return f"whsec_{base64.b64encode(secrets.token_bytes(24)).decode()}"


def next_delay_s(attempts: int, random: Callable[[], float]) -> float | None:
    """Give the pause after so many failed attempts, None after the last; `random` gives 0 to 1."""
    assert attempts > 0
    if attempts > len(RETRY_DELAYS_S):
        return None
    return RETRY_DELAYS_S[attempts - 1] * (1 + _JITTER * random())


@dataclass(frozen=True)
class Delivered:
    """How one attempt went."""

    status: int | None
    """Of the receiver's answer; None: there was none."""
    error: str
    """For people; empty if it went well. Never holds what the receiver wrote: that may be a secret."""
    duration_s: float = 0.0
    retry_after_s: float | None = None
    is_forbidden: bool = False

    @property
    def ok(self) -> bool:
        """Whether the receiver has accepted the message."""
        return self.status is not None and 200 <= self.status < 300

    @property
    def is_final(self) -> bool:
        """Whether repeating is pointless; it is not after other 4xx, which receivers mend."""
        return self.status == HTTPStatus.GONE or self.is_forbidden


class WebhookSender:
    """Posts to receivers over pooled connections; one for the life of an event loop.

    Uses httpx's transport without its client, which would take a proxy from the environment, keep
    cookies, and fail on a hostile Location even where it does not follow it.
    """

    def __init__(
        self,
        guard: AddressGuard,
        timeout_s: float = 15.0,
        clock: Callable[[], datetime] = _utc_now,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """Bound each exchange by `timeout_s`; `transport` connects, always behind the guard."""
        self._guard = guard
        self._timeout_s = timeout_s
        self._clock = clock
        self._transport = GuardedTransport(guard, transport)

    async def send(self, url: str, message_id: str, body: bytes, secret: str) -> Delivered:
        """Post a JSON body; whatever the receiver does is told in the result."""
        headers = self._headers(message_id, body, secret)
        started = time.monotonic()
        delivered = await self._post(url, headers, body)
        return replace(delivered, duration_s=time.monotonic() - started)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._transport.aclose()

    def _headers(self, message_id: str, body: bytes, secret: str) -> dict[str, str]:
        now = self._clock().astimezone(UTC)  # the library takes any time for UTC
        return {
            "User-Agent": "AI-Server-on-Ray",
            "Accept": "application/json",
            "Content-Type": "application/json",
            "webhook-id": message_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": Webhook(secret).sign(message_id, now, body.decode()),
        }

    async def _post(self, url: str, headers: dict[str, str], body: bytes) -> Delivered:
        answer: httpx.Response | None = None
        fault = ""
        try:
            self._guard.check_url(url)
            request = httpx.Request("POST", url, headers=headers, content=body)
            async with asyncio.timeout(self._timeout_s):  # httpx's own limits are for each read
                answer = await self._transport.handle_async_request(request)
                async with aclosing(answer):
                    await _drain(answer)
        except AddressError as error:
            return Delivered(
                None, error.message[:_ERROR_LIMIT], is_forbidden=isinstance(error, ForbiddenAddress)
            )
        except (OSError, httpx.HTTPError) as error:  # httpx lets some errors of TLS through as they are
            fault = self._describe(error)
        # What happens after the status changes nothing: the receiver has made up its mind.
        return Delivered(None, fault) if answer is None else self._judge(answer)

    def _describe(self, error: Exception) -> str:
        if isinstance(error, TimeoutError):
            return f"No answer within {self._timeout_s:g} s."
        if not isinstance(error, httpx.ConnectError):  # no more: the text may quote the receiver
            return "The connection broke, or the answer was not HTTP."
        root = _root_cause(error)
        return f"No connection: {str(root) or type(root).__name__}"[:_ERROR_LIMIT]

    def _judge(self, answer: httpx.Response) -> Delivered:
        status = answer.status_code
        if answer.is_success:
            return Delivered(status, "")
        error = f"The receiver answered {_named(status)}."
        if answer.has_redirect_location:
            error += " Redirects are not followed: give the address that it leads to."
        return Delivered(status, error, retry_after_s=self._retry_after_s(answer))

    def _retry_after_s(self, answer: httpx.Response) -> float | None:
        text = answer.headers.get("retry-after", "")
        if answer.status_code not in _BUSY or not text:
            return None
        if text.isascii() and text.isdigit():
            return min(float(text), _LONGEST_RETRY_AFTER_S)
        try:
            moment = parsedate_to_datetime(text)
        except (ValueError, OverflowError):
            return None
        wait_s = (moment.replace(tzinfo=moment.tzinfo or UTC) - self._clock()).total_seconds()
        return min(max(wait_s, 0.0), _LONGEST_RETRY_AFTER_S)


async def _drain(answer: httpx.Response) -> None:
    """Read the answer, so that its connection can be used again, but not without end."""
    size_bytes = 0
    async for chunk in answer.aiter_raw():
        size_bytes += len(chunk)
        if size_bytes >= _ANSWER_LIMIT_BYTES:
            return


def _root_cause(error: BaseException) -> BaseException:
    while error.__cause__:
        error = error.__cause__
    return error


def _named(status: int) -> str:
    """Name a status in our words; the receiver's are not to be trusted."""
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)
