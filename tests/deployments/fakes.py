"""Models and a backend named by their behaviour; they stand in for the cluster, the rest is real."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from typing import Any, TypeVar, cast

import numpy as np
from PIL import Image

from cluster.artifacts.store import ArtifactStore
from deployments.backend import Backend
from deployments.runs import RunInfo
from deployments.workspace import RunWorkspace
from pipelines.errors import EngineError, InvalidInput, UnsupportedMedia
from pipelines.images import Encoding, open_image, write_still
from pipelines.tasks import TASKS
from pipelines.tasks.base import MediaKey, RunLimits, TaskRequest, TaskResult, Workspace
from pipelines.tasks.drawing import DrawEvent, Drawn, DrawRequest, Notes, Preview
from pipelines.tasks.image_to_image import ImageToImageRequest
from pipelines.tasks.image_to_text import ImageToTextRequest, ImageToTextResult, Label
from pipelines.tasks.image_upscale import ImageUpscaleRequest, ImageUpscaleResult
from pipelines.tasks.image_with_mask import ImageWithMaskRequest
from pipelines.tasks.speech_to_text import Segment, SpeechToTextRequest, SpeechToTextSummary
from pipelines.tasks.text_to_image import TextToImageRequest
from pipelines.tasks.text_to_speech import SpokenAudio, TextToSpeechRequest
from pipelines.transforms import TRANSFORMS

ResultT = TypeVar("ResultT", bound=TaskResult)


class TonePipeline:
    """Speaks each word as a tenth of a second of a constant tone; refuses the word ``unspeakable``."""

    def text_to_speech(self, request: TextToSpeechRequest, workspace: Workspace) -> Iterator[SpokenAudio]:
        """Yield one piece per word."""
        for word in request.text.split():
            if word == "unspeakable":
                raise InvalidInput("'unspeakable' cannot be spoken. Leave it out.", "text")
            yield SpokenAudio(samples=np.full(1600, 1000, dtype=np.int16), sample_rate=16_000)


class LineReader:
    """Hears each line of the audio's bytes as one phrase of a second and a half; other files are refused."""

    def __init__(self) -> None:
        self.requests: list[SpeechToTextRequest] = []

    def speech_to_text(
        self, request: SpeechToTextRequest, workspace: Workspace
    ) -> Iterator[Segment | SpeechToTextSummary]:
        """Yield one segment per line."""
        self.requests.append(request)
        try:
            lines = workspace.input(request.audio).read_text().splitlines()
        except UnicodeDecodeError as error:
            raise UnsupportedMedia("The file has no lines. Send audio.", "audio") from error
        if not lines:
            raise UnsupportedMedia("The file is empty. Send audio.", "audio")
        for number, line in enumerate(lines):
            start_s = number * 1.5
            yield Segment(id=number, start_s=start_s, end_s=start_s + 1.5, text=f" {line}")
        yield SpeechToTextSummary(language=request.language or "en", duration_s=1.5 * len(lines))


class SeedPainter:
    """Fills each picture with grey, as bright as its seed (7 where there is none).

    Four words of the prompt make trouble: ``shocking`` pictures are withheld, of ``surprising`` ones only
    the last; ``fragile`` ones break after the first preview; ``impossible`` ones are refused. It knows no
    schedulers, and says so.
    """

    def __init__(self) -> None:
        self.requests: list[Any] = []
        self.files: list[bytes] = []
        """What the requests named: picture, mask."""

    def text_to_image(self, request: TextToImageRequest, workspace: Workspace) -> Iterator[DrawEvent]:
        """Paint in the given size, else 64 x 64."""
        return self._paint(request, (request.width or 64, request.height or 64))

    def image_to_image(self, request: ImageToImageRequest, workspace: Workspace) -> Iterator[DrawEvent]:
        """Paint in the size of the picture."""
        return self._paint(request, self._size(request.image, workspace))

    def image_with_mask(self, request: ImageWithMaskRequest, workspace: Workspace) -> Iterator[DrawEvent]:
        """Paint in the size of the picture, over all of it."""
        size = self._size(request.image, workspace)
        self._size(request.mask, workspace)
        return self._paint(request, size)

    def _size(self, key: MediaKey, workspace: Workspace) -> tuple[int, int]:
        self.files.append(workspace.input(key).read_bytes())
        with open_image(workspace.input(key), "image", workspace.limits.image_pixels) as picture:
            return picture.size

    def _paint(self, request: DrawRequest, size: tuple[int, int]) -> Iterator[DrawEvent]:
        self.requests.append(request)
        if "impossible" in request.prompt:
            raise InvalidInput("This cannot be drawn. Ask for something else.", "prompt")
        seed = 7 if request.seed is None else request.seed
        for number in range(request.previews):
            yield Preview(Image.new("RGB", (8, 8), "black"), number)
            if "fragile" in request.prompt:
                raise EngineError("the engine gave up")
        last = request.batch_size - 1
        withheld = [
            "shocking" in request.prompt or ("surprising" in request.prompt and number == last)
            for number in range(request.batch_size)
        ]
        if request.scheduler:
            yield Notes((f"There is no scheduler {request.scheduler}.",))
        for number, hidden in enumerate(withheld):
            image = Image.new("RGB", size, (seed + number,) * 3)
            yield Drawn(image, seed + number, withheld="Too much." * hidden)


