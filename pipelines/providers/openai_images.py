"""Pictures drawn and redrawn by a server that speaks OpenAI's wire format."""

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, aclosing
from pathlib import Path
from typing import Any

import aiohttp

from pipelines.providers.files import spooled_base64, spooled_url
from pipelines.providers.openai_drawings import Drawing, drawing_of_image, drawing_of_text
from pipelines.providers.openai_wire import OpenAiApi
from pipelines.tasks.base import Workspace
from pipelines.tasks.drawing import DrawResult, EncodedPreview, StreamEvent
from pipelines.tasks.image_to_image import ImageToImageRequest
from pipelines.tasks.text_to_image import TextToImageRequest

NO_SEED = 0
"""What the result tells where there is none."""


async def text_to_image(api: OpenAiApi, request: TextToImageRequest, workspace: Workspace) -> DrawResult:
    """Draw pictures."""
    return await _drawn(api, await drawing_of_text(api, request, workspace))


async def stream_text_to_image(
    api: OpenAiApi, request: TextToImageRequest, workspace: Workspace
) -> AsyncGenerator[StreamEvent, None]:
    """Draw pictures, and show them on their way."""
    async with aclosing(_streamed(api, await drawing_of_text(api, request, workspace))) as events:
        async for event in events:
            yield event


async def image_to_image(api: OpenAiApi, request: ImageToImageRequest, workspace: Workspace) -> DrawResult:
    """Redraw a picture, at its own size; wholly or where its mask says so."""
    return await _drawn(api, await drawing_of_image(api, request, workspace))


async def stream_image_to_image(
    api: OpenAiApi, request: ImageToImageRequest, workspace: Workspace
) -> AsyncGenerator[StreamEvent, None]:
    """Redraw a picture, and show it on its way."""
    async with aclosing(_streamed(api, await drawing_of_image(api, request, workspace))) as events:
        async for event in events:
            yield event


async def _drawn(api: OpenAiApi, drawing: Drawing) -> DrawResult:
    for count in drawing.counts:
        items = await api.read(await _answer(api, drawing, count), "pictures", _items)
        while items and not drawing.album.is_full:
            async with _file(api, items.pop(0)) as path:
                await drawing.album.add(path, NO_SEED)
    return drawing.album.result()


async def _answer(api: OpenAiApi, drawing: Drawing, count: int) -> bytes:
    body, patience_s = drawing.body(n=count), api.options.image_patience_s
    if isinstance(body, aiohttp.FormData):
        return await api.http.post_form(drawing.path, body, patience_s)
    return await api.http.post(drawing.path, body, patience_s=patience_s)


async def _streamed(api: OpenAiApi, drawing: Drawing) -> AsyncGenerator[StreamEvent, None]:
    """Yield the previews and the result; each picture has a stream of its own."""
    if drawing.request.previews and drawing.is_gpt:
        for _ in range(drawing.request.batch_size):
            async with aclosing(_previews(api, drawing)) as previews:
                async for preview in previews:
                    yield preview
        yield drawing.album.result()
    else:
        yield await _drawn(api, drawing)


async def _previews(api: OpenAiApi, drawing: Drawing) -> AsyncGenerator[EncodedPreview, None]:
    """Yield the previews of one picture, and store the picture."""
    body = drawing.body(n=1, stream=True, partial_images=drawing.request.previews)
    async with aclosing(_events(api, drawing.path, body)) as events:
        async for event in events:
            kind = str(event.get("type", "")).rpartition(".")[2]
            if kind == "partial_image":
                async with _file(api, event) as path:
                    yield await drawing.album.preview(path, int(event.get("partial_image_index") or 0))
            elif kind == "completed":
                async with _file(api, event) as path:
                    await drawing.album.add(path, NO_SEED)
                return
    raise api.http.failed("broke off in the middle of its picture")


async def _events(api: OpenAiApi, path: str, body: Any) -> AsyncGenerator[dict[str, Any], None]:
    async with aclosing(api.http.events(path, body, patience_s=api.options.image_patience_s)) as events:
        async for event in events:
            yield await api.read(event.data, "an event with a picture", dict)


def _file(api: OpenAiApi, item: dict[str, Any]) -> AbstractAsyncContextManager[Path]:
    """Keep a picture for the block, which came in one way or the other."""
    if text := item.get("b64_json"):
        return spooled_base64(str(text), api.http)
    if url := item.get("url"):
        return spooled_url(str(url), api.http)
    raise api.http.failed("answers with a picture that has neither bytes nor an address")


def _items(body: Any) -> list[dict[str, Any]]:
    return [dict(item) for item in body["data"]]
