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
from pipelines.diffusion.inputs import in_cells, read_mask, read_picture
from pipelines.diffusion.loras import Loras
from pipelines.diffusion.options import DiffusionOptions
from pipelines.diffusion.plan import Kind, Plan
from pipelines.diffusion.runs import Batch, engine_errors
from pipelines.diffusion.thread import DrawingThread, Finished, Order, Step
from pipelines.errors import InvalidInput, ModelLoadError
from pipelines.images import Encoding, Size
from pipelines.images.shapes import widened
from pipelines.loading import EngineSettings
from pipelines.tasks.base import Workspace
from pipelines.tasks.drawing import MAX_SEED, DrawEvent, Drawn, DrawRequest, Notes
from pipelines.tasks.image_to_image import ImageToImageRequest
from pipelines.tasks.image_with_mask import ImageWithMaskRequest
from pipelines.tasks.text_to_image import TextToImageRequest
from pipelines.torch_engine import inference, torch_device

LEAST_DENOISE = 0.02
"""Nobody sees less, and it takes 1 / denoise steps to have one that is done: 50, the most that LCM takes."""


@dataclass(frozen=True)
class Assignment:
    """A request, thought through: what the model draws, and what becomes of it."""

    order: Order
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
        image, notes = read_picture(workspace.input(request.image), workspace.limits.image_pixels)
        notes += self._scaling(image.size)
        assignment = self._assigned("image", request, image.size, request.denoise, notes)
        assignment.order.image = image.resize(assignment.order.plan.size, Image.Resampling.LANCZOS)
        yield from self._events(assignment, workspace)

    def image_with_mask(self, request: ImageWithMaskRequest, workspace: Workspace) -> Iterator[DrawEvent]:
        """Redraw a part of a picture."""
        limit = workspace.limits.image_pixels
        image, notes = read_picture(workspace.input(request.image), limit)
        mask_file = workspace.input(request.mask)
        mask, changes = read_mask(mask_file, request.mask_channel, image.size, limit)
        notes += changes + self._scaling(image.size)
        assignment = self._assigned("mask", request, image.size, request.denoise, notes)
        size = assignment.order.plan.size
        assignment.order.image = image.resize(size, Image.Resampling.LANCZOS)
        assignment.order.mask = in_cells(mask, size, self._pipes["mask"].vae_scale_factor)
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

    @abstractmethod
    def _why_no_negative(self, guidance: float) -> str | None:
        """Say why a negative prompt has no effect, if so."""

    def _assigned(
        self,
        kind: Kind,
        request: DrawRequest,
        asked: Size,
        denoise: float = 1.0,
        notes: Sequence[str] = (),
    ) -> Assignment:
        Encoding(request.output_format).check_size(asked, "output_format")
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
        remarks = [*notes, *self._remarks(request)]
        negative = request.negative_prompt
        if negative and (reason := self._why_no_negative(guidance)):
            negative = ""
            remarks.append(reason)
        order = Order(
            plan,
            request.prompt,
            negative,
            _seeds(request),
            previews=request.previews,
            mergeable=kind == "text" and request.seed is None and not request.previews,
        )
        return Assignment(order, asked, tuple(remarks))

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
        yield Notes(assignment.notes)
        for event in self._thread.run(assignment.order, workspace):
            if isinstance(event, Step):
                workspace.report(0.9 * event.done / event.of, f"Step {event.done} of {event.of}")
            elif isinstance(event, Finished):
                yield from self._finished(event, assignment, workspace)
            elif self._withheld(event.image) is None:
                yield event

    def _finished(self, event: Finished, assignment: Assignment, workspace: Workspace) -> Iterator[Drawn]:
        """Give the pictures as they were asked for, one by one: large ones shall not all lie in memory."""
        kind, original, mask = assignment.order.plan.kind, assignment.original, assignment.mask
        for index, (image, seed) in enumerate(zip(event.images, assignment.order.seeds, strict=True)):

            def on_tile(share: float, index: int = index) -> None:
                workspace.check_cancelled()
                workspace.report(0.9 + 0.1 * (index + share) / len(event.images), "Enlarging")

            shaped = widened(image, assignment.asked) if kind == "text" else image
            with engine_errors():
                enlarged = self._enlarger.enlarge(shaped, assignment.asked, on_tile)
            if original and mask:
                enlarged = finishing.pasted(enlarged, original, mask)
            yield Drawn(enlarged, seed, self._parameters(assignment.order, seed), self._withheld(enlarged))

    def _withheld(self, image: Image.Image) -> str | None:
        """Say why nobody may see a picture, if so."""
        if not (self._check and self._options.content_check):
            return None
        score = self._check.score(image)
        too_high = score > self._options.content_check.threshold
        return f"the content check gave it {score:.2f}." if too_high else None

    def _parameters(self, order: Order, seed: int) -> str | None:
        if not self._options.metadata:
            return None
        return order.plan.parameters(order.prompt, order.negative_prompt, seed, self._name)

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

    def _draw(self, orders: Sequence[Order]) -> None:
        """Draw what agrees; called by the drawing thread alone."""
        plan = orders[0].plan
        pipe = self._pipes[plan.kind]
        with engine_errors(), inference(self._threads):
            self._loras.use(plan.loras)
            tiled = plan.size[0] * plan.size[1] > self._options.tile_above_pixels
            (pipe.vae.enable_tiling if tiled else pipe.vae.disable_tiling)()
            images: list[Image.Image] = []
            batches = Batch.of(orders, self._options.max_batch)
            for number, batch in enumerate(batches):
                pipe.scheduler = self._scheduler(plan.scheduler)
                images += batch.draw(
                    pipe, self._prompt_arguments(batch), self._decoded, (number, len(batches))
                )
        for order in orders:
            count = len(order.seeds)
            order.events.put(Finished(tuple(images[:count])))
            del images[:count]


def _seeds(request: DrawRequest) -> tuple[int, ...]:
    # From 1 on: AI Server's clients send 0 for a random one.
    seed = random.randint(1, MAX_SEED - request.batch_size + 1) if request.seed is None else request.seed  # noqa: S311
    return tuple(range(seed, seed + request.batch_size))


def _steps(steps: int, denoise: float) -> int:
    """Take at least so many that one of them is really done: only the last share of them, `denoise`, is."""
    least = ceil(1 / denoise)
    return max(steps, least if least * denoise >= 1 else least + 1)


def _named(engine: type[Any], components: dict[str, Any]) -> dict[str, Any]:
    """Give the parts that an engine takes."""
    expected, optional = engine._get_signature_keys(engine)
    return {name: part for name, part in components.items() if name in expected or name in optional}
