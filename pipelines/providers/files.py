"""Files that come from a provider: on the disk piece by piece, never whole in memory."""

import asyncio
import binascii
from base64 import b64decode
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO
from urllib.parse import unquote_to_bytes

from pipelines.providers.http import ProviderHttp

_WRITTEN_BYTES = 1024 * 1024
"""How much is collected before a thread writes it."""

_DECODED_CHARACTERS = 1024 * 1024
"""How much base64 is decoded at once; a multiple of 4."""


@asynccontextmanager
async def spooled(chunks: AsyncGenerator[bytes, None]) -> AsyncIterator[Path]:
    """Keep what comes in a temporary file for the block."""
    with NamedTemporaryFile() as file:
        pending = bytearray()
        async with aclosing(chunks):
            async for chunk in chunks:
                pending += chunk
                if len(pending) >= _WRITTEN_BYTES:
                    await asyncio.to_thread(file.write, bytes(pending))
                    pending.clear()
        file.write(pending)
        file.flush()
        yield Path(file.name)


@asynccontextmanager
async def spooled_base64(text: str, http: ProviderHttp) -> AsyncIterator[Path]:
    """Keep a file that came as base64 in a temporary one for the block."""
    with NamedTemporaryFile() as file:
        try:
            await asyncio.to_thread(_decode, text, file)
        except (binascii.Error, ValueError) as error:
            raise http.failed("sends a file that is no base64") from error
        yield Path(file.name)


@asynccontextmanager
async def spooled_url(url: str, http: ProviderHttp) -> AsyncIterator[Path]:
    """Keep the file of an address, which may hold it itself (``data:``), in a temporary one for the block."""
    if not url.startswith("data:"):
        async with spooled(http.download(url)) as path:
            yield path
        return
    head, _, data = url.partition(",")
    if head.endswith(";base64"):
        async with spooled_base64(data, http) as path:
            yield path
        return
    async with spooled(_once(unquote_to_bytes(data))) as path:
        yield path


def _decode(text: str, file: IO[bytes]) -> None:
    """Write what `text` stands for, in pieces: each holds up all other threads."""
    text = "".join(text.split())
    for start in range(0, len(text), _DECODED_CHARACTERS):
        file.write(b64decode(text[start : start + _DECODED_CHARACTERS]))
    file.flush()


async def _once(data: bytes) -> AsyncGenerator[bytes, None]:
    yield data
