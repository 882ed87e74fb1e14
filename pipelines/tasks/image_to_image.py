"""Image to image: a picture and a prompt in; the picture redrawn, at its own size."""

from collections.abc import Iterator
from typing import Literal, Protocol, runtime_checkable

from pydantic import Field

from pipelines.tasks.base import MediaKey, Workspace
from pipelines.tasks.drawing import DrawEvent, DrawRequest, drawing_task

DEFAULT_DENOISE = 0.5
"""AI Server's."""


class ImageToImageRequest(DrawRequest):
    """The picture to start from, and what shall become of it."""

    image: MediaKey
    denoise: float = Field(default=DEFAULT_DENOISE, gt=0.0, le=1.0)
    """How much is redrawn: near 0 keeps the picture, 1 forgets it."""


@runtime_checkable
class ImageToImagePipeline(Protocol):
    """A model that redraws."""

    def image_to_image(self, request: ImageToImageRequest, workspace: Workspace) -> Iterator[DrawEvent]:
        """Yield the previews that were asked for, and the drawings at the end."""


NAME: Literal["image-to-image"] = "image-to-image"
IMAGE_TO_IMAGE = drawing_task(
    NAME, ImageToImagePipeline, ImageToImageRequest, ImageToImagePipeline.image_to_image
)
