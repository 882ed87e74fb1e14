"""What a server that speaks OpenAI's wire format is sent to draw or redraw pictures."""

import asyncio
from dataclasses import dataclass
from typing import Any

import aiohttp

from pipelines.images import PictureFormat, Size
from pipelines.providers.base import fits
from pipelines.providers.openai_sizes import drawn_size
from pipelines.providers.openai_wire import OpenAiApi
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
from pipelines.tasks.drawing import DrawRequest
from pipelines.tasks.image_to_image import ImageToImageRequest
from pipelines.tasks.text_to_image import TextToImageRequest

_TUNING = ("negative_prompt", "steps", "guidance", "scheduler", "denoise")
_NAMES = {PictureFormat.JPG: "jpeg", PictureFormat.PNG: "png", PictureFormat.WEBP: "webp"}


@dataclass(frozen=True)
class Drawing:
    """One request on its way."""

    request: DrawRequest
    path: str
    fields: dict[str, Any]
    album: Album
    is_gpt: bool
    """Whether the model is one of OpenAI's newer ones, which know more and are told otherwise."""
    draws_one: bool
    """Whether the model draws one picture a request."""
    sent: Sent | None = None
    """What is redrawn."""

    @property
    def counts(self) -> list[int]:
        """How many pictures each of the server's requests shall bring."""
        return [1] * self.request.batch_size if self.draws_one else [self.request.batch_size]

    def body(self, **more: Any) -> dict[str, Any] | aiohttp.FormData:
        """Make a body, with more fields than those that all have: an object, or a form with files."""
        fields = {**self.fields, **more}
        if self.sent is None:
            return fields
        form = aiohttp.FormData()
        for name, value in fields.items():
            form.add_field(name, str(value).lower() if isinstance(value, bool) else str(value))
        image = "image[]" if self.is_gpt else "image"
        form.add_field(image, self.sent.image, filename="image.png", content_type="image/png")
        if self.sent.mask is not None:
            form.add_field("mask", self.sent.mask, filename="mask.png", content_type="image/png")
        return form


async def drawing_of_text(api: OpenAiApi, request: TextToImageRequest, workspace: Workspace) -> Drawing:
    """Prepare pictures of a prompt, which are scaled where the model does not draw the size asked for."""
    refuse_loras(request, api.name)
    asked = sides(request.width, request.height)
    drawn = drawn_size(asked, request.model or "", api.options) if asked else None
    fields = _fields(api, request, drawn, stays=drawn == asked)
    return _drawing(
        api, request, "/images/generations", fields, _album(api, request, workspace, scaled_to(asked))
    )


async def drawing_of_image(api: OpenAiApi, request: ImageToImageRequest, workspace: Workspace) -> Drawing:
    """Prepare a picture redrawn at its own size, wholly or where its mask says so."""
    refuse_loras(request, api.name)
    size = await asyncio.to_thread(picture_size, request.image, workspace)
    drawn = drawn_size(size, request.model or "", api.options)
    sent = await asyncio.to_thread(to_send, request, drawn, workspace, alpha=True)
    fields = _fields(api, request, drawn, stays=drawn == size and not request.keeps_pixels)
    album = _album(api, request, workspace, redrawn(request, sent.size, workspace))
    for note in sent.notes:
        album.note(note)
    return _drawing(api, request, "/images/edits", fields, album, sent)


def _drawing(
    api: OpenAiApi,
    request: DrawRequest,
    path: str,
    fields: dict[str, Any],
    album: Album,
    sent: Sent | None = None,
) -> Drawing:
    draws_one = fits(request.model or "", api.options.single_image_models)
    return Drawing(request, path, fields, album, _is_gpt(api, request), draws_one, sent)


def _album(api: OpenAiApi, request: DrawRequest, workspace: Workspace, finish: Finish) -> Album:
    album = Album(api.http, request, workspace, finish, knows_quality=_is_gpt(api, request))
    names = _TUNING if _is_gpt(api, request) else (*_TUNING, "previews")
    for note in left_out(request, names, api.name):
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


def _is_gpt(api: OpenAiApi, request: DrawRequest) -> bool:
    return fits(request.model or "", api.options.gpt_image_models)
