"""Files that come from a provider: on the disk piece by piece, never whole in memory."""

import asyncio
import binascii
from base64 import b64decode
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from urllib.parse import unquote_to_bytes

from pipelines.providers.http import ProviderHttp

_WRITTEN_BYTES = 1024 * 1024
"""How much is collected before a thread writes it."""


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
    try:
        data = await asyncio.to_thread(b64decode, text)
    except (binascii.Error, ValueError) as error:
        raise http.failed("sends a file that is no base64") from error
    async with spooled(_once(data)) as path:
        yield path


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


async def _once(data: bytes) -> AsyncGenerator[bytes, None]:
    yield data
