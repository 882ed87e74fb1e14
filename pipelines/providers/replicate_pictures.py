"""Pictures drawn, redrawn and enlarged by Replicate's models."""

import asyncio
import secrets
from base64 import b64encode
from dataclasses import dataclass
from typing import Any

from pipelines.images import Encoding, PictureFormat, Size, check_quality
from pipelines.providers.files import spooled_url
from pipelines.providers.http import ProviderHttp
from pipelines.providers.pictures import (
    Album,
    Finish,
    left_out,
    png_of,
    redrawn,
    refuse_loras,
    scaled_to,
    sides,
    store,
    to_send,
    usable,
)
from pipelines.providers.replicate_predictions import Predictions
from pipelines.providers.replicate_wire import InputName, Names, ReplicateOptions, files_of
from pipelines.tasks.base import Workspace
from pipelines.tasks.drawing import MAX_SEED, DrawRequest, DrawResult
from pipelines.tasks.image_to_image import ImageToImageRequest
from pipelines.tasks.image_upscale import ImageUpscaleRequest, ImageUpscaleResult
from pipelines.tasks.image_with_mask import ImageWithMaskRequest
from pipelines.tasks.text_to_image import TextToImageRequest

MAX_INLINE_BYTES = 256 * 1024
"""Of a file that stands in the request as ``data:``; larger ones are uploaded before."""
_TUNING: tuple[InputName, ...] = ("negative_prompt", "steps", "guidance", "scheduler", "denoise")
_NO_SEED = 0
_FORMATS = (PictureFormat.WEBP, PictureFormat.PNG, PictureFormat.JPG)


@dataclass(frozen=True)
class ReplicateApi:
    """Replicate, as the tasks use it."""

    http: ProviderHttp
    options: ReplicateOptions
    name: str
    """Of the provider, for sentences to people."""
    predictions: Predictions


async def text_to_image(api: ReplicateApi, request: TextToImageRequest, workspace: Workspace) -> DrawResult:
    """Draw pictures, and scale them where the model does not draw the size that is asked for."""
    refuse_loras(request, api.name)
    asked = sides(request.width, request.height)
    shape = _shape(asked, api.options) if asked else {}
    takes_size = api.options.names(request.model or "").get("width")
    is_exact = asked is None or bool(takes_size and (shape["width"], shape["height"]) == asked)
    return await _draw(api, request, workspace, scaled_to(asked), shape, stays=is_exact)


async def image_to_image(api: ReplicateApi, request: ImageToImageRequest, workspace: Workspace) -> DrawResult:
    """Redraw a picture, at its own size."""
    refuse_loras(request, api.name)
    sent = await asyncio.to_thread(to_send, request, None, workspace, alpha=False)
    given: dict[InputName, Any] = {"image": await _file(api, sent.image), "denoise": request.denoise}
    if sent.mask is not None:
        given["mask"] = await _file(api, sent.mask)
    finish = redrawn(request, sent.size, workspace)
    return await _draw(api, request, workspace, finish, given, stays=False, notes=sent.notes)


async def image_with_mask(
    api: ReplicateApi, request: ImageWithMaskRequest, workspace: Workspace
) -> DrawResult:
    """Redraw the masked part of a picture."""
    return await image_to_image(api, request, workspace)


async def image_upscale(
    api: ReplicateApi, request: ImageUpscaleRequest, workspace: Workspace
) -> ImageUpscaleResult:
    """Enlarge a picture."""
    check_quality(request.output_format, request.quality)
    sent = await asyncio.to_thread(png_of, request.image, workspace)
    wanted = (sent.size[0] * request.scale, sent.size[1] * request.scale)
    inputs = _named(api, request.model, {"image": await _file(api, sent.image), "scale": request.scale})
    (url, *_) = _files(api, await api.predictions.output(request.model or "", inputs))
    encoding = Encoding(request.output_format, request.quality)
    async with spooled_url(url, api.http) as path:
        with usable(api.http):
            stored = await asyncio.to_thread(
                store, path, encoding, scaled_to(wanted), workspace, request.quality is None
            )
    note = [] if stored.came_as == wanted else [f"Enlarged to {stored.came_as[0]}x{stored.came_as[1]} there."]
    return ImageUpscaleResult(
        image=stored.key,
        width=wanted[0],
        height=wanted[1],
        format=request.output_format,
        notes=(*sent.notes, *note),
    )


