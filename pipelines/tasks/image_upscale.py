"""Image upscaling: a picture in, the same picture two to four times as large out."""

from typing import Literal, Protocol, runtime_checkable

from pydantic import Field

from pipelines.images import PictureFormat
from pipelines.tasks.base import MediaKey, Task, TaskRequest, TaskResult, Usage, Workspace


class ImageUpscaleResult(TaskResult):
    """The enlarged picture."""

    image: MediaKey
    width: int
    height: int
    format: PictureFormat
    notes: tuple[str, ...] = ()
    """What was done otherwise than asked, in sentences for people."""

    @property
    def usage(self) -> Usage:
        """Count the picture."""
        return Usage(images=1)


class ImageUpscaleRequest(TaskRequest[ImageUpscaleResult]):
    """One picture and how many times as wide and high it shall become; an animation gives its first frame."""

    image: MediaKey
    scale: int = Field(default=2, ge=2, le=4)
    output_format: PictureFormat = PictureFormat.WEBP
    """AI Server's default."""
    quality: int | None = Field(default=None, ge=1, le=100)
    """For jpg, webp and avif; None is their default (85, 80, 75)."""


@runtime_checkable
class ImageUpscalePipeline(Protocol):
    """A model that enlarges pictures."""

    def image_upscale(self, request: ImageUpscaleRequest, workspace: Workspace) -> ImageUpscaleResult:
        """Enlarge a picture into a file."""


def run(
    pipeline: ImageUpscalePipeline, request: ImageUpscaleRequest, workspace: Workspace
) -> ImageUpscaleResult:
    """Have the pipeline enlarge the picture."""
    return pipeline.image_upscale(request, workspace)


NAME: Literal["image-upscale"] = "image-upscale"
IMAGE_UPSCALE = Task(
    name=NAME,
    protocol=ImageUpscalePipeline,
    request=ImageUpscaleRequest,
    result=ImageUpscaleResult,
    run=run,
)
