"""One pool of connections to one provider, and what goes wrong on the way as our errors.

aiohttp, not the vendors' own clients or httpx: measured on two cores (2026-11) a request costs 0.1 ms of CPU
with it, 0.5 ms with httpx, over 1 ms with the vendors' clients, which parse every answer into models; and Ray
brings it anyway. HTTP/1.1 with keep-alive: a chat stream has a connection of its own for its whole life, so
that HTTP/2 would save nothing but the handshake, which the pool saves too.
"""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any, TypeAlias

import aiohttp

from pipelines.errors import ProviderBusy, ProviderDenied, ProviderError, ProviderFailed, ProviderRefused
from pipelines.providers.base import ProviderSettings
from pipelines.providers.sse import EventTooLarge, ServerSentEvent, read_events
from pipelines.tasks.chat_shapes import json_bytes

MAX_ANSWER_BYTES = 256 * 1024 * 1024
"""A picture as base64 may have 30 MB, several of them more; above this an answer is a fault."""
MAX_FAULT_BYTES = 64 * 1024
MAX_MESSAGE_LENGTH = 500
MAX_END_S = 0.2
"""How long to wait for the end of a body that says nothing more: a new connection costs about as much."""
KEPT_ALIVE_S = 30.0
"""How long an idle connection stays open; below what the vendors' load balancers wait."""

Headers: TypeAlias = Mapping[str, str]


@dataclass(frozen=True)
class Fault:
    """What an API says of a request that it did not do."""

    status: int
    message: str = ""
    code: str = ""
    """The vendor's own word for it."""
    field: str | None = None
    retry_after_s: float | None = None
    """Where the body tells it; a header counts more."""


ReadFault: TypeAlias = Callable[[int, Any], Fault]
"""Reads the vendor's shape of an error, from the status and the answer's JSON (None where it is none)."""
IsLast: TypeAlias = Callable[[ServerSentEvent], bool]


