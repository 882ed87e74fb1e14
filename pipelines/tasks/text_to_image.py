"""Text to image: a prompt in; one picture or several out."""

from collections.abc import Iterator
from typing import Literal, Protocol, runtime_checkable

from pipelines.tasks.base import Workspace
from pipelines.tasks.drawing import DrawEvent, DrawRequest, Side, drawing_task


class TextToImageRequest(DrawRequest):
    """A prompt, and how large the pictures shall be; a size left out is the model's own."""

    width: Side | None = None
    height: Side | None = None


@runtime_checkable
class TextToImagePipeline(Protocol):
    """A model that draws."""

    def text_to_image(self, request: TextToImageRequest, workspace: Workspace) -> Iterator[DrawEvent]:
        """Yield the previews that were asked for, and the drawings at the end."""


NAME: Literal["text-to-image"] = "text-to-image"
TEXT_TO_IMAGE = drawing_task(NAME, TextToImagePipeline, TextToImageRequest, TextToImagePipeline.text_to_image)
