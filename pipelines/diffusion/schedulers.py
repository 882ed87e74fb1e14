"""The samplers that a request may choose, by the names that people know them by."""

from collections.abc import Mapping
from typing import Any

from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    HeunDiscreteScheduler,
    LCMScheduler,
    UniPCMultistepScheduler,
)

from pipelines.errors import InvalidInput

SCHEDULERS: dict[str, tuple[type[Any], dict[str, Any]]] = {
    "euler": (EulerDiscreteScheduler, {}),
    "euler-a": (EulerAncestralDiscreteScheduler, {}),
    "dpm++-2m": (DPMSolverMultistepScheduler, {}),
    "dpm++-2m-karras": (DPMSolverMultistepScheduler, {"use_karras_sigmas": True}),
    "dpm++-2m-sde": (DPMSolverMultistepScheduler, {"algorithm_type": "sde-dpmsolver++"}),
    "unipc": (UniPCMultistepScheduler, {}),
    "heun": (HeunDiscreteScheduler, {}),
    # Its default clips the latents to -1..1, which is meant for pixels and turns pictures grey.
    "ddim": (DDIMScheduler, {"clip_sample": False}),
    "lcm": (LCMScheduler, {"clip_sample": False}),
}
"""For models that predict noise or velocities of a diffusion (SDXL)."""

FLOW_SCHEDULERS: dict[str, tuple[type[Any], dict[str, Any]]] = {
    "euler": (FlowMatchEulerDiscreteScheduler, {}),
}
"""For flow matching (Flux); diffusers' others do not take the times that Flux sets."""


def build(
    name: str | None,
    own: Any,
    known: Mapping[str, tuple[type[Any], dict[str, Any]]],
    settings: Mapping[str, Any],
) -> Any:
    """Make a scheduler; they keep the state of a run, so every run has its own.

    Args:
        name: one of `known`; None takes the checkpoint's own kind.
        own: the checkpoint's scheduler, whose configuration the new one inherits.
        known: the table of the model's family.
        settings: the operator's changes.

    Raises:
        InvalidInput: there is none of this name; the message lists those that there are.
    """
    if name is None:
        return type(own).from_config(own.config, **settings)
    if name.lower() not in known:
        raise InvalidInput(f"There is no scheduler {name!r}. Choose one of: {', '.join(known)}.", "scheduler")
    kind, changes = known[name.lower()]
    return kind.from_config(own.config, **{**settings, **changes})


def check_steps(scheduler: Any, steps: int) -> None:
    """See that a scheduler takes so many steps; LCM knows only those that it was distilled from.

    Raises:
        InvalidInput: it takes fewer.
    """
    most = scheduler.config.original_inference_steps if isinstance(scheduler, LCMScheduler) else steps
    if steps > most:
        raise InvalidInput(f"This scheduler takes at most {most} steps, not {steps}.", "steps")