class ProviderHttp:
    """Requests to one provider. Every method raises a `ProviderError` for whatever goes wrong."""

    def __init__(self, settings: ProviderSettings, headers: Headers, read_fault: ReadFault) -> None:
        """Take the provider, what every request carries (the key), and how its errors are read."""
        self._settings = settings
        self._headers = dict(headers)
        self._read_fault = read_fault
        self._session: aiohttp.ClientSession | None = None

    async def post(self, path: str, body: Any) -> bytes:
        """Send `body` as JSON and give the whole answer.

        Args:
            path: behind the base address.
            body: an object, or JSON that is encoded already.
        """
        return await self._whole("POST", path, data=_encoded(body), headers=_JSON)

    async def post_form(self, path: str, form: aiohttp.FormData) -> bytes:
        """Send a form with files and give the whole answer."""
        return await self._whole("POST", path, data=form)

    async def get(self, path: str) -> bytes:
        """Ask for something and give the whole answer."""
        return await self._whole("GET", path)

    async def download(self, url: str) -> AsyncGenerator[bytes, None]:
        """Yield a file of the provider's, without telling our key to whoever keeps it."""
        async with self._opened("GET", url, is_foreign=True) as response:
            async for chunk in self._pieces(response):
                yield chunk

    async def chunks(self, path: str, body: Any) -> AsyncGenerator[bytes, None]:
        """Send `body` as JSON and yield the answer's bytes as they come."""
        async with self._opened("POST", path, data=_encoded(body), headers=_JSON) as response:
            async for chunk in self._pieces(response):
                yield chunk

    async def events(
        self, path: str, body: Any = None, method: str = "POST", is_last: IsLast | None = None
    ) -> AsyncGenerator[ServerSentEvent, None]:
        """Send `body` as JSON and yield the server-sent events of the answer.

        Args:
            path: behind the base address.
            body: an object, or JSON that is encoded already.
            method: of HTTP.
            is_last: knows the vendor's last event, behind which nothing is waited for. Whoever asks for
                the event behind it, instead of closing, lets the connection be used again.
        """
        request: dict[str, Any] = {} if body is None else {"data": _encoded(body)}
        headers = {**_JSON, "Accept": "text/event-stream"}
        async with self._opened(method, path, headers=headers, **request) as response:
            if response.content_type != "text/event-stream":
                raise await self._no_stream(response)
            try:
                async for event in read_events(self._pieces(response)):
                    yield event
                    if is_last is not None and is_last(event):
                        await self._read_end(response)
                        return
            except EventTooLarge as error:
                raise ProviderFailed(f"{self._settings.id} sends {error}.") from error

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    def failed(self, reason: str) -> ProviderFailed:
        """Make the error for an answer that cannot be used."""
        return ProviderFailed(f"{self._settings.id} {reason}.")

    def fault_error(self, fault: Fault, retry_after_s: float | None = None) -> ProviderError:
        """Make the error for what the provider says it did not do, also in the middle of a stream."""
        retry_after_s = fault.retry_after_s if retry_after_s is None else retry_after_s
        return _error_of(self._settings, fault, self._without_key(fault.message), retry_after_s)

    async def _whole(self, method: str, path: str, **request: Any) -> bytes:
        async with self._opened(method, path, **request) as response:
            pieces, size_bytes = [], 0
            async for piece in self._pieces(response):
                size_bytes += len(piece)
                if size_bytes > MAX_ANSWER_BYTES:
                    raise self.failed(f"answers with more than {MAX_ANSWER_BYTES} bytes")
                pieces.append(piece)
            return b"".join(pieces)

    @asynccontextmanager
    async def _opened(
        self,
        method: str,
        path: str,
        *,
        is_foreign: bool = False,
        headers: Headers | None = None,
        **request: Any,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a request and give its answer once it begins well; closing what is not read whole."""
        url = path if is_foreign else f"{self._settings.base_url}{path}"
        own = {} if is_foreign else self._headers
        name = self._settings.id
        try:
            async with asyncio.timeout(self._settings.first_byte_s) as until_first_byte:
                response = await self._client().request(
                    method,
                    url,
                    headers={**own, **(headers or {})},
                    allow_redirects=is_foreign,  # nowhere else may the key, or a caller's text, go
                    **request,
                )
            async with response:
                if response.status >= 300:
                    raise await self._fault_of(response)
                yield response
        except TimeoutError as error:
            waited = self._settings.first_byte_s if until_first_byte.expired() else self._settings.silence_s
            raise ProviderFailed(f"{name} did not answer within {waited:g} s.") from error
        except (aiohttp.ClientError, OSError) as error:
            raise ProviderFailed(
                f"{name} cannot be reached, or broke off: {type(error).__name__}."
            ) from error

    async def _pieces(self, response: aiohttp.ClientResponse) -> AsyncGenerator[bytes, None]:
        """Yield an answer as it comes; a silence that is too long is a TimeoutError."""
        pieces = response.content.iter_any()
        while True:
            async with asyncio.timeout(self._settings.silence_s):
                try:
                    piece = await anext(pieces)
                except StopAsyncIteration:
                    return
            yield piece

    async def _read_end(self, response: aiohttp.ClientResponse) -> None:
        """Read the end of the body, which may come a moment after the last event."""
        with suppress(TimeoutError, aiohttp.ClientError):
            async with asyncio.timeout(MAX_END_S):
                await response.content.read()

    async def _beginning(self, response: aiohttp.ClientResponse) -> bytes:
        """Read an answer that nobody asked for, up to a limit; it may come in several pieces."""
        read = b""
        async for piece in self._pieces(response):
            read += piece
            if len(read) > MAX_FAULT_BYTES:
                break
        return read

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            settings = self._settings
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=settings.connections, keepalive_timeout=KEPT_ALIVE_S),
                timeout=aiohttp.ClientTimeout(
                    total=None,
                    sock_connect=settings.connect_s,
                    sock_read=None,  # would also end the wait for the first byte; `_pieces` watches
                ),
                read_bufsize=256 * 1024,
                auto_decompress=True,
            )
        return self._session

    async def _fault_of(self, response: aiohttp.ClientResponse) -> ProviderError:
        if response.status < 400:
            return self.failed(f"sends us elsewhere ({response.status}), where its key shall not go")
        fault = self._fault(response.status, _json_or_none(await self._beginning(response)))
        return self.fault_error(fault, retry_after_s(response.headers))

    async def _no_stream(self, response: aiohttp.ClientResponse) -> ProviderError:
        body = _json_or_none(await self._beginning(response))
        if isinstance(body, dict) and "error" in body:
            return self.fault_error(self._fault(502, body))
        return self.failed(f"answers with {response.content_type} instead of a stream")

    def _fault(self, status: int, body: Any) -> Fault:
        try:
            return self._read_fault(status, body)
        except (AttributeError, KeyError, TypeError, IndexError):
            return Fault(status)  # JSON of another shape than the vendor documents

    def _without_key(self, message: str) -> str:
        if self._settings.key:
            message = message.replace(self._settings.key, "***")
        return message[:MAX_MESSAGE_LENGTH]


_JSON = {"Content-Type": "application/json"}
_DENIED = {
    401: "does not accept the server's key",
    402: "says that the server's account there is spent",
    403: "does not serve the server's account",
    404: "has no such model or address",
}
_BUSY = (408, 425, 429, 503, 529)


def _error_of(
    settings: ProviderSettings, fault: Fault, message: str, retry_after_s: float | None
) -> ProviderError:
    said = f": {message}" if message else ""
    if fault.status in _DENIED:
        # A vendor's text on this subject shows parts of the key.
        told = said if fault.status == 404 else f" ({settings.key_name or 'no key'})"
        return ProviderDenied(f"{settings.id} {_DENIED[fault.status]}{told}.", retry_after_s)
    if fault.status in _BUSY:
        return ProviderBusy(f"{settings.id} is busy ({fault.status}){said}", retry_after_s)
    if fault.status >= 500:
        return ProviderFailed(f"{settings.id} failed ({fault.status}){said}", retry_after_s)
    return ProviderRefused(
        message or f"{settings.id} refuses the request ({fault.status}).",
        fault.field,
        fault.status,
        fault.code,
    )


def retry_after_s(headers: Mapping[str, str], now: Callable[[], float] = time.time) -> float | None:
    """Read ``Retry-After`` (RFC 9110: seconds or a date) or OpenAI's ``retry-after-ms``."""
    if milliseconds := headers.get("retry-after-ms"):
        return _seconds(milliseconds, 1000)
    value = headers.get("Retry-After", "")
    if (seconds := _seconds(value)) is not None:
        return seconds
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now())


def _seconds(text: str, per_second: int = 1) -> float | None:
    try:
        seconds = float(text) / per_second
    except ValueError:
        return None
    return seconds if 0 <= seconds < float("inf") else None


def _encoded(body: Any) -> bytes:
    return body if isinstance(body, bytes) else json_bytes(body)


def _json_or_none(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None
