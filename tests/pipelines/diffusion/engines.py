"""The engines at work: ours, diffusers' own beside them, and what is to be seen of the calls between them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from pipelines.diffusion.pipeline import DiffusionPipeline
from pipelines.loading import EngineSettings
from pipelines.tasks.drawing import DrawEvent, Drawn, DrawRequest, Notes, Preview
from pipelines.tasks.image_to_image import ImageToImageRequest
from pipelines.tasks.image_with_mask import ImageWithMaskRequest
from pipelines.tasks.text_to_image import TextToImageRequest
from tests.fakes import FolderWorkspace

ENGINE = EngineSettings(threads=1, model_id="tiny")
RequestT = TypeVar("RequestT", bound=DrawRequest)


@dataclass(frozen=True)
class Family:
    """Our pipeline, and diffusers' three of the same checkpoint, by kind."""

    ours: DiffusionPipeline
    bare: dict[str, Any]
    arguments: dict[str, Any]
    """What ours gives to diffusers of its own accord."""


def events(pipeline: DiffusionPipeline, request: DrawRequest, workspace: FolderWorkspace) -> list[DrawEvent]:
    """Do what the request asks for, as its task does."""
    if isinstance(request, ImageWithMaskRequest):
        return list(pipeline.image_with_mask(request, workspace))
    if isinstance(request, ImageToImageRequest):
        return list(pipeline.image_to_image(request, workspace))
    assert isinstance(request, TextToImageRequest)
    return list(pipeline.text_to_image(request, workspace))


@dataclass(frozen=True)
class Drawings:
    """What came of a request."""

    pictures: tuple[Drawn, ...]
    notes: tuple[str, ...]


def drawings(pipeline: DiffusionPipeline, request: DrawRequest, workspace: FolderWorkspace) -> Drawings:
    """Do what the request asks for."""
    return finished(events(pipeline, request, workspace))


def finished(events: Sequence[DrawEvent]) -> Drawings:
    """Give what came of it in the end."""
    notes = tuple(text for event in events if isinstance(event, Notes) for text in event.texts)
    return Drawings(tuple(event for event in events if isinstance(event, Drawn)), notes)


def previews(events: Sequence[DrawEvent]) -> list[Preview]:
    """Give those of the events that are previews."""
    return [event for event in events if isinstance(event, Preview)]


def images(
    pipeline: DiffusionPipeline, request: DrawRequest, workspace: FolderWorkspace
) -> list[Image.Image]:
    """Give the pictures alone."""
    return [drawn.image for drawn in drawings(pipeline, request, workspace).pictures]


def bare_images(family: Family, kind: str, seeds: Sequence[int], **arguments: Any) -> list[Image.Image]:
    """Call diffusers itself."""
    generator = [torch.Generator("cpu").manual_seed(seed) for seed in seeds]
    result: list[Image.Image] = family.bare[kind](
        **{**family.arguments, **arguments}, generator=generator
    ).images
    return result


def pixels(image: Image.Image) -> npt.NDArray[np.int16]:
    """Give the values of a picture, ready to be subtracted."""
    return np.asarray(image).astype(np.int16)


def farthest(one: Image.Image, other: Image.Image) -> int:
    """Give the largest difference of two pictures in any pixel, of 255."""
    assert one.size == other.size
    return int(np.abs(pixels(one) - pixels(other)).max())


def mean_difference(one: Image.Image, other: Image.Image) -> float:
    """Give how much two pictures differ on average, of 255."""
    return float(np.abs(pixels(one) - pixels(other)).mean())
