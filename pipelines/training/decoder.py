"""The autoencoder's decoder: draws 128 px from latents that were computed at 64."""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from pipelines.training import autoencoder, loop
from pipelines.training.scenes import Scenes, Stage, sample
from pipelines.training.workshop import Workshop

SCHEDULE = loop.Schedule(steps=2_400, rate=2e-3, warm_up=50, average=0.997)
BATCH = 8
OTHERS = 3
"""Pictures of a batch that show what the models do not draw: other people's pictures shall survive too."""


class Decoder(nn.Module):
    """The trained half of the autoencoder."""

    def __init__(self, workshop: Workshop) -> None:
        super().__init__()
        network = autoencoder.build()
        self.post_quant_conv, self.decoder = network.post_quant_conv, network.decoder

    def forward(self, latents: Tensor) -> Tensor:
        """Return pictures in -1..1: (count, 3, 128, 128)."""
        drawn: Tensor = self.decoder(self.post_quant_conv(latents))
        return drawn


def train(workshop: Workshop) -> None:
    """Teach the decoder."""
    others = Stage.of_others(workshop.folder)

    def loss(network: nn.Module, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        scenes = sample(rng, BATCH - OTHERS)
        pictures = workshop.pictures(scenes, rng)
        strange = Scenes(rng.integers(len(others.cutouts), size=OTHERS), *sample(rng, OTHERS)[1:])
        strange = strange._replace(tint=np.full(OTHERS, -1))
        rendered = torch.from_numpy(others.render(strange, rng)).permute(0, 3, 1, 2) * 2 - 1
        pictures = torch.cat([pictures, rendered])
        with torch.no_grad(), torch.autocast("cpu", enabled=False):
            latents = autoencoder.encode(workshop.autoencoder, functional.avg_pool2d(pictures, 2))
        latents = latents + torch.randn_like(latents) * torch.rand(BATCH, 1, 1, 1) * 0.08
        return difference(network(latents).float(), pictures)

    loop.train(Decoder(workshop), loss, SCHEDULE, workshop.checkpoint("decoder"), seed=13)


def difference(drawn: Tensor, pictures: Tensor) -> tuple[Tensor, dict[str, float]]:
    """Return the loss of drawn pictures: of their colours, and of their edges (differences of neighbours)."""
    error = drawn - pictures
    edges = error.diff(dim=2).abs().mean() + error.diff(dim=3).abs().mean()
    squared = error.square().mean()
    loss = error.abs().mean() + edges + squared
    return loss, {"loss": loss.item(), "psnr": 10 * float(np.log10(4 / squared.item()))}