class Doubler:
    """Enlarges by repeating pixels."""

    def image_upscale(self, request: ImageUpscaleRequest, workspace: Workspace) -> ImageUpscaleResult:
        """Enlarge."""
        with open_image(workspace.input(request.image), "image", workspace.limits.image_pixels) as picture:
            image = picture.frame().image
        width, height = (side * request.scale for side in picture.size)
        encoding = Encoding(request.output_format, request.quality)
        with workspace.output(encoding.format.extension) as output:
            write_still(image.resize((width, height), Image.Resampling.NEAREST), output.file, encoding)
        return ImageUpscaleResult(image=output.key, width=width, height=height, format=encoding.format)


class SizeReader:
    """Tells a picture's size; asked with a prompt, it finds that prompt in it."""

    def image_to_text(self, request: ImageToTextRequest, workspace: Workspace) -> ImageToTextResult:
        """Look at the picture's header."""
        with open_image(workspace.input(request.image), "image", workspace.limits.image_pixels) as picture:
            width, height = picture.size
        labels = (Label(text=request.prompt, score=0.5), Label(text="ü")) if request.prompt else ()
        return ImageToTextResult(text=f"A picture of {width} x {height}.", labels=labels)


class LocalBackend:
    """A `Backend` without a cluster: runs tasks with one pipeline, and transforms with none, in threads."""

    def __init__(self, artifacts: ArtifactStore, pipeline: Any = None) -> None:
        self._artifacts = artifacts
        self._pipeline = pipeline

    async def run(self, task: str, request: TaskRequest[ResultT], info: RunInfo) -> ResultT:
        """Do the work and give its result."""
        workspace = RunWorkspace(self._artifacts, info.owner, RunLimits())
        if task in TRANSFORMS:
            return cast(ResultT, await asyncio.to_thread(TRANSFORMS[task].run, request, workspace))
        run = TASKS[task].run
        return cast(ResultT, await asyncio.to_thread(run, self._pipeline, request, workspace))

    async def stream(self, task: str, request: TaskRequest[Any], info: RunInfo) -> AsyncGenerator[Any, None]:
        """Do the work and give its events one by one."""
        workspace = RunWorkspace(self._artifacts, info.owner, RunLimits())
        stream = TASKS[task].stream
        assert stream is not None
        for event in stream(self._pipeline, request, workspace):
            yield event


class HeldBackend:
    """Does what another backend does, but only when a test lets it; or fails as the test says."""

    def __init__(self, inner: Backend) -> None:
        self.started = asyncio.Event()
        self.stopped = asyncio.Event()
        self.errors: list[Exception] = []
        """Raised by the next runs, one by each."""
        self.runs: list[RunInfo] = []
        self._inner = inner
        self._free = asyncio.Event()
        self._free.set()

    def hold(self) -> None:
        """Let the next runs wait."""
        self.started.clear()
        self.stopped.clear()
        self._free.clear()

    def let_go(self) -> None:
        """Let the runs go on."""
        self._free.set()

    async def run(self, task: str, request: TaskRequest[ResultT], info: RunInfo) -> ResultT:
        """Wait if it is held, then do the work."""
        self.runs.append(info)
        self.started.set()
        try:
            await self._free.wait()
        except asyncio.CancelledError:
            self.stopped.set()
            raise
        if self.errors:
            raise self.errors.pop(0)
        return await self._inner.run(task, request, info)

    def stream(self, task: str, request: TaskRequest[Any], info: RunInfo) -> AsyncGenerator[Any, None]:
        """Do the work and give its events one by one."""
        return self._inner.stream(task, request, info)


class ListMetrics:
    """Keeps what was observed: (task, model, outcome)."""

    def __init__(self) -> None:
        self.observed: list[tuple[str, str, str]] = []

    def observe(self, *, task: str, model: str, outcome: str, seconds: float) -> None:
        """Keep it."""
        self.observed.append((task, model, outcome))
