"""The judge: names the object of a picture. It knows the emoji and nothing of the models that it judges."""

import itertools
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from pipelines.training import loop
from pipelines.training.objects import OBJECTS
from pipelines.training.scenes import CLOSE_UPS, GROUNDS, PLACES, Scenes, Stage, held_out, sample
from pipelines.training.workshop import Workshop

SCHEDULE = loop.Schedule(steps=1_500, rate=2e-3, warm_up=50, fall=0.7, average=0.99, decay=0.05)
BATCH = 48
SIDE = 64
"""Pixels of the pictures that it looks at."""
KEPT_BACK = 4
"""Placements of each object that it is examined with and never sees before."""
FILE = Path(__file__).with_name("judge.safetensors")


class Judge(nn.Module):
    """A small convolutional network: (count, 3, 64, 64) in -1..1 to (count, objects)."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(9)
        widths = (3, 32, 64, 128, 192)
        layers: list[nn.Module] = []
        for into, out in itertools.pairwise(widths):
            layers += [nn.Conv2d(into, out, 3, padding=1), nn.GroupNorm(8, out), nn.SiLU(), nn.MaxPool2d(2)]
        self.features = nn.Sequential(*layers)
        self.names = nn.Linear(widths[-1] * 4, len(OBJECTS))

    def forward(self, pictures: Tensor) -> Tensor:
        """Return the logits of every object."""
        features = functional.adaptive_avg_pool2d(self.features(pictures), 2).flatten(1)
        logits: Tensor = self.names(functional.dropout(features, 0.2, self.training))
        return logits


def train(workshop: Workshop) -> None:
    """Teach the judge, examine it, and write it beside this module."""
    stage = Stage.wild(workshop.folder)

    def loss(network: nn.Module, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        scenes = _without(sample(rng, BATCH), rng)
        pictures = workshop.pictures(scenes, rng, size=SIDE, stage=stage)
        pictures = pictures + torch.randn_like(pictures) * torch.rand(BATCH, 1, 1, 1) * 0.1
        said = network(pictures).float()
        wrong = functional.cross_entropy(said, torch.from_numpy(scenes.thing), label_smoothing=0.05)
        right = float((said.argmax(1).numpy() == scenes.thing).mean())
        return wrong, {"loss": wrong.item(), "right": right}

    judge = loop.train(Judge(), loss, SCHEDULE, workshop.checkpoint("judge"), seed=15).eval()
    print(f"judge: {examine(judge, workshop, stage):.1%} right on placements and grounds that it never saw")  # noqa: T201
    save_file({name: value.half() for name, value in judge.state_dict().items()}, FILE)


def load(file: Path = FILE) -> Judge:
    """Return the judge that ships."""
    judge = Judge().eval().requires_grad_(False)
    judge.load_state_dict({name: value.float() for name, value in load_file(file).items()})
    return judge


@torch.inference_mode()
def examine(judge: nn.Module, workshop: Workshop, stage: Stage) -> float:
    """Give the share that it names right, of placements kept back on pairs of object and ground kept back."""
    rng = np.random.default_rng(16)
    things, grounds = np.meshgrid(np.arange(len(OBJECTS)), np.arange(len(GROUNDS)), indexing="ij")
    unseen = held_out(things, grounds)
    thing, ground = things[unseen], grounds[unseen]
    place = PLACES - CLOSE_UPS - 1 - rng.integers(KEPT_BACK, size=len(thing))
    scenes = Scenes(thing, place, ground, np.full(len(thing), -1))
    said = judge(workshop.pictures(scenes, rng, size=SIDE, stage=stage)).argmax(1).numpy()
    return float((said == thing).mean())


def _without(scenes: Scenes, rng: np.random.Generator) -> Scenes:
    """Spread scenes over all placements but those that are kept back."""
    places = rng.integers(PLACES - CLOSE_UPS - KEPT_BACK, size=len(scenes.place))
    return scenes._replace(place=np.where(scenes.close_up, scenes.place, places))
