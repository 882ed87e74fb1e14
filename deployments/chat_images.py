"""Pictures in messages: each address is checked, and fetched where nobody else would do it."""

import asyncio
import base64
from collections.abc import Iterator, Mapping
from typing import Any

import httpx

from cluster.address_guard import AddressError, AddressGuard, GuardedTransport
from deployments.errors import BadRequest
from pipelines.errors import InvalidInput
from pipelines.images import check_image

MAX_IMAGES = 50
MAX_IMAGE_BYTES = 20 * 1024 * 1024
"""As OpenAI has it."""
FETCH_LIMIT_S = 20.0
MAX_REDIRECTS = 3
KINDS = ("image/jpeg", "image/png", "image/gif", "image/webp")
_USE = f"Use {', '.join(KINDS)}."
_BEGINNINGS = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"RIFF")
"""Of files of these kinds."""


class ChatImages:
    """Looks after the addresses of pictures in a request."""

    def __init__(
        self,
        guard: AddressGuard,
        transport: httpx.AsyncBaseTransport | None = None,
        max_length: int = 50 * 1024 * 1024,
        max_pixels: int = 100_000_000,
    ) -> None:
        """Take who knows where the server may go.

        Args:
            guard: knows it.
            transport: a test's own, below the guard.
            max_length: of all pictures of a request together, as base64.
            max_pixels: width x height x frames of each.
        """
        self._guard = guard
        self._max_length = max_length
        self._max_pixels = max_pixels
        self._transport = GuardedTransport(guard, transport)

    async def prepared(self, body: dict[str, Any], *, inline: bool) -> dict[str, Any]:
        """Give the body with every address checked; with `inline`, each picture in its place (``data:``).

        Raises:
            BadRequest: an address leads where the server must not go, or to no picture.
        """
        places = list(_addresses(body))
        if len(places) > MAX_IMAGES:
            raise BadRequest(f"A request may have at most {MAX_IMAGES} pictures.", "messages")
        found: dict[tuple[int, int], str] = {}
        # One after the other: fifty at once could fill the memory before their sum is known.
        for path, url, name in places:
            found[path] = await self._prepare(url, name, inline)
            if inline and sum(map(len, found.values())) > self._max_length:
                raise BadRequest(f"The pictures have more than {self._max_length} bytes as base64.", name)
        return _replaced(body, found)

    async def _prepare(self, url: str, name: str, inline: bool) -> str:
        if url.startswith("data:"):
            return await asyncio.to_thread(self._checked_data, url, name)
        try:
            async with asyncio.timeout(FETCH_LIMIT_S):
                if inline:
                    return await self._fetch(url, name)
                await self._guard.resolve(url)
        except AddressError as error:
            raise BadRequest(f"'{name}': {error}", name, "ForbiddenAddress") from error
        except TimeoutError as error:
            late = f"did not answer within {FETCH_LIMIT_S:g} s"
            raise BadRequest(f"'{name}': {url:.100} {late}.", name) from error
        except httpx.HTTPError as error:
            reason = f"{type(error).__name__} {error}".strip()
            raise BadRequest(f"'{name}': {url:.100} could not be fetched: {reason:.200}.", name) from error
        return url

    async def _fetch(self, url: str, name: str) -> str:
        # Every request of the client goes through the guard, so every redirect does.
        client = httpx.AsyncClient(
            transport=self._transport,
            follow_redirects=True,
            max_redirects=MAX_REDIRECTS,
            timeout=FETCH_LIMIT_S,
        )
        async with client.stream("GET", url, headers={"Accept": ", ".join(KINDS)}) as answer:
            if not answer.is_success:
                raise BadRequest(f"'{name}': {url:.100} answers with {answer.status_code}.", name)
            kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
            if kind not in KINDS:
                raise BadRequest(
                    f"'{name}': {url:.100} is {kind or 'of no kind'}, no picture. {_USE}",
                    name,
                )
            data = bytearray()
            async for piece in answer.aiter_bytes():
                data += piece
                if len(data) > MAX_IMAGE_BYTES:
                    raise BadRequest(f"'{name}': the picture has more than {MAX_IMAGE_BYTES} bytes.", name)
        await asyncio.to_thread(self._check, data, name)
        return f"data:{kind};base64,{base64.b64encode(data).decode()}"

    def _checked_data(self, url: str, name: str) -> str:
        head, comma, data = url.partition(",")
        kind = head.removeprefix("data:").partition(";")[0].lower()
        if not comma or not head.endswith(";base64") or kind not in KINDS or not data:
            raise BadRequest(f"'{name}' must be like data:image/png;base64,…. {_USE}", name)
        try:
            picture = base64.b64decode(data, validate=True)
        except ValueError as error:
            raise BadRequest(f"'{name}' is no base64: {error}.", name) from error
        self._check(picture, name)
        return url

    def _check(self, picture: bytes | bytearray, name: str) -> None:
        """Look at the header: whoever decodes the picture may have no limits of their own."""
        if not picture.startswith(_BEGINNINGS):
            raise BadRequest(f"'{name}' is not the picture that it is said to be. {_USE}", name)
        try:
            check_image(picture, "picture", self._max_pixels)
        except InvalidInput as error:
            raise BadRequest(f"'{name}': {error}", name) from error


def _addresses(body: Mapping[str, Any]) -> Iterator[tuple[tuple[int, int], str, str]]:
    """Yield each picture's place (message, part), its address, and its name for people."""
    for number, message in enumerate(body["messages"]):
        content = message.get("content")
        for place, part in enumerate(content if isinstance(content, list) else ()):
            if part.get("type") != "image_url":
                continue
            name = f"messages[{number}].content[{place}].image_url.url"
            image = part.get("image_url")
            url = image.get("url") if isinstance(image, dict) else image
            if not isinstance(url, str) or not url:
                raise BadRequest(f"'{name}' must be the address of a picture.", name)
            yield (number, place), url, name


def _replaced(body: dict[str, Any], urls: Mapping[tuple[int, int], str]) -> dict[str, Any]:
    """Give the body with these addresses; what stays as it is, is not copied."""
    if not urls:
        return body
    messages = list(body["messages"])
    for (number, place), url in urls.items():
        content = list(messages[number]["content"])
        image = content[place]["image_url"]
        detail = image if isinstance(image, dict) else {}
        content[place] = {**content[place], "image_url": {**detail, "url": url}}
        messages[number] = {**messages[number], "content": content}
    return {**body, "messages": messages}
