"""One call of a diffusers pipeline: its pictures, and what happens between its steps."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from inspect import signature
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from pipelines.diffusion.plan import Plan
from pipelines.diffusion.previews import CleanEstimate
from pipelines.diffusion.thread import Order, Step
from pipelines.errors import Cancelled, EngineError
from pipelines.images import Size
from pipelines.tasks.drawing import Preview

Decode = Callable[[Tensor, Size], list[Image.Image]]


@dataclass(frozen=True)
class Batch:
    """Pictures that are computed at once."""

    plan: Plan
    orders: tuple[Order, ...]
    """Of each picture the one that wants it."""
    seeds: tuple[int, ...]
    """Of each picture."""

    @classmethod
    def of(cls, orders: Sequence[Order], size: int) -> "list[Batch]":
        """Cut the pictures of all orders, in their sequence, into batches of at most `size`."""
        pictures = [(order, seed) for order in orders for seed in order.seeds]
        return [
            cls(orders[0].plan, *map(tuple, zip(*pictures[first : first + size], strict=True)))
            for first in range(0, len(pictures), size)
        ]

    @property
    def waited_for(self) -> list[Order]:
        """The orders that somebody waits for."""
        return [each for each in dict.fromkeys(self.orders) if not each.abandoned]

    def draw(
        self, pipe: Any, prompts: dict[str, Any], decode: Decode, place: tuple[int, int]
    ) -> list[Image.Image]:
        """Call diffusers.

        Args:
            pipe: the pipeline of the plan's kind, with a new scheduler.
            prompts: its arguments for the prompts.
            decode: turns latents into pictures.
            place: number of this batch, and how many there are.

        Raises:
            Cancelled: nobody waits any more.
        """
        watch = _StepWatch(self, decode, place, pipe.scheduler)
        images: list[Image.Image] = pipe(
            **prompts,
            **self._inputs(pipe),
            guidance_scale=self.plan.guidance,
            num_inference_steps=self.plan.steps,
            generator=[torch.Generator("cpu").manual_seed(seed) for seed in self.seeds],
            callback_on_step_end=watch,
        ).images
        return images

    def _inputs(self, pipe: Any) -> dict[str, Any]:
        width, height = self.plan.size
        inputs: dict[str, Any] = {}
        if "width" in signature(type(pipe).__call__).parameters:  # SDXL's image to image takes its picture's
            inputs |= {"width": width, "height": height}
        if self.plan.kind != "text":
            inputs |= {"image": [each.image for each in self.orders], "strength": self.plan.denoise}
        if self.plan.kind == "mask":
            inputs["mask_image"] = [each.mask for each in self.orders]
        return inputs


@contextmanager
def engine_errors() -> Iterator[None]:
    """Turn what torch and diffusers raise inside the block into our errors.

    Raises:
        EngineError: something went wrong.
    """
    try:
        yield
    except (RuntimeError, ValueError) as error:
        raise EngineError(f"The model failed: {error}") from error


class _StepWatch:
    """Looks at a run between its steps: tells of them, shows previews, stops what nobody wants."""

    def __init__(self, batch: Batch, decode: Decode, place: tuple[int, int], scheduler: Any) -> None:
        self._batch = batch
        self._decode = decode
        self._number, self._batches = place
        self._estimate = CleanEstimate(scheduler)

    def __call__(self, pipe: Any, step: int, timestep: Any, values: dict[str, Any]) -> dict[str, Any]:
        waiting = self._batch.waited_for
        if not waiting:
            raise Cancelled("Nobody waits for this picture any more.")
        steps = pipe.num_timesteps
        for order in waiting:
            order.events.put(Step(self._number * steps + step + 1, steps * self._batches))
        for order in waiting:
            if self._number == 0 and (number := _preview_due(step, steps, order.previews)) is not None:
                self._show(order, number, step - steps)
        return values

    def _show(self, order: Order, number: int, step: int) -> None:
        first = self._batch.orders.index(order)
        latents = self._estimate.latents(step)[first : first + 1]
        order.events.put(Preview(self._decode(latents, self._batch.plan.size)[0], number))


def _preview_due(step: int, steps: int, previews: int) -> int | None:
    """Give the number of the preview that follows a step, if one does; they are evenly spread."""
    wanted = {max(1, round(steps * (number + 1) / (previews + 1))) for number in range(previews)}
    due = sorted(wanted - {steps})
    return due.index(step + 1) if step + 1 in due else None
