"""Stable Diffusion XL and what is made from it (Lightning, Turbo, fine-tunes), by diffusers."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import torch
from diffusers import (
    StableDiffusionXLImg2ImgPipeline,
    StableDiffusionXLInpaintPipeline,
    StableDiffusionXLPipeline,
)
from PIL import Image
from torch import Tensor

from pipelines.diffusion import schedulers
from pipelines.diffusion.loras import Chosen
from pipelines.diffusion.options import DiffusionOptions
from pipelines.diffusion.pipeline import DiffusionPipeline
from pipelines.diffusion.plan import Kind, Plan
from pipelines.diffusion.prompts import PromptCache, cut_notes, windows
from pipelines.diffusion.runs import Batch
from pipelines.images import Size
from pipelines.loading import EngineSettings
from pipelines.tasks.drawing import DrawRequest

MAX_WINDOWS = 64
"""Of a prompt that are read, 4,800 tokens of SDXL; endless prompts would hold up all others for a minute."""
WINDOWS_AT_ONCE = 8
"""Of a prompt, in one call of its encoders."""


class SdxlPipeline(DiffusionPipeline):
    """Any checkpoint in diffusers' format of SDXL.

    Long prompts are read: beyond the text encoders' window (77 tokens) they are cut into several,
    whose embeddings stand one after the other, as the tools of the field do it.
    """

    kinds: ClassVar[dict[Kind, type[Any]]] = {
        "text": StableDiffusionXLPipeline,
        "image": StableDiffusionXLImg2ImgPipeline,
        "mask": StableDiffusionXLInpaintPipeline,
    }
    gpu_dtype = torch.float16
    multiple = 8

    def __init__(self, weights: Path | None, options: DiffusionOptions, engine: EngineSettings) -> None:
        super().__init__(weights, options, engine)
        self._pipe = self._pipes["text"]
        self._embeddings = PromptCache(self._embedded)
        self._token_windows("")  # the first call sets the tokenizers up, which threads must not do at once

    @property
    def _own_side(self) -> int:
        return int(self._pipe.unet.config.sample_size * self._pipe.vae_scale_factor)

    def _scheduler(self, name: str | None) -> Any:
        own = self._own_scheduler
        return schedulers.build(name, own, schedulers.SCHEDULERS, self._options.scheduler_settings)

    def _why_no_negative(self, guidance: float) -> str | None:
        return None if guidance > 1 else "A negative prompt needs a guidance above 1; it was ignored."

    def _windows(self, request: DrawRequest, guidance: float) -> int:
        texts = [request.prompt, request.negative_prompt] if guidance > 1 else [request.prompt]
        return max(len(window) for text in texts for window in self._token_windows(text))

    def _prompt_arguments(self, batch: Batch) -> dict[str, Any]:
        plan = batch.plan
        arguments = _rows("", [self._padded(each.prompt, plan) for each in batch.orders])
        if plan.guidance > 1:
            against = [self._against(each.negative_prompt, plan) for each in batch.orders]
            arguments |= _rows("negative_", against)
        return arguments

    def _decoded(self, latents: Tensor, size: Size) -> list[Image.Image]:
        pipe = self._pipe
        with _overflowing_in_full(pipe.vae) as vae:
            sample = vae.decode(latents.to(vae.dtype) / vae.config.scaling_factor).sample
        images: list[Image.Image] = pipe.image_processor.postprocess(sample)
        return images

    @property
    def _most_tokens(self) -> int:
        return MAX_WINDOWS * int(self._pipe.tokenizer.model_max_length - 2)

    def _tokens(self, tokenizer: Any, text: str) -> list[int]:
        tokens: list[int] = tokenizer(text, add_special_tokens=False, verbose=False).input_ids
        return tokens

    def _remarks(self, request: DrawRequest) -> list[str]:
        remarks = []
        for what, text in (("prompt", request.prompt), ("negative prompt", request.negative_prompt)):
            remarks += cut_notes(what, len(self._tokens(self._pipe.tokenizer, text)), self._most_tokens)
        return remarks

    def _token_windows(self, text: str) -> list[Tensor]:
        """Cut a prompt for both text encoders, whose tokenizers may differ: (windows, positions) each."""
        found = []
        for tokenizer in (self._pipe.tokenizer, self._pipe.tokenizer_2):
            tokens = self._tokens(tokenizer, text)[: self._most_tokens]
            marks = (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id)
            found.append(windows(tokens, tokenizer.model_max_length, *marks))
        return found

    def _embedded(self, key: tuple[str, Chosen]) -> tuple[Tensor, Tensor]:
        """Give the embeddings of a prompt, (tokens, width), and the pooled one, (width)."""
        first, second = self._token_windows(key[0])
        count = max(len(first), len(second))
        pipe, words, pooled = self._pipe, [], []
        # A few at a time: the encoders give the states of all their layers, for long prompts gigabytes.
        for one, other in zip(self._filled(first, count, 1), self._filled(second, count, 2), strict=True):
            small = pipe.text_encoder(one, output_hidden_states=True)
            large = pipe.text_encoder_2(other, output_hidden_states=True)
            words.append(torch.cat([small.hidden_states[-2], large.hidden_states[-2]], -1).flatten(0, 1))
            pooled.append(large.text_embeds[0])
        return torch.cat(words), pooled[0]

    def _filled(self, tokens: Tensor, count: int, encoder: int) -> list[Tensor]:
        """Add empty windows up to that count; on the encoder's device, in parts."""
        tokenizer = self._pipe.tokenizer if encoder == 1 else self._pipe.tokenizer_2
        marks = (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id)
        empty = windows([], tokenizer.model_max_length, *marks)
        rows = torch.cat([tokens, *[empty] * (count - len(tokens))]).to(self._device)
        return [rows[start : start + WINDOWS_AT_ONCE] for start in range(0, count, WINDOWS_AT_ONCE)]

    def _padded(self, text: str, plan: Plan) -> tuple[Tensor, Tensor]:
        """Give embeddings of as many windows as the plan has: those of an empty prompt stand behind."""
        words, pooled = self._embeddings.get((text, plan.loras))
        if missing := plan.windows - len(words) // self._pipe.tokenizer.model_max_length:
            empty, _ = self._embeddings.get(("", plan.loras))
            words = torch.cat([words, *[empty] * missing])
        return words, pooled

    def _against(self, text: str, plan: Plan) -> tuple[Tensor, Tensor]:
        """Give the embeddings that guidance leads away from; SDXL takes zeros where there is no text."""
        words, pooled = self._padded(text, plan)
        if text or not self._pipe.config.force_zeros_for_empty_prompt:
            return words, pooled
        return torch.zeros_like(words), torch.zeros_like(pooled)


@contextmanager
def _overflowing_in_full(vae: Any) -> Iterator[Any]:
    """Let an autoencoder work in float32 that overflows in float16, as SDXL's first one does."""
    if vae.dtype != torch.float16 or not vae.config.force_upcast:
        yield vae
        return
    try:
        yield vae.to(torch.float32)
    finally:
        vae.to(torch.float16)


def _rows(prefix: str, embedded: list[tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
    return {
        f"{prefix}prompt_embeds": torch.stack([words for words, _ in embedded]),
        f"{prefix}pooled_prompt_embeds": torch.stack([pooled for _, pooled in embedded]),
    }