async def _draw(
    api: ReplicateApi,
    request: DrawRequest,
    workspace: Workspace,
    finish: Finish,
    given: dict[InputName, Any],
    stays: bool,
    notes: tuple[str, ...] = (),
) -> DrawResult:
    """Draw a batch.

    Args:
        api: Replicate.
        request: what was asked for.
        workspace: of the run.
        finish: makes of each picture what was asked for.
        given: inputs beside those that all requests have.
        stays: whether the pictures come in the size that was asked for.
        notes: sentences for people.
    """
    names = api.options.names(request.model or "")
    knows_quality = bool(stays and names.get("output_format") and names.get("quality"))
    album = Album(api.http, request, workspace, finish, knows_quality=knows_quality)
    for note in (*notes, *_left_out(api, request, names)):
        album.note(note)
    inputs = {**_common(request, stays), **given}
    seed = secrets.randbelow(MAX_SEED - request.batch_size + 1) if request.seed is None else request.seed
    at_once = request.batch_size if names.get("batch_size") else 1
    if at_once > 1:
        album.note(f"The pictures were drawn at once with the seed {seed}: only all of them come again.")
        inputs["batch_size"] = at_once
    seeds = range(seed, seed + request.batch_size, at_once)
    batches = [_named(api, request.model, {**inputs, "seed": first}) for first in seeds]
    outputs = await api.predictions.outputs(request.model or "", batches)
    for first, output in zip(seeds, outputs, strict=True):
        for index, url in enumerate(_files(api, output)[:at_once]):
            async with spooled_url(url, api.http) as path:
                await album.add(path, first + index if names.get("seed") else _NO_SEED)
    return album.result()


def _files(api: ReplicateApi, output: Any) -> list[str]:
    """Give the addresses of what a model made; at least one."""
    urls = files_of(output)
    if not urls:
        raise api.http.failed("answers without a file")
    return urls


def _common(request: DrawRequest, stays: bool) -> dict[InputName, Any]:
    """Give the inputs that all drawings have, of those that the request names."""
    format_ = request.output_format if stays and request.output_format in _FORMATS else PictureFormat.PNG
    inputs: dict[InputName, Any] = {
        "prompt": request.prompt,
        "negative_prompt": request.negative_prompt or None,
        "steps": request.steps,
        "guidance": request.guidance,
        "scheduler": request.scheduler,
        "output_format": format_.value,
        "quality": request.quality or format_.traits.default_quality,
    }
    return {name: value for name, value in inputs.items() if value is not None}


def _left_out(api: ReplicateApi, request: DrawRequest, names: Names) -> list[str]:
    unknown = tuple(name for name in _TUNING if not names.get(name))
    model = f"{request.model} at {api.name}"
    notes = left_out(request, (*unknown, "previews"), model)
    if not names.get("seed"):
        notes.append(f"{model} takes no seed: the same picture cannot be drawn again.")
    return notes


def _named(api: ReplicateApi, model: str | None, inputs: dict[InputName, Any]) -> dict[str, Any]:
    """Call the inputs what the model calls them; what it does not take is left out."""
    names = api.options.names(model or "")
    named = {theirs: value for ours, value in inputs.items() if (theirs := names.get(ours))}
    return {**api.options.constants_of(model or ""), **named}


def _shape(asked: Size, options: ReplicateOptions) -> dict[InputName, Any]:
    """Give the shape in all ways that models may want it."""
    width, height = (-(-side // options.side_multiple) * options.side_multiple for side in asked)
    return {"width": width, "height": height, "aspect_ratio": _aspect_ratio(asked, options.aspect_ratios)}


def _aspect_ratio(asked: Size, listed: tuple[str, ...]) -> str:
    def distance(text: str) -> float:
        width, _, height = text.partition(":")
        one, other = asked[0] / asked[1], int(width) / int(height)
        return max(one / other, other / one)

    return min(listed, key=distance)


async def _file(api: ReplicateApi, png: bytes) -> str:
    """Give an address for a file that a model shall read."""
    if len(png) > MAX_INLINE_BYTES:
        return await api.predictions.upload(png, "image.png", "image/png")
    return f"data:image/png;base64,{b64encode(png).decode()}"
