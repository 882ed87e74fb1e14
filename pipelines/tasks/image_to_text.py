"""Image to text: a picture in; a caption, the text that it shows, or the names of what is on it out."""

from typing import Literal, Protocol, runtime_checkable

from pydantic import Field

from pipelines.tasks.base import MediaKey, Record, Task, TaskRequest, TaskResult, Usage, Workspace

MAX_PROMPT_LENGTH = 10_000
"""Characters."""


class Box(Record):
    """A rectangle in pixels of the picture as it is displayed."""

    left: int
    top: int
    right: int
    bottom: int


class Label(Record):
    """One thing, or one piece of text, that was found."""

    text: str
    score: float | None = Field(default=None, ge=0.0, le=1.0)
    """How sure the model is; None where it does not say."""
    box: Box | None = None
    """Where it is; None where the model does not say."""


class ImageToTextResult(TaskResult):
    """What the picture shows, in words."""

    text: str
    labels: tuple[Label, ...] = ()
    tokens: Usage = Usage()
    """Of models that count them."""

    @property
    def usage(self) -> Usage:
        """Tell the tokens."""
        return self.tokens


class ImageToTextRequest(TaskRequest[ImageToTextResult]):
    """One picture, and what is wanted of it; of an animation its first frame counts."""

    image: MediaKey
    prompt: str | None = Field(default=None, max_length=MAX_PROMPT_LENGTH)
    """What is wanted, as `pipelines.seeing.wishes` reads it; None is a caption."""


@runtime_checkable
class ImageToTextPipeline(Protocol):
    """A model that sees."""

    def image_to_text(self, request: ImageToTextRequest, workspace: Workspace) -> ImageToTextResult:
        """Say what the picture shows."""


def run(
    pipeline: ImageToTextPipeline, request: ImageToTextRequest, workspace: Workspace
) -> ImageToTextResult:
    """Have the pipeline look at the picture."""
    return pipeline.image_to_text(request, workspace)


NAME: Literal["image-to-text"] = "image-to-text"
IMAGE_TO_TEXT = Task(
    name=NAME,
    protocol=ImageToTextPipeline,
    request=ImageToTextRequest,
    result=ImageToTextResult,
    run=run,
)
