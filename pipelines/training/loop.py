"""One training loop for all networks: resumable, averaged, the same data at the same step every time."""

import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

Loss = Callable[[nn.Module, np.random.Generator], tuple[Tensor, dict[str, float]]]
"""(network, random numbers of this step) -> loss, and figures worth printing."""


@dataclass(frozen=True)
class Schedule:
    """How long and how fast.

    The rate rises over `warm_up` steps, stays, and falls to nothing along a cosine in the last `fall` share.
    """

    steps: int
    rate: float
    warm_up: int = 100
    fall: float = 0.5
    average: float = 0.998
    decay: float = 0.01
    kept_every: int = 250
    """Steps between two checkpoints."""
    slow: tuple[str, ...] = ()
    """Parts of the network that learn at half the rate."""

    def rate_at(self, step: int) -> float:
        """Return the learning rate of a step."""
        start = self.steps * (1 - self.fall)
        share = min(1.0, max(0.0, (step - start) / max(1.0, self.steps - start)))
        return self.rate * min(1.0, (step + 1) / self.warm_up) * (0.5 + 0.5 * math.cos(math.pi * share))


def train(network: nn.Module, loss: Loss, schedule: Schedule, checkpoint: Path, *, seed: int) -> nn.Module:
    """Train, or go on from the checkpoint; return the moving average of the weights.

    Raises:
        FloatingPointError: The loss is not a number any more.
    """
    average = copy.deepcopy(network).requires_grad_(False)
    optimizer = torch.optim.AdamW(_groups(network, schedule), betas=(0.9, 0.99), weight_decay=schedule.decay)
    first = _resume(checkpoint, network, average, optimizer)
    figures: dict[str, float] = {}
    started = time.monotonic()
    for step in range(first, schedule.steps):
        for group in optimizer.param_groups:
            group["lr"] = schedule.rate_at(step) * group["share"]
        torch.manual_seed(seed * 1_000_003 + step)
        with torch.autocast("cpu", torch.bfloat16):
            value, seen = loss(network, np.random.default_rng((seed, step)))
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(value)
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        _follow(average, network, min(schedule.average, (step + 1) / (step + 10)))
        figures = {key: 0.98 * figures.get(key, new) + 0.02 * new for key, new in seen.items()}
        if not math.isfinite(value.item()):
            raise FloatingPointError(f"{checkpoint.stem}: the loss is {value.item()} at step {step}")
        if step % 50 == 0 or step + 1 == schedule.steps:
            _report(checkpoint.stem, step, schedule.steps, time.monotonic() - started, figures)
        if (step + 1) % schedule.kept_every == 0 or step + 1 == schedule.steps:
            _save(checkpoint, network, average, optimizer, step + 1)
    return average


def averaged(network: nn.Module, checkpoint: Path) -> nn.Module:
    """Load the averaged weights of a checkpoint into a network, for use."""
    state = torch.load(checkpoint, weights_only=True)
    network.load_state_dict(state["average"])
    return network.requires_grad_(False).eval()


def _groups(network: nn.Module, schedule: Schedule) -> list[dict[str, object]]:
    named = [(name, p) for name, p in network.named_parameters() if p.requires_grad]
    slow = [p for name, p in named if name.startswith(schedule.slow)] if schedule.slow else []
    usual = [p for name, p in named if not (schedule.slow and name.startswith(schedule.slow))]
    return [{"params": usual, "share": 1.0}, *([{"params": slow, "share": 0.5}] if slow else [])]


def _resume(
    checkpoint: Path, network: nn.Module, average: nn.Module, optimizer: torch.optim.Optimizer
) -> int:
    if not checkpoint.exists():
        return 0
    state = torch.load(checkpoint, weights_only=True)
    network.load_state_dict(state["network"])
    average.load_state_dict(state["average"])
    optimizer.load_state_dict(state["optimizer"])
    return int(state["step"])


def _save(
    checkpoint: Path, network: nn.Module, average: nn.Module, optimizer: torch.optim.Optimizer, step: int
) -> None:
    state = {"network": network.state_dict(), "average": average.state_dict(), "step": step}
    part = checkpoint.with_suffix(".part")
    torch.save({**state, "optimizer": optimizer.state_dict()}, part)
    part.rename(checkpoint)


@torch.no_grad()
def _follow(average: nn.Module, network: nn.Module, keep: float) -> None:
    for ours, theirs in zip(average.parameters(), network.parameters(), strict=True):
        ours.lerp_(theirs, 1 - keep)
    for mine, its in zip(average.buffers(), network.buffers(), strict=True):
        mine.copy_(its)


def _report(name: str, step: int, steps: int, seconds: float, figures: dict[str, float]) -> None:
    text = "  ".join(f"{key} {value:.4f}" for key, value in figures.items())
    print(f"{name}  step {step}/{steps}  {seconds:.0f} s  {text}", flush=True)  # noqa: T201 - the log of a long run
