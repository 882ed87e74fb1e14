from collections.abc import AsyncIterator
from io import BytesIO

import pytest_asyncio
from PIL import Image

from pipelines.providers.base import ProviderSettings
from pipelines.providers.openai import OpenAiOptions, OpenAiProvider
from tests.fakes import FolderWorkspace
from tests.vendors.openai import OpenAiVendor
from tests.vendors.server import serving

KEY = "sk-fake-1234"


@pytest_asyncio.fixture
async def vendor() -> AsyncIterator[OpenAiVendor]:
    openai = OpenAiVendor()
    async with serving(openai):
        yield openai


@pytest_asyncio.fixture
async def openai(vendor: OpenAiVendor) -> AsyncIterator[OpenAiProvider]:
    settings = ProviderSettings("openai", f"{vendor.url}/v1", KEY, "OPENAI_API_KEY")
    provider = OpenAiProvider(settings, OpenAiOptions())
    yield provider
    await provider.close()


def png(image: Image.Image) -> bytes:
    file = BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def opened(workspace: FolderWorkspace, key: str) -> Image.Image:
    image = Image.open(workspace.path(key))
    image.load()
    return image


def drafts(workspace: FolderWorkspace) -> list[str]:
    """What was begun and neither finished nor thrown away."""
    return [path.name for path in workspace.folder.iterdir() if path.name.startswith(".draft")]
