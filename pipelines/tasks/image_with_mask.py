"""Image with mask (inpainting): a picture, a mask and a prompt in; the masked part redrawn."""

from collections.abc import Iterator
from enum import StrEnum
from typing import Literal, Protocol, runtime_checkable

from pipelines.tasks.base import MediaKey, Workspace
from pipelines.tasks.drawing import DrawEvent, drawing_task
from pipelines.tasks.image_to_image import ImageToImageRequest


class MaskChannel(StrEnum):
    """Where a mask says what to repaint."""

    RED = "red"
    """Where its red is high (AI Server's way)."""
    ALPHA = "alpha"
    """Where it is transparent (OpenAI's way)."""


class ImageWithMaskRequest(ImageToImageRequest):
    """The picture, and which part of it shall be redrawn."""

    mask: MediaKey
    mask_channel: MaskChannel = MaskChannel.RED
    keep_unmasked: bool = True
    """Whether the rest of the picture is put back exactly; the model alone changes it a little."""

    @property
    def keeps_pixels(self) -> bool:
        """The rest of the picture, if it is kept."""
        return self.keep_unmasked


@runtime_checkable
class ImageWithMaskPipeline(Protocol):
    """A model that redraws a part of a picture."""

    def image_with_mask(self, request: ImageWithMaskRequest, workspace: Workspace) -> Iterator[DrawEvent]:
        """Yield the previews that were asked for, and the drawings at the end."""


NAME: Literal["image-with-mask"] = "image-with-mask"
IMAGE_WITH_MASK = drawing_task(
    NAME, ImageWithMaskPipeline, ImageWithMaskRequest, ImageWithMaskPipeline.image_with_mask
)
