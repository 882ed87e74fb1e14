"""What the three tasks that draw pictures share: their requests, what a pipeline yields, their result."""

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Annotated, Any, TypeAlias, TypeVar

from PIL import Image
from pydantic import Field, StringConstraints, field_validator

from pipelines.errors import ContentWithheld, InvalidInput
from pipelines.images import Encoding, PictureFormat, write_still
from pipelines.tasks.base import MediaKey, Record, Task, TaskRequest, TaskResult, Workspace

MAX_PROMPT_LENGTH = 32_000
"""Characters, as OpenAI has it."""
MAX_SEED = 2**31 - 1
MAX_BATCH = 10
FORMATS = (PictureFormat.WEBP, PictureFormat.PNG, PictureFormat.JPG, PictureFormat.AVIF)
"""What drawn pictures can be written as; the first is the default, as AI Server has it."""

MIN_SIDE, MAX_SIDE = 64, 2048
Side = Annotated[int, Field(ge=MIN_SIDE, le=MAX_SIDE)]
"""Pixels of one side of a picture to draw."""


class DrawnImage(Record):
    """One picture that was drawn."""

    image: MediaKey
    width: int
    height: int
    seed: int
    """Draws the same picture again, with the same model, size and settings."""
    format: PictureFormat


class DrawResult(TaskResult):
    """The pictures, in the order of their seeds."""

    images: tuple[DrawnImage, ...]
    notes: tuple[str, ...] = ()
    """What was done otherwise than asked, in sentences for people."""


class DrawRequest(TaskRequest[DrawResult]):
    """What every picture that is drawn needs; what is left out is the model's own default."""

    prompt: Annotated[
        str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_PROMPT_LENGTH)
    ]
    negative_prompt: str = Field(default="", max_length=MAX_PROMPT_LENGTH)
    batch_size: int = Field(default=1, ge=1, le=MAX_BATCH)
    seed: int | None = Field(default=None, ge=0, le=MAX_SEED)
    """Picture i of a batch has seed + i; None takes a random one, which the result tells."""
    steps: int | None = Field(default=None, ge=1, le=150)
    guidance: float | None = Field(default=None, ge=0.0, le=30.0)
    """How much the picture follows the prompt (classifier-free guidance)."""
    scheduler: str | None = Field(default=None, max_length=40)
    loras: tuple[str, ...] = Field(default=(), max_length=8)
    """Names of the model's configured LoRAs, each optionally with its weight: ``sketch:0.8``."""
    output_format: PictureFormat = FORMATS[0]
    quality: int | None = Field(default=None, ge=1, le=100)
    """For webp, jpg and avif; None is the format's default."""
    previews: int = Field(default=0, ge=0, le=3)
    """Pictures on the way that a stream shows."""

    @field_validator("output_format")
    @classmethod
    def _can_be_written(cls, chosen: PictureFormat) -> PictureFormat:
        if chosen not in FORMATS:
            raise InvalidInput(f"Pictures are drawn as {', '.join(FORMATS)}, not {chosen}.", "output_format")
        return chosen


RequestT = TypeVar("RequestT", bound=DrawRequest)


@dataclass(frozen=True)
class Preview:
    """A picture that is not finished."""

    image: Image.Image
    number: int
    """Counts from 0."""


@dataclass(frozen=True)
class Drawn:
    """One finished picture."""

    image: Image.Image
    """RGB, of the size that was asked for."""
    seed: int
    parameters: str | None = None
    """How it was made, for the file's metadata; None writes none."""
    withheld: str | None = None
    """Why nobody may see it."""


@dataclass(frozen=True)
class Drawings:
    """The last event of every run: all pictures of the batch."""

    pictures: tuple[Drawn, ...]
    notes: tuple[str, ...] = ()


DrawEvent: TypeAlias = Preview | Drawings
"""What a pipeline yields: previews as they come, and the drawings at the end."""


@dataclass(frozen=True)
class EncodedPreview:
    """A preview as it travels."""

    data: bytes
    format: PictureFormat
    number: int


StreamEvent: TypeAlias = EncodedPreview | DrawResult


def stored(drawings: Drawings, request: DrawRequest, workspace: Workspace) -> DrawResult:
    """Write the finished pictures into files.

    Raises:
        ContentWithheld: none of them may be seen.
    """
    images, notes = [], list(drawings.notes)
    for index, drawn in enumerate(drawings.pictures):
        if drawn.withheld:
            notes.append(f"Image {index + 1} (seed {drawn.seed}) was withheld: {drawn.withheld}")
            continue
        workspace.check_cancelled()
        images.append(_stored(drawn, request, workspace))
    if not images:
        raise ContentWithheld(" ".join(notes[len(drawings.notes) :]) + " Change the prompt.", "prompt")
    return DrawResult(images=tuple(images), notes=tuple(notes))


def drawing_task(
    name: str,
    protocol: type[Any],
    request: type[RequestT],
    draw: Callable[[Any, RequestT, Workspace], Iterator[DrawEvent]],
) -> Task[RequestT, DrawResult]:
    """Make a task that draws.

    Args:
        name: of the task.
        protocol: what its pipelines offer.
        request: its record.
        draw: the protocol's method.
    """

    def events(pipeline: Any, request: RequestT, workspace: Workspace) -> Iterator[DrawEvent]:
        drawn: Iterator[DrawEvent] = getattr(pipeline, draw.__name__)(request, workspace)
        return drawn

    def stream(pipeline: Any, request: RequestT, workspace: Workspace) -> Generator[StreamEvent, None, None]:
        for event in events(pipeline, request, workspace):
            workspace.check_cancelled()
            if isinstance(event, Preview):
                yield EncodedPreview(_encoded(event.image, request), request.output_format, event.number)
            else:
                yield stored(event, request, workspace)

    def run(pipeline: Any, request: RequestT, workspace: Workspace) -> DrawResult:
        *_, drawings = events(pipeline, request, workspace)
        assert isinstance(drawings, Drawings)
        return stored(drawings, request, workspace)

    return Task(name=name, protocol=protocol, request=request, result=DrawResult, run=run, stream=stream)


def _stored(drawn: Drawn, request: DrawRequest, workspace: Workspace) -> DrawnImage:
    encoding = Encoding(request.output_format, request.quality, parameters=drawn.parameters)
    with workspace.output(encoding.format.extension) as output:
        write_still(drawn.image, output.file, encoding)
    width, height = drawn.image.size
    return DrawnImage(image=output.key, width=width, height=height, seed=drawn.seed, format=encoding.format)


def _encoded(image: Image.Image, request: DrawRequest) -> bytes:
    file = BytesIO()
    write_still(image, file, Encoding(request.output_format, request.quality))
    return file.getvalue()
