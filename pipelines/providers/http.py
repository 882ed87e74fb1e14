"""One pool of connections to one provider, and what goes wrong on the way as our errors.

aiohttp, not the vendors' own clients or httpx: measured on two cores (2026-11) a request costs 0.1 ms of CPU
with it, 0.5 ms with httpx, over 1 ms with the vendors' clients, which parse every answer into models; and Ray
brings it anyway. HTTP/1.1 with keep-alive: a chat stream has a connection of its own for its whole life, so
that HTTP/2 would save nothing but the handshake, which the pool saves too.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Any, TypeAlias

import aiohttp
from yarl import URL

from pipelines.errors import ProviderError, ProviderFailed
from pipelines.providers.base import ProviderSettings
from pipelines.providers.faults import Fault, ReadFault, error_of, retry_after_s
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
IsLast: TypeAlias = Callable[[ServerSentEvent], bool]


class ProviderHttp:
    """Requests to one provider. Every method raises a `ProviderError` for whatever goes wrong."""

    def __init__(self, settings: ProviderSettings, headers: Headers, read_fault: ReadFault) -> None:
        """Take the provider, what every request carries (the key), and how its errors are read."""
        self._settings = settings
        self._headers = dict(headers)
        self._read_fault = read_fault
        self._session: aiohttp.ClientSession | None = None

    async def post(
        self, path: str, body: Any, headers: Headers | None = None, patience_s: float | None = None
    ) -> bytes:
        """Send `body` as JSON and give the whole answer.

        Args:
            path: behind the base address, or a whole address of the provider's own.
            body: an object, or JSON that is encoded already.
            headers: for this request alone.
            patience_s: until the answer begins, where this takes longer than other answers.
        """
        headers = {**_JSON, **(headers or {})}
        return await self._whole("POST", path, data=_encoded(body), headers=headers, patience_s=patience_s)

    async def post_form(self, path: str, form: aiohttp.FormData, patience_s: float | None = None) -> bytes:
        """Send a form with files and give the whole answer; arguments as for `post`."""
        return await self._whole("POST", path, data=form, patience_s=patience_s)

    async def get(self, path: str) -> bytes:
        """Ask for something and give the whole answer."""
        return await self._whole("GET", path)

    async def download(self, url: str, max_bytes: int = MAX_ANSWER_BYTES) -> AsyncGenerator[bytes, None]:
        """Yield a file of the provider's, without telling our key to whoever keeps it."""
        async with self._opened("GET", url, is_foreign=True) as response:
            async for chunk in self._capped(response, max_bytes):
                yield chunk

    async def chunks(self, path: str, body: Any) -> AsyncGenerator[bytes, None]:
        """Send `body` as JSON and yield the answer's bytes, which are no JSON, as they come."""
        async with self._opened("POST", path, data=_encoded(body), headers=_JSON) as response:
            if response.content_type in _TEXTS:
                raise await self._no_stream(response, "a file")
            async for chunk in self._capped(response, MAX_ANSWER_BYTES):
                yield chunk

    async def events(
        self,
        path: str,
        body: Any = None,
        method: str = "POST",
        *,
        is_foreign: bool = False,
        patience_s: float | None = None,
        is_last: IsLast | None = None,
    ) -> AsyncGenerator[ServerSentEvent, None]:
        """Send `body` and yield the server-sent events of the answer.

        Args:
            path: behind the base address, or a whole address of the provider's own.
            body: an object, JSON that is encoded already, or a form; None sends none.
            method: of HTTP.
            is_foreign: `path` is an address that may be anybody's, who shall not learn the key.
            patience_s: until the answer begins, and between its events, where these are slow ones.
            is_last: knows the vendor's last event, behind which nothing is waited for. Whoever asks for
                the event behind it, instead of closing, lets the connection be used again.
        """
        is_form = isinstance(body, aiohttp.FormData)
        request: dict[str, Any] = {} if body is None else {"data": body if is_form else _encoded(body)}
        request["headers"] = {**({} if is_form else _JSON), "Accept": "text/event-stream"}
        opened = self._opened(method, path, is_foreign=is_foreign, patience_s=patience_s, **request)
        async with opened as response:
            if response.content_type != "text/event-stream":
                raise await self._no_stream(response, "a stream")
            try:
                async for event in read_events(self._pieces(response, patience_s)):
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
        return ProviderFailed(f"{self._settings.id} {self._without_key(reason)}.")

    def fault_error(self, fault: Fault, retry_after_s: float | None = None) -> ProviderError:
        """Make the error for what the provider says it did not do, also in the middle of a stream."""
        retry_after_s = fault.retry_after_s if retry_after_s is None else retry_after_s
        return error_of(self._settings, fault, self._without_key(fault.message), retry_after_s)

    async def _whole(self, method: str, path: str, patience_s: float | None = None, **request: Any) -> bytes:
        async with self._opened(method, path, patience_s=patience_s, **request) as response:
            pieces = self._capped(response, MAX_ANSWER_BYTES, patience_s)
            return b"".join([piece async for piece in pieces])

    async def _pieces(
        self, response: aiohttp.ClientResponse, patience_s: float | None
    ) -> AsyncGenerator[bytes, None]:
        """Yield what comes, unless nothing comes for too long.

        aiohttp's own limit (``sock_read``) would count the time until the first byte, too.
        """
        silence_s = self._silence_s(patience_s)
        while True:
            async with asyncio.timeout(silence_s):
                piece = await response.content.readany()
            if not piece:
                return
            yield piece

    async def _read_end(self, response: aiohttp.ClientResponse) -> None:
        """Read the end of the body, which may come a moment after the last event."""
        with suppress(TimeoutError, aiohttp.ClientError):
            async with asyncio.timeout(MAX_END_S):
                await response.content.read()

    def _silence_s(self, patience_s: float | None) -> float:
        return max(patience_s or 0, self._settings.silence_s)

    async def _capped(
        self, response: aiohttp.ClientResponse, max_bytes: int, patience_s: float | None = None
    ) -> AsyncGenerator[bytes, None]:
        size_bytes = 0
        async for piece in self._pieces(response, patience_s):
            size_bytes += len(piece)
            if size_bytes > max_bytes:
                raise self.failed(f"answers with more than {max_bytes} bytes")
            yield piece

    def _address(self, path: str, is_foreign: bool) -> str:
        """Make an address; with the key only those of the provider's own origin are asked."""
        base = URL(self._settings.base_url)
        if not is_foreign and path.startswith("/"):
            return f"{self._settings.base_url}{path}"
        try:
            url = URL(path)
            is_own = url.origin() == base.origin()
        except ValueError as error:  # no address, or one of another kind than http
            raise self.failed("names an address that is none") from error
        if not is_foreign and not is_own:
            raise self.failed("names an address of somebody else")
        if url.scheme not in ("http", "https") or (base.scheme == "https" and url.scheme != "https"):
            raise self.failed(f"names an address of the kind {url.scheme}")
        return path

    async def _check(self, url: str) -> None:
        """See that a stranger's address, which may be what his model said, is on the internet."""
        check = self._settings.check_address
        is_own = URL(url).origin() == URL(self._settings.base_url).origin()
        if check is not None and not is_own and await check(url) is not None:
            raise self.failed("names an address where this server must not go")

    @asynccontextmanager
    async def _opened(
        self,
        method: str,
        path: str,
        *,
        is_foreign: bool = False,
        headers: Headers | None = None,
        patience_s: float | None = None,
        **request: Any,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a request and give its answer once it begins well; closing what is not read whole."""
        url = self._address(path, is_foreign)
        if is_foreign:
            await self._check(url)
        own = {} if is_foreign else self._headers
        name = self._settings.id
        first_byte_s = max(patience_s or 0, self._settings.first_byte_s)
        try:
            async with asyncio.timeout(first_byte_s) as until_first_byte:
                response = await self._client().request(
                    method,
                    url,
                    headers={**own, **(headers or {})},
                    # Nowhere else may the key or a caller's text go; and the address of a file, which may be
                    # what a stranger's model said, must not lead on into our own network.
                    allow_redirects=False,
                    **request,
                )
            async with response:
                if response.status >= 300:
                    raise await self._fault_of(response)
                yield response
        except aiohttp.ConnectionTimeoutError as error:
            raise ProviderFailed(
                f"{name} cannot be connected to within {self._settings.connect_s:g} s."
            ) from error
        except TimeoutError as error:
            waited = first_byte_s if until_first_byte.expired() else self._silence_s(patience_s)
            raise ProviderFailed(f"{name} did not answer within {waited:g} s.") from error
        except (aiohttp.ClientError, OSError) as error:
            raise ProviderFailed(
                f"{name} cannot be reached, or broke off: {type(error).__name__}."
            ) from error

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            settings = self._settings
            self._session = aiohttp.ClientSession(
                # No limit here: the routing has one, and who waits inside the pool would look slow.
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEPT_ALIVE_S),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=settings.connect_s),
                read_bufsize=256 * 1024,
                auto_decompress=True,
            )
        return self._session

    async def _fault_of(self, response: aiohttp.ClientResponse) -> ProviderError:
        if response.status < 400:
            return self.failed(f"sends us elsewhere ({response.status}), where nothing of ours shall go")
        fault = self._fault(response.status, await self._fault_body(response))
        return self.fault_error(fault, retry_after_s(response.headers))

    def _fault(self, status: int, body: Any) -> Fault:
        try:
            return self._read_fault(status, body)
        except (AttributeError, KeyError, TypeError, IndexError):
            return Fault(status)  # JSON of another shape than the vendor documents

    async def _fault_body(self, response: aiohttp.ClientResponse) -> Any:
        body = b""
        async with aclosing(self._pieces(response, None)) as pieces:
            async for piece in pieces:
                body += piece
                if len(body) > MAX_FAULT_BYTES:
                    break
        return _json_or_none(body)

    async def _no_stream(self, response: aiohttp.ClientResponse, wanted: str) -> ProviderError:
        body = await self._fault_body(response)
        if isinstance(body, dict) and "error" in body:
            return self.fault_error(self._fault(response.status, body))
        return self.failed(f"answers with {response.content_type} instead of {wanted}")

    def _without_key(self, message: str) -> str:
        if self._settings.key:
            message = message.replace(self._settings.key, "***")
        return message[:MAX_MESSAGE_LENGTH]


_JSON = {"Content-Type": "application/json"}
_TEXTS = ("application/json", "text/html", "text/plain")


def _encoded(body: Any) -> bytes:
    return body if isinstance(body, bytes) else json_bytes(body)


def _json_or_none(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None
