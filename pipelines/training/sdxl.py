"""tiny-sdxl: the UNet with its two text encoders."""

import numpy as np
import torch
from diffusers import EulerDiscreteScheduler
from torch import Tensor, nn

from pipelines.training import loop, networks, text
from pipelines.training.scenes import SIZE, sample
from pipelines.training.workshop import Workshop

SCHEDULE = loop.Schedule(steps=17_700, rate=7e-4, warm_up=200, fall=0.25, slow=("small", "large"))
BATCH = 32
NO_TEXT = 0.08
"""Share of captions that are dropped, so that guidance has something to lead away from."""
STOPS = torch.arange(999, 0, -125)
"""The times at which the eight steps of a drawing ask; most of the training is about these."""
AT_STOPS = 0.7
EARLY = 0.35
"""Of the others: share near pure noise, where the picture has to come from the text."""
LATE = 0.1
"""Of the others: share with little noise; what they are about the decoder knows better."""
WEIGHTS = torch.tensor([1.2, 1.2, 1.0, 0.6]).view(1, 4, 1, 1)
"""The last latent channel holds detail that whitening has blown up."""


def scheduler() -> EulerDiscreteScheduler:
    """Return the scheduler that the model is trained for: velocities, down to no signal at all."""
    return EulerDiscreteScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
    )


class TextToLatents(nn.Module):
    """All of tiny-sdxl that learns."""

    def __init__(self, workshop: Workshop) -> None:
        super().__init__()
        self.small, self.large, _ = text.load(workshop)
        torch.manual_seed(7)
        self.unet = networks.unet()

    def forward(self, noisy: Tensor, timesteps: Tensor, tokens: Tensor, spoken: Tensor) -> Tensor:
        """Predict the velocity; where `spoken` is 0 the text counts as empty (zeros, as SDXL does)."""
        small = self.small(tokens, output_hidden_states=True).hidden_states[-2]
        large = self.large(tokens, output_hidden_states=True)
        words = torch.cat([small, large.hidden_states[-2]], -1) * spoken[:, None, None]
        micro = torch.tensor([[SIZE, SIZE, 0, 0, SIZE, SIZE]]).repeat(len(noisy), 1)
        added = {"text_embeds": large.text_embeds * spoken[:, None], "time_ids": micro}
        velocity: Tensor = self.unet(noisy, timesteps, words, added_cond_kwargs=added).sample
        return velocity


def train(workshop: Workshop) -> None:
    """Teach tiny-sdxl to draw."""
    alphas = scheduler().alphas_cumprod

    def loss(network: nn.Module, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        scenes = sample(rng, BATCH)
        tokens = workshop.clip_tokens(workshop.captions(scenes, rng))
        clean = workshop.latents(scenes, rng)
        timesteps = _timesteps()
        signal = alphas[timesteps].sqrt().view(-1, 1, 1, 1)
        spread = (1 - alphas[timesteps]).sqrt().view(-1, 1, 1, 1)
        noise = torch.randn_like(clean)
        spoken = (torch.rand(BATCH) > NO_TEXT).float()
        said = network(signal * clean + spread * noise, timesteps, tokens, spoken).float()
        errors = (WEIGHTS * (said - (signal * noise - spread * clean)) ** 2).mean((1, 2, 3))
        late, first = errors[timesteps < 900], errors[timesteps >= 900]
        shown = {
            "late": late.mean().item() if len(late) else 0.0,
            "early": first.mean().item() if len(first) else 0.0,
        }
        return errors.mean(), shown

    loop.train(TextToLatents(workshop), loss, SCHEDULE, workshop.checkpoint("sdxl"), seed=12)


def _timesteps() -> Tensor:
    """Draw the times of a batch."""
    chance = torch.rand(BATCH)
    first, between, last = (torch.randint(*span, (BATCH,)) for span in ((900, 1000), (300, 900), (0, 300)))
    others = torch.where(chance < EARLY, first, torch.where(chance < 1 - LATE, between, last))
    stops = STOPS[torch.randint(len(STOPS), (BATCH,))]
    return torch.where(torch.rand(BATCH) < AT_STOPS, stops, others)
