"""What every training step works with: the pictures, the tokenizers, the latents."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor
from transformers import CLIPTokenizer, T5Tokenizer

from pipelines.training import autoencoder, vocabulary
from pipelines.training.captions import describe
from pipelines.training.scenes import SIZE, Scenes, Stage, sample


@dataclass(frozen=True)
class Workshop:
    """The folder of one training, and what lies there."""

    folder: Path

    def checkpoint(self, name: str) -> Path:
        """Where the state of a network's training lies."""
        return self.folder / f"{name}.pt"

    @cached_property
    def stage(self) -> Stage:
        """The pictures."""
        return Stage.load(self.folder)

    @cached_property
    def clip_tokenizer(self) -> CLIPTokenizer:
        """The tokenizer of both CLIP encoders."""
        folder = self.folder / "clip-tokenizer"
        if not folder.exists():
            vocabulary.clip_tokenizer(self.folder).save_pretrained(folder)
        return CLIPTokenizer.from_pretrained(folder)

    @cached_property
    def t5_tokenizer(self) -> T5Tokenizer:
        """The tokenizer of Flux's T5."""
        folder = self.folder / "t5-tokenizer"
        if not folder.exists():
            vocabulary.t5_tokenizer(self.folder).save_pretrained(folder)
        return T5Tokenizer.from_pretrained(folder, model_max_length=vocabulary.LENGTH)

    @cached_property
    def autoencoder(self) -> AutoencoderKL:
        """The autoencoder with its computed encoder; its decoder is fresh."""
        file = self.folder / "encoder.pt"
        network = autoencoder.build()
        if file.exists():
            network.load_state_dict(torch.load(file, weights_only=True))
        else:
            rng = np.random.default_rng(4)
            autoencoder.fit_encoder(network, self.pictures(sample(rng, 1000), rng))
            torch.save(network.state_dict(), file)
        return network.requires_grad_(False).eval()

    def pictures(
        self, scenes: Scenes, rng: np.random.Generator, *, size: int = SIZE, stage: Stage | None = None
    ) -> Tensor:
        """Render scenes: (count, 3, size, size) in -1..1."""
        return (
            torch.from_numpy((stage or self.stage).render(scenes, rng, size=size)).permute(0, 3, 1, 2) * 2 - 1
        )

    def latents(self, scenes: Scenes, rng: np.random.Generator) -> Tensor:
        """Render scenes and encode them: (count, 4, 16, 16)."""
        with torch.no_grad(), torch.autocast("cpu", enabled=False):
            return autoencoder.encode(self.autoencoder, self.pictures(scenes, rng, size=SIZE // 2))

    def clip_tokens(self, texts: list[str]) -> Tensor:
        """Tokens of texts as SDXL and Flux make them: (count, 32)."""
        return self._tokens(self.clip_tokenizer, texts)

    def t5_tokens(self, texts: list[str]) -> Tensor:
        """Tokens of texts as Flux makes them for T5: (count, 32)."""
        return self._tokens(self.t5_tokenizer, texts)

    def captions(self, scenes: Scenes, rng: np.random.Generator) -> list[str]:
        """Describe scenes in random words."""
        return describe(scenes, rng)

    @staticmethod
    def _tokens(tokenizer: CLIPTokenizer | T5Tokenizer, texts: list[str]) -> Tensor:
        found = tokenizer(
            texts, padding="max_length", max_length=vocabulary.LENGTH, truncation=True, return_tensors="pt"
        )
        tokens: Tensor = found.input_ids
        return tokens
