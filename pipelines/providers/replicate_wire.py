"""What Replicate's tasks share: how its models differ, and how its errors and outputs are read."""

from typing import Any, Literal, TypeAlias

from pydantic import Field

from pipelines.providers.base import ProviderOptions, fits
from pipelines.providers.faults import Fault

ReplicateTaskName: TypeAlias = Literal["image-to-image", "image-upscale", "image-with-mask", "text-to-image"]
InputName: TypeAlias = Literal[
    "aspect_ratio",
    "batch_size",
    "denoise",
    "guidance",
    "height",
    "image",
    "mask",
    "negative_prompt",
    "output_format",
    "prompt",
    "quality",
    "scale",
    "scheduler",
    "seed",
    "steps",
    "width",
]
"""Our names of what a model may take."""
Names: TypeAlias = dict[InputName, str | None]
"""Our name -> the model's; None where the model does not take it."""

_NAMES: Names = {
    "batch_size": "num_outputs",
    "denoise": "prompt_strength",
    "guidance": "guidance_scale",
    "height": "height",
    "image": "image",
    "mask": "mask",
    "negative_prompt": "negative_prompt",
    "prompt": "prompt",
    "scale": "scale",
    "scheduler": "scheduler",
    "seed": "seed",
    "steps": "num_inference_steps",
    "width": "width",
}
"""Stable Diffusion's, which most models follow."""
_FLUX: Names = {
    "aspect_ratio": "aspect_ratio",
    "guidance": "guidance",
    "height": None,
    "negative_prompt": None,
    "output_format": "output_format",
    "quality": "output_quality",
    "scheduler": None,
    "width": None,
}


class ReplicateOptions(ProviderOptions):
    """Which models do what, and what their inputs are called."""

    tasks: dict[ReplicateTaskName, tuple[str, ...]] = Field(default={"text-to-image": ("*",)})
    """Task -> patterns of names of models (Replicate has too many to list them)."""
    fetches_images: bool = False
    inputs: dict[str, Names] = Field(
        default={"black-forest-labs/flux-*": _FLUX, "black-forest-labs/flux-*pro*": {"batch_size": None}}
    )
    """Pattern of models -> names of their inputs, over Stable Diffusion's; of several that fit, later win."""
    constants: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Pattern of models -> inputs that never change, e.g. ``{go_fast: true}``."""
    aspect_ratios: tuple[str, ...] = (
        "1:1",
        "16:9",
        "21:9",
        "3:2",
        "2:3",
        "4:5",
        "5:4",
        "3:4",
        "4:3",
        "9:16",
        "9:21",
    )
    """What models take that have an ``aspect_ratio``: Flux's."""
    side_multiple: int = Field(default=8, ge=1)
    """What width and height must be a multiple of."""
    at_once: int = Field(default=4, ge=1)
    """How many pictures of one request are drawn at once, by models that draw one at a time."""
    wait_s: int = Field(default=10, ge=1, le=60)
    """How long Replicate shall wait with its answer for the end of the work (``Prefer: wait``). As long as
    it waits nobody can cancel."""
    limit_s: float = Field(default=600.0, gt=0)
    """After that it is cancelled."""

    def names(self, model: str) -> Names:
        """Give the names of a model's inputs."""
        names = dict(_NAMES)
        for pattern, own in self.inputs.items():
            if fits(model, (pattern,)):
                names |= own
        return names

    def constants_of(self, model: str) -> dict[str, Any]:
        """Give the inputs of a model that never change."""
        constants: dict[str, Any] = {}
        for pattern, own in self.constants.items():
            if fits(model, (pattern,)):
                constants |= own
        return constants


def read_fault(status: int, body: Any) -> Fault:
    """Read ``{"title", "detail", "status", "invalid_fields"}``; `detail` may be a list, as FastAPI has it."""
    detail = body.get("detail") or body.get("title") or ""
    if isinstance(detail, list):
        detail = "; ".join(str(fault.get("msg", fault)) for fault in detail)
    fields = body.get("invalid_fields") or [{}]
    return Fault(status, str(detail), str(body.get("title") or ""), _our_name(fields[0].get("field")))


def files_of(output: Any) -> list[str]:
    """Give the addresses in a model's output: it may be one, a list, or an object of them."""
    if isinstance(output, str):
        return [output] if output.startswith(("https:", "http:", "data:")) else []
    if isinstance(output, dict):
        output = list(output.values())
    if isinstance(output, list):
        return [url for part in output for url in files_of(part)]
    return []


def _our_name(field: Any) -> str | None:
    theirs = str(field or "").removeprefix("input.")
    return next((ours for ours, name in (_NAMES | _FLUX).items() if name == theirs), None)
