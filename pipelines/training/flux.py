"""tiny-flux: the transformer with its two text encoders; flow matching, four steps, no guidance."""

import numpy as np
import torch
from diffusers import FluxPipeline
from torch import Tensor, nn

from pipelines.training import loop, networks, text
from pipelines.training.scenes import sample
from pipelines.training.vocabulary import LENGTH
from pipelines.training.workshop import Workshop

SCHEDULE = loop.Schedule(steps=15_500, rate=7e-4, warm_up=200, fall=0.3, slow=("clip", "t5"))
BATCH = 16
STOPS = (1.0, 0.75, 0.5, 0.25)
"""The times at which the four steps of a drawing ask; most of the training is about these."""
AT_STOPS = 0.7
WEIGHTS = torch.tensor([1.2, 1.2, 1.0, 0.6]).repeat_interleave(4).view(1, 1, 16)
"""As for tiny-sdxl; a token has 2 x 2 values of each latent channel."""


class TextToLatents(nn.Module):
    """All of tiny-flux that learns."""

    def __init__(self, workshop: Workshop) -> None:
        super().__init__()
        _, large, self.t5 = text.load(workshop)
        self.clip = networks.text_model_of(large)
        torch.manual_seed(8)
        self.transformer = networks.flux()

    def forward(self, noisy: Tensor, times: Tensor, clip_tokens: Tensor, t5_tokens: Tensor) -> Tensor:
        """Predict the velocity from packed latents (count, 64, 16) at times in 0..1."""
        velocity: Tensor = self.transformer(
            hidden_states=noisy,
            timestep=times,
            pooled_projections=self.clip(clip_tokens).pooler_output,
            encoder_hidden_states=self.t5(t5_tokens).last_hidden_state,
            txt_ids=torch.zeros(LENGTH, 3),
            img_ids=FluxPipeline._prepare_latent_image_ids(1, 8, 8, "cpu", torch.float32),
        ).sample
        return velocity


def train(workshop: Workshop) -> None:
    """Teach tiny-flux to draw."""

    def loss(network: nn.Module, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        scenes = sample(rng, BATCH)
        texts = workshop.captions(scenes, rng)
        clean = packed(workshop.latents(scenes, rng))
        stops = torch.tensor(STOPS)[
            torch.multinomial(torch.tensor([2.0, 1.5, 1.0, 1.0]), BATCH, replacement=True)
        ]
        times = torch.where(torch.rand(BATCH) < AT_STOPS, stops, torch.rand(BATCH))
        noise = torch.randn_like(clean)
        share = times.view(-1, 1, 1)
        said = network(
            share * noise + (1 - share) * clean,
            times,
            workshop.clip_tokens(texts),
            workshop.t5_tokens(texts),
        )
        errors = (WEIGHTS * (said.float() - (noise - clean)) ** 2).mean((1, 2))
        late, first = errors[times < 0.9], errors[times >= 0.9]
        shown = {
            "late": late.mean().item() if len(late) else 0.0,
            "early": first.mean().item() if len(first) else 0.0,
        }
        return errors.mean(), shown

    loop.train(TextToLatents(workshop), loss, SCHEDULE, workshop.checkpoint("flux"), seed=14)


def packed(latents: Tensor) -> Tensor:
    """Turn latents (count, 4, 16, 16) into Flux's tokens (count, 64, 16)."""
    tokens: Tensor = FluxPipeline._pack_latents(latents, len(latents), 4, 16, 16)
    return tokens
