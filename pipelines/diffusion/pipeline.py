"""What every diffusion model does with a request; a family adds its engines and its way with prompts."""

import random
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path
from typing import Any, ClassVar

import torch
from PIL import Image

from pipelines.diffusion import checkpoint, finishing, schedulers, sizes
from pipelines.diffusion.inputs import read_mask, read_picture
from pipelines.diffusion.loras import Loras
from pipelines.diffusion.options import DiffusionOptions
from pipelines.diffusion.runs import Batch, Kind, Plan, engine_errors
from pipelines.diffusion.thread import Drawing, DrawingThread, Finished, Step
from pipelines.errors import InvalidInput, ModelLoadError
from pipelines.images import Size
from pipelines.loading import EngineSettings
from pipelines.tasks.base import Workspace
from pipelines.tasks.drawing import MAX_SEED, DrawEvent, Drawings, Drawn, DrawRequest, Preview
from pipelines.tasks.image_to_image import ImageToImageRequest
from pipelines.tasks.image_with_mask import ImageWithMaskRequest
from pipelines.tasks.text_to_image import TextToImageRequest
from pipelines.torch_engine import inference, torch_device

LEAST_DENOISE = 0.02
"""Nobody sees less, and it takes 1 / denoise steps to have one that is done: 50, the most that LCM takes."""


@dataclass(frozen=True)
class Assignment:
    """A request, thought through: what the model draws, and what becomes of it."""

    drawing: Drawing
    plan: Plan
    asked: Size
    notes: tuple[str, ...]
    original: Image.Image | None = None
    """What is put back outside of `mask`."""
    mask: Image.Image | None = None


