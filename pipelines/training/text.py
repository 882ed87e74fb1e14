"""Text encoders: first taught alone what a caption is about; that is quick, and the rest starts informed."""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import CLIPTextModel, CLIPTextModelWithProjection, T5EncoderModel

from pipelines.training import loop, networks
from pipelines.training.objects import OBJECTS
from pipelines.training.scenes import GROUNDS, TINTS, sample
from pipelines.training.workshop import Workshop

SCHEDULE = loop.Schedule(steps=1200, rate=2e-3, average=0.99)
BATCH = 64


class TextEncoders(nn.Module):
    """All text encoders of both models, and what reads the scene from them while they learn."""

    def __init__(self, clip_vocabulary: int, t5_vocabulary: int) -> None:
        super().__init__()
        torch.manual_seed(6)
        self.small = networks.small_clip(clip_vocabulary)
        self.large = networks.large_clip(clip_vocabulary)
        self.t5 = networks.t5(t5_vocabulary)
        facts = len(OBJECTS) + len(GROUNDS) + len(TINTS) + 1 + 2
        widths = (networks.SMALL_TEXT, networks.LARGE_TEXT, networks.LARGE_TEXT, networks.LARGE_TEXT)
        self.readers = nn.ModuleList(nn.Linear(width, facts) for width in widths)

    def forward(self, clip_tokens: Tensor, t5_tokens: Tensor) -> list[Tensor]:
        """Return what each reader says: (count, objects + grounds + tints and none + near or not)."""
        end = clip_tokens.eq(1).int().argmax(1)
        rows = torch.arange(len(end))
        small = self.small(clip_tokens, output_hidden_states=True).hidden_states[-2]
        large = self.large(clip_tokens, output_hidden_states=True)
        spoken = t5_tokens.ne(0)[..., None]
        t5 = (self.t5(t5_tokens).last_hidden_state * spoken).sum(1) / spoken.sum(1)
        views = (small[rows, end], large.hidden_states[-2][rows, end], large.text_embeds, t5)
        return [reader(view) for reader, view in zip(self.readers, views, strict=True)]


def train(workshop: Workshop) -> None:
    """Teach the text encoders."""
    encoders = TextEncoders(len(workshop.clip_tokenizer), len(workshop.t5_tokenizer))

    def loss(network: nn.Module, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        scenes = sample(rng, BATCH)
        texts = workshop.captions(scenes, rng)
        facts = [scenes.thing, scenes.ground, scenes.tint + 1, scenes.close_up.astype(np.int64)]
        sizes = [len(OBJECTS), len(GROUNDS), len(TINTS) + 1, 2]
        total, right = torch.zeros(()), []
        for said in network(workshop.clip_tokens(texts), workshop.t5_tokens(texts)):
            parts = zip(said.float().split(sizes, 1), map(torch.from_numpy, facts), strict=True)
            total = total + sum(functional.cross_entropy(part, fact) for part, fact in parts)
            right.append(float((said[:, : len(OBJECTS)].argmax(1).numpy() == scenes.thing).mean()))
        names = ("small", "large", "pooled", "t5")
        return total, {"loss": total.item(), **dict(zip(names, right, strict=True))}

    loop.train(encoders, loss, SCHEDULE, workshop.checkpoint("text"), seed=11)


def load(workshop: Workshop) -> tuple[CLIPTextModel, CLIPTextModelWithProjection, T5EncoderModel]:
    """Return the taught encoders, ready to learn on with the network that uses them."""
    encoders = TextEncoders(len(workshop.clip_tokenizer), len(workshop.t5_tokenizer))
    loop.averaged(encoders, workshop.checkpoint("text"))
    encoders.requires_grad_(True)
    return encoders.small, encoders.large, encoders.t5
