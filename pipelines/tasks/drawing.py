"""What the three tasks that draw pictures share: their requests, what a pipeline yields, their result."""

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Annotated, Any, Self, TypeAlias, TypeVar

from PIL import Image
from pydantic import Field, StringConstraints, field_validator, model_validator

from pipelines.errors import ContentWithheld, InvalidInput
from pipelines.images import Encoding, PictureFormat, check_quality, write_still
from pipelines.tasks.base import MediaKey, Record, Task, TaskRequest, TaskResult, Usage, Workspace

MAX_PROMPT_LENGTH = 32_000
"""Characters, as OpenAI has it."""
MAX_SEED = 2**31 - 1
MAX_BATCH = 10
MAX_STEPS = 150
MAX_GUIDANCE = 30
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

    @property
    def usage(self) -> Usage:
        """Count the pictures."""
        return Usage(images=len(self.images))


class DrawRequest(TaskRequest[DrawResult]):
    """What every picture that is drawn needs; what is left out is the model's own default."""

    prompt: Annotated[
        str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_PROMPT_LENGTH)
    ]
    negative_prompt: str = Field(default="", max_length=MAX_PROMPT_LENGTH)
    batch_size: int = Field(default=1, ge=1, le=MAX_BATCH)
    seed: int | None = Field(default=None, ge=0, le=MAX_SEED)
    """Picture i of a batch has seed + i; None takes a random one, which the result tells."""
    steps: int | None = Field(default=None, ge=1, le=MAX_STEPS)
    guidance: float | None = Field(default=None, ge=0.0, le=MAX_GUIDANCE)
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

    @model_validator(mode="after")
    def _has_a_format_with_quality(self) -> Self:
        check_quality(self.output_format, self.quality)
        return self

    @property
    def keeps_pixels(self) -> bool:
        """Whether pixels of the result are promised; where the format can, it is written without loss."""
        return False

    @model_validator(mode="after")
    def _seeds_are_in_range(self) -> Self:
        last = MAX_SEED - self.batch_size + 1
        if self.seed is not None and self.seed > last:
            raise InvalidInput(
                f"Picture i of a batch has seed + i: for {self.batch_size} pictures give at most {last}.",
                "seed",
            )
        return self


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
class Notes:
    """What is done otherwise than asked, in sentences for people."""

    texts: tuple[str, ...]


DrawEvent: TypeAlias = Notes | Preview | Drawn
"""What a pipeline yields: notes, previews as they come, and the pictures in the order of their seeds."""


@dataclass(frozen=True)
class EncodedPreview:
    """A preview as it travels."""

    data: bytes
    format: PictureFormat
    number: int


StreamEvent: TypeAlias = EncodedPreview | DrawResult


class _Gallery:
    """Writes the finished pictures of a request into files, each as it comes: a batch may be large."""

    def __init__(self, request: DrawRequest, workspace: Workspace) -> None:
        self._request = request
        self._workspace = workspace
        self._images: list[DrawnImage] = []
        self._withheld: list[str] = []
        self.notes: list[str] = []

    def add(self, drawn: Drawn) -> None:
        """Write a picture, if it may be seen."""
        if drawn.withheld:
            number = len(self._images) + len(self._withheld) + 1
            self._withheld.append(f"Image {number} (seed {drawn.seed}) was withheld: {drawn.withheld}")
        else:
            self._images.append(_stored(drawn, self._request, self._workspace))

    def result(self) -> DrawResult:
        """Give all of them.

        Raises:
            ContentWithheld: none of them may be seen.
        """
        if not self._images:
            raise ContentWithheld(" ".join(self._withheld) + " Change the prompt.", "prompt")
        return DrawResult(images=tuple(self._images), notes=(*self.notes, *self._withheld))


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

    def stream(pipeline: Any, request: RequestT, workspace: Workspace) -> Generator[StreamEvent, None, None]:
        events: Iterator[DrawEvent] = getattr(pipeline, draw.__name__)(request, workspace)
        gallery = _Gallery(request, workspace)
        for event in events:
            workspace.check_cancelled()
            if isinstance(event, Preview):
                yield EncodedPreview(_encoded(event.image, request), request.output_format, event.number)
            elif isinstance(event, Drawn):
                gallery.add(event)
            else:
                gallery.notes += event.texts
        yield gallery.result()

    def run(pipeline: Any, request: RequestT, workspace: Workspace) -> DrawResult:
        *_, result = stream(pipeline, request, workspace)
        assert isinstance(result, DrawResult)
        return result

    return Task(name=name, protocol=protocol, request=request, result=DrawResult, run=run, stream=stream)


def _stored(drawn: Drawn, request: DrawRequest, workspace: Workspace) -> DrawnImage:
    lossless = request.keeps_pixels and request.quality is None
    encoding = Encoding(
        request.output_format, request.quality, parameters=drawn.parameters, lossless=lossless
    )
    with workspace.output(encoding.format.extension) as output:
        write_still(drawn.image, output.file, encoding)
    width, height = drawn.image.size
    return DrawnImage(image=output.key, width=width, height=height, seed=drawn.seed, format=encoding.format)


def _encoded(image: Image.Image, request: DrawRequest) -> bytes:
    file = BytesIO()
    write_still(image, file, Encoding(request.output_format, request.quality))
    return file.getvalue()
