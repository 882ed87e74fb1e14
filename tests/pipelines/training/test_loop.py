from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pipelines.training import loop


def fit_a_line(network: nn.Module, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
    x = torch.from_numpy(rng.normal(size=(16, 1)).astype(np.float32))
    loss = (network(x).float() - 3 * x - 1).square().mean()
    return loss, {"loss": loss.item()}


def line() -> nn.Linear:
    torch.manual_seed(1)
    return nn.Linear(1, 1)


def test_it_learns_and_gives_the_average(tmp_path: Path) -> None:
    schedule = loop.Schedule(steps=150, rate=0.1, warm_up=5, average=0.9, decay=0)
    trained = loop.train(line(), fit_a_line, schedule, tmp_path / "line.pt", seed=2)
    (slope, offset) = (parameter.item() for parameter in trained.parameters())
    assert (slope, offset) == pytest.approx((3, 1), abs=0.05)
    loaded = loop.averaged(line(), tmp_path / "line.pt")
    assert loaded.state_dict()["weight"].item() == slope


def test_a_training_that_was_stopped_ends_like_one_that_was_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    schedule = loop.Schedule(steps=40, rate=0.01, kept_every=10)
    whole = loop.train(line(), fit_a_line, schedule, tmp_path / "whole.pt", seed=2)

    def stopped_at_25(network: nn.Module, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        if next(steps) == 25:
            raise KeyboardInterrupt
        return fit_a_line(network, rng)

    steps = iter(range(1000))
    with pytest.raises(KeyboardInterrupt):
        loop.train(line(), stopped_at_25, schedule, tmp_path / "parts.pt", seed=2)
    resumed = loop.train(line(), fit_a_line, schedule, tmp_path / "parts.pt", seed=2)
    for one, other in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_loss_that_is_no_number_ends_it(tmp_path: Path) -> None:
    def broken(network: nn.Module, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        loss = network(torch.full((1, 1), float("nan"))).sum()
        return loss, {}

    with pytest.raises(FloatingPointError, match="line"):
        loop.train(line(), broken, loop.Schedule(steps=3, rate=1), tmp_path / "line.pt", seed=2)


def test_the_rate_rises_stays_and_falls() -> None:
    schedule = loop.Schedule(steps=1000, rate=1.0, warm_up=100, fall=0.5)
    rates = [schedule.rate_at(step) for step in (0, 49, 100, 499, 750, 999)]
    assert rates == pytest.approx([0.01, 0.5, 1, 1, 0.5, 0], abs=0.01)