class DiffusionPipeline(ABC):
    """Draws with one checkpoint; text to image, image to image and inpainting share its weights."""

    Options = DiffusionOptions
    kinds: ClassVar[dict[Kind, type[Any]]]
    """diffusers' pipelines; the first one loads."""
    gpu_dtype: ClassVar[torch.dtype]
    multiple: ClassVar[int]
    """Sides of a picture are multiples of it, in pixels."""

    def __init__(self, weights: Path | None, options: DiffusionOptions, engine: EngineSettings) -> None:
        self._threads = engine.threads
        self._options = options
        self._name = engine.model_id
        self._device = torch_device(engine.device)
        dtype = torch.float32 if self._device.type == "cpu" else self.gpu_dtype
        if options.dtype:
            dtype = getattr(torch, options.dtype)
        pipe = checkpoint.load(self.kinds["text"], weights, options, dtype)
        self._own_scheduler = pipe.scheduler
        self._check_options()
        self._loras = Loras(pipe, options.loras, weights)
        self._pipes = self._with_shared_weights(pipe)
        self._enlarger = finishing.Enlarger(options.upscale, engine)
        self._check = finishing.load_check(options.content_check, engine)
        self._thread = DrawingThread(self._draw, options.max_batch)

    def text_to_image(self, request: TextToImageRequest, workspace: Workspace) -> Iterator[DrawEvent]:
        """Draw a prompt."""
        own = self._options.default_size or (self._own_side, self._own_side)
        width, height = request.width, request.height
        asked = (width or height or own[0], height or width or own[1])
        notes = self._scaling(asked) if width or height else []
        yield from self._events(self._assigned("text", request, asked, notes=notes), workspace)

    def image_to_image(self, request: ImageToImageRequest, workspace: Workspace) -> Iterator[DrawEvent]:
        """Redraw a picture."""
        limit = workspace.limits.image_pixels
        image, notes = read_picture(workspace.input(request.image), limit)
        notes += self._scaling(image.size)
        assignment = self._assigned("image", request, image.size, request.denoise, notes)
        assignment.drawing.image = image.resize(assignment.plan.size, Image.Resampling.LANCZOS)
        yield from self._events(assignment, workspace)

    def image_with_mask(self, request: ImageWithMaskRequest, workspace: Workspace) -> Iterator[DrawEvent]:
        """Redraw a part of a picture."""
        limit = workspace.limits.image_pixels
        image, notes = read_picture(workspace.input(request.image), limit)
        mask_file = workspace.input(request.mask)
        mask, changes = read_mask(mask_file, request.mask_channel, image.size, limit)
        notes += changes + self._scaling(image.size)
        assignment = self._assigned("mask", request, image.size, request.denoise, notes)
        assignment.drawing.image = image.resize(assignment.plan.size, Image.Resampling.LANCZOS)
        assignment.drawing.mask = mask.resize(assignment.plan.size, Image.Resampling.BILINEAR)
        if request.keep_unmasked:
            assignment = replace(assignment, original=image, mask=mask)
        yield from self._events(assignment, workspace)

    @property
    @abstractmethod
    def _own_side(self) -> int:
        """Side of the squares that the checkpoint was made for, in pixels."""

    @abstractmethod
    def _prompt_arguments(self, batch: Batch) -> dict[str, Any]:
        """Give diffusers' arguments for the prompts of a batch, one row for each picture."""

    @abstractmethod
    def _scheduler(self, name: str | None) -> Any:
        """Make a new scheduler, by a request's name for it."""

    @abstractmethod
    def _decoded(self, latents: torch.Tensor, size: Size) -> list[Image.Image]:
        """Turn latents into pictures, for previews."""

    def _windows(self, request: DrawRequest, guidance: float) -> int:
        """Count the windows of the text encoder that the prompts of a request take."""
        return 1

    def _remarks(self, request: DrawRequest) -> list[str]:
        """Say what of the request this model cannot heed."""
        return []

    def _assigned(
        self,
        kind: Kind,
        request: DrawRequest,
        asked: Size,
        denoise: float = 1.0,
        notes: Sequence[str] = (),
    ) -> Assignment:
        options = self._options
        denoise = max(denoise, LEAST_DENOISE)
        size = sizes.drawable(asked, options, self.multiple)
        scheduler = request.scheduler or options.scheduler
        guidance = options.guidance if request.guidance is None else request.guidance
        plan = Plan(
            kind=kind,
            size=size,
            steps=_steps(request.steps or options.steps, denoise),
            guidance=guidance,
            scheduler=scheduler,
            denoise=denoise,
            loras=self._loras.chosen(request.loras),
            windows=self._windows(request, guidance),
        )
        # What it does not take fails here, before the request waits for its turn.
        schedulers.check_steps(self._scheduler(scheduler), plan.steps)
        seed = random.randrange(MAX_SEED) if request.seed is None else request.seed  # noqa: S311 - no secret
        seeds = tuple((seed + index) % (MAX_SEED + 1) for index in range(request.batch_size))
        remarks = [*notes, *self._remarks(request)]
        drawing = Drawing(
            plan,
            request.prompt,
            request.negative_prompt,
            seeds,
            previews=request.previews,
            mergeable=kind == "text" and request.seed is None and not request.previews,
        )
        return Assignment(drawing, plan, asked, tuple(remarks))

    def _scaling(self, asked: Size) -> list[str]:
        """Say that a picture is drawn at another size than it will have, if it is."""
        size = sizes.drawable(asked, self._options, self.multiple)
        if size == asked:
            return []
        who, drawn = self._name or "the model", f"{size[0]} x {size[1]}"
        return [
            f"Drawn at {drawn}, the nearest size that {who} draws, and scaled to {asked[0]} x {asked[1]}."
        ]

    def _events(self, assignment: Assignment, workspace: Workspace) -> Iterator[DrawEvent]:
        for event in self._thread.run(assignment.drawing, workspace):
            if isinstance(event, Step):
                workspace.report(0.9 * event.done / event.of, f"Step {event.done} of {event.of}")
            elif isinstance(event, Preview):
                yield event
            else:
                yield self._finished(event, assignment, workspace)

    def _finished(self, event: Finished, assignment: Assignment, workspace: Workspace) -> Drawings:
        pictures = []
        for index, (image, seed) in enumerate(zip(event.images, assignment.drawing.seeds, strict=True)):

            def on_tile(share: float, index: int = index) -> None:
                workspace.check_cancelled()
                workspace.report(0.9 + 0.1 * (index + share) / len(event.images), "Enlarging")

            workspace.check_cancelled()
            shaped = sizes.widened(image, assignment.asked) if assignment.plan.kind == "text" else image
            enlarged = self._enlarger.enlarge(shaped, assignment.asked, on_tile)
            if assignment.original and assignment.mask:
                enlarged = finishing.pasted(enlarged, assignment.original, assignment.mask)
            pictures.append(self._drawn(enlarged, seed, assignment))
        return Drawings(tuple(pictures), assignment.notes)

    def _drawn(self, image: Image.Image, seed: int, assignment: Assignment) -> Drawn:
        withheld = None
        if self._check and self._options.content_check:
            score = self._check.score(image)
            if score > self._options.content_check.threshold:
                withheld = f"the content check gave it {score:.2f}."
        drawing = assignment.drawing
        text = assignment.plan.parameters(drawing, seed, self._name) if self._options.metadata else None
        return Drawn(image, seed, text, withheld)

    def _check_options(self) -> None:
        for width, height in self._options.sizes:
            if width % self.multiple or height % self.multiple:
                raise ModelLoadError(
                    f"options: sizes has {width} x {height}; sides must be multiples of {self.multiple}."
                )
        try:
            schedulers.check_steps(self._scheduler(self._options.scheduler), self._options.steps)
        except InvalidInput as error:
            raise ModelLoadError(f"options: {error}") from error

    def _with_shared_weights(self, pipe: Any) -> dict[Kind, Any]:
        if self._options.offload == "model":
            pipe.enable_model_cpu_offload()
        elif self._options.offload == "sequential":
            pipe.enable_sequential_cpu_offload()
        else:
            pipe.to(self._device)
        pipes: dict[Kind, Any] = {"text": pipe}
        for kind, engine in self.kinds.items():
            if kind != "text":
                pipes[kind] = engine(**_named(engine, pipe.components))
                pipes[kind].set_progress_bar_config(disable=True)
        return pipes

    def _draw(self, drawings: Sequence[Drawing]) -> None:
        """Draw a batch; called by the drawing thread alone."""
        plan = drawings[0].plan
        assert isinstance(plan, Plan)
        pipe = self._pipes[plan.kind]
        with engine_errors(), inference(self._threads):
            self._loras.use(plan.loras)
            tiled = plan.size[0] * plan.size[1] > self._options.tile_above_pixels
            (pipe.vae.enable_tiling if tiled else pipe.vae.disable_tiling)()
            images: list[Image.Image] = []
            batches = Batch.of(drawings, self._options.max_batch)
            for number, batch in enumerate(batches):
                pipe.scheduler = self._scheduler(plan.scheduler)
                images += batch.draw(
                    pipe, self._prompt_arguments(batch), self._decoded, (number, len(batches))
                )
        for drawing in drawings:
            count = len(drawing.seeds)
            drawing.events.put(Finished(tuple(images[:count])))
            del images[:count]


def _steps(steps: int, denoise: float) -> int:
    """Take at least so many that one of them is really done: only the last share of them, `denoise`, is."""
    least = ceil(1 / denoise)
    return max(steps, least if least * denoise >= 1 else least + 1)


def _named(engine: type[Any], components: dict[str, Any]) -> dict[str, Any]:
    """Give the parts that an engine takes."""
    expected, optional = engine._get_signature_keys(engine)
    return {name: part for name, part in components.items() if name in expected or name in optional}
