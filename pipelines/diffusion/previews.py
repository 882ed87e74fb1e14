"""What the finished picture will probably be, while its latents are still noisy."""

from functools import wraps
from typing import Any

from torch import Tensor


class CleanEstimate:
    """Hears what the model says of the noise in each step, and takes it all away at once."""

    def __init__(self, scheduler: Any) -> None:
        """Listen to the scheduler of a run; diffusers tells of its steps only what came out."""
        self._scheduler = scheduler
        self._said: tuple[Tensor, Tensor] | None = None
        take_step = scheduler.step

        @wraps(take_step)
        def step(output: Tensor, timestep: Any, sample: Tensor, **options: Any) -> Any:
            self._said = output, sample
            return take_step(output, timestep, sample, **options)

        scheduler.step = step

    def latents(self, step: int) -> Tensor:
        """Give the latents that were meant in the last step.

        Args:
            step: its number among all of the scheduler's, which may count from the end.
        """
        assert self._said is not None
        output, sample = self._said
        signal, noise = _mixture(self._scheduler, step % len(self._scheduler.timesteps))
        kind = self._scheduler.config.get("prediction_type", "flow_prediction")
        if kind == "flow_prediction":
            return sample - noise * output
        if kind == "sample":
            return output
        if kind == "v_prediction":
            length = float((signal**2 + noise**2) ** 0.5)
            return (signal / length * sample - noise * output) / length
        return (sample - noise * output) / signal


def _mixture(scheduler: Any, step: int) -> tuple[float, float]:
    """Give the shares of signal and noise in the latents before a step."""
    sigmas = getattr(scheduler, "sigmas", None)
    if sigmas is None:  # DDIM, LCM: by the cumulated alphas of its time steps
        alpha = float(scheduler.alphas_cumprod[int(scheduler.timesteps[step])])
        return alpha**0.5, (1 - alpha) ** 0.5
    sigma = float(sigmas[step])
    if float(getattr(scheduler, "init_noise_sigma", 1.0)) > 1:  # Euler and its like leave the signal as it is
        return 1.0, sigma
    share = (1 + sigma**2) ** -0.5
    return share, sigma * share
