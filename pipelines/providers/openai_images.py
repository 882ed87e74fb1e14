"""Pictures drawn and redrawn by a server that speaks OpenAI's wire format."""

import asyncio
from typing import Any

import aiohttp

from pipelines.images import PictureFormat, Size
from pipelines.providers.files import spooled_base64, spooled_url
from pipelines.providers.openai_sizes import drawn_size
from pipelines.providers.openai_wire import OpenAiApi, fits
from pipelines.providers.pictures import (
    Album,
    Finish,
    Sent,
    left_out,
    picture_size,
    redrawn,
    refuse_loras,
    scaled_to,
    sides,
    to_send,
)
from pipelines.tasks.base import Workspace
from pipelines.tasks.drawing import DrawRequest, DrawResult
from pipelines.tasks.image_to_image import ImageToImageRequest
from pipelines.tasks.image_with_mask import ImageWithMaskRequest
from pipelines.tasks.text_to_image import TextToImageRequest

_TUNING = ("negative_prompt", "steps", "guidance", "scheduler", "denoise", "previews")
_NAMES = {PictureFormat.JPG: "jpeg", PictureFormat.PNG: "png", PictureFormat.WEBP: "webp"}
NO_SEED = 0
"""What the result tells where there is none."""


async def text_to_image(api: OpenAiApi, request: TextToImageRequest, workspace: Workspace) -> DrawResult:
    """Draw pictures, and scale them where the model does not draw the size that is asked for."""
    refuse_loras(request, api.name)
    asked = sides(request.width, request.height)
    drawn = drawn_size(asked, request.model or "", api.options) if asked else None
    fields = _fields(api, request, drawn, stays=drawn == asked)
    album = _album(api, request, workspace, scaled_to(asked))
    for count in _counts(api, request):
        await _add(api, await api.http.post("/images/generations", {**fields, "n": count}), album)
    return album.result()


async def image_to_image(api: OpenAiApi, request: ImageToImageRequest, workspace: Workspace) -> DrawResult:
    """Redraw a picture, at its own size."""
    refuse_loras(request, api.name)
    size = await asyncio.to_thread(picture_size, request.image, workspace)
    drawn = drawn_size(size, request.model or "", api.options)
    sent = await asyncio.to_thread(to_send, request, drawn, workspace, alpha=True)
    stays = drawn == size and not request.keeps_pixels
    fields = _fields(api, request, drawn, stays=stays)
    album = _album(api, request, workspace, redrawn(request, sent.size, workspace))
    for note in sent.notes:
        album.note(note)
    for count in _counts(api, request):
        form = _form({**fields, "n": count}, sent, _is_gpt(api, request))
        await _add(api, await api.http.post_form("/images/edits", form), album)
    return album.result()


async def image_with_mask(api: OpenAiApi, request: ImageWithMaskRequest, workspace: Workspace) -> DrawResult:
    """Redraw the masked part of a picture."""
    return await image_to_image(api, request, workspace)


def _album(api: OpenAiApi, request: DrawRequest, workspace: Workspace, finish: Finish) -> Album:
    album = Album(api.http, request, workspace, finish, knows_quality=_is_gpt(api, request))
    for note in left_out(request, _TUNING, api.name):
        album.note(note)
    album.note(f"{api.name} takes no seed: the same picture cannot be drawn again.")
    return album


def _fields(api: OpenAiApi, request: DrawRequest, size: Size | None, stays: bool) -> dict[str, Any]:
    """Make what both requests have in common.

    Args:
        api: the server.
        request: what was asked for.
        size: to draw; None leaves it to the model.
        stays: whether the files can stay as they come; else they come without loss.
    """
    fields: dict[str, Any] = {"model": request.model, "prompt": request.prompt}
    if size:
        fields["size"] = f"{size[0]}x{size[1]}"
    if not _is_gpt(api, request):
        return {**fields, "response_format": "b64_json"}
    format_ = request.output_format if stays and request.output_format in _NAMES else PictureFormat.PNG
    fields["output_format"] = _NAMES[format_]
    if (default := format_.traits.default_quality) is not None:
        fields["output_compression"] = request.quality or default
    return fields


def _form(fields: dict[str, Any], sent: Sent, is_gpt: bool) -> aiohttp.FormData:
    form = aiohttp.FormData()
    for name, value in fields.items():
        form.add_field(name, str(value))
    form.add_field(
        "image[]" if is_gpt else "image", sent.image, filename="image.png", content_type="image/png"
    )
    if sent.mask is not None:
        form.add_field("mask", sent.mask, filename="mask.png", content_type="image/png")
    return form


async def _add(api: OpenAiApi, answer: bytes, album: Album) -> None:
    """Store the pictures of an answer."""
    items = await api.read(answer, "pictures", _items)
    del answer
    if not items:
        raise api.http.failed("answers without a picture")
    while items and not album.is_full:
        item = items.pop(0)
        if text := item.get("b64_json"):
            async with spooled_base64(str(text), api.http) as path:
                await album.add(path, NO_SEED)
        elif url := item.get("url"):
            async with spooled_url(str(url), api.http) as path:
                await album.add(path, NO_SEED)
        else:
            raise api.http.failed("answers with a picture that has neither bytes nor an address")


def _items(body: Any) -> list[dict[str, Any]]:
    return [dict(item) for item in body["data"]]


def _is_gpt(api: OpenAiApi, request: DrawRequest) -> bool:
    return fits(request.model or "", api.options.gpt_image_models)


def _counts(api: OpenAiApi, request: DrawRequest) -> list[int]:
    """Give how many pictures each request shall bring."""
    draws_one = fits(request.model or "", api.options.single_image_models)
    return [1] * request.batch_size if draws_one else [request.batch_size]
