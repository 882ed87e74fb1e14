"""Flux.1 (Schnell; Dev by configuration), by diffusers."""

from copy import deepcopy
from pathlib import Path
from typing import Any, ClassVar

import torch
from diffusers import FluxImg2ImgPipeline, FluxInpaintPipeline
from diffusers import FluxPipeline as FluxTextPipeline
from PIL import Image
from pydantic import Field
from torch import Tensor

from pipelines.diffusion import schedulers
from pipelines.diffusion.loras import Chosen
from pipelines.diffusion.options import DiffusionOptions
from pipelines.diffusion.pipeline import DiffusionPipeline
from pipelines.diffusion.plan import Kind
from pipelines.diffusion.prompts import PromptCache, cut_notes
from pipelines.diffusion.runs import Batch
from pipelines.images import Size
from pipelines.loading import EngineSettings
from pipelines.tasks.drawing import DrawRequest


class FluxOptions(DiffusionOptions):
    """Schnell's defaults; Dev wants ``steps: 28, guidance: 3.5, prompt_tokens: 512``."""

    steps: int = Field(default=4, ge=1, le=150)
    guidance: float = Field(default=0.0, ge=0.0, le=30.0)
    prompt_tokens: int = Field(default=256, ge=8, le=512)
    """How much of a prompt T5 reads."""


class FluxPipeline(DiffusionPipeline):
    """Any checkpoint in diffusers' format of Flux.1."""

    Options = FluxOptions
    kinds: ClassVar[dict[Kind, type[Any]]] = {
        "text": FluxTextPipeline,
        "image": FluxImg2ImgPipeline,
        "mask": FluxInpaintPipeline,
    }
    gpu_dtype = torch.bfloat16
    multiple = 16

    def __init__(self, weights: Path | None, options: FluxOptions, engine: EngineSettings) -> None:
        super().__init__(weights, options, engine)
        self._pipe = self._pipes["text"]
        self._prompt_tokens = options.prompt_tokens
        self._embeddings = PromptCache(self._embedded)
        # A copy: the drawing thread changes the settings of its own with each prompt.
        self._counting_tokenizer = deepcopy(self._pipe.tokenizer_2)

    @property
    def _own_side(self) -> int:
        return int(self._pipe.default_sample_size * self._pipe.vae_scale_factor)

    def _scheduler(self, name: str | None) -> Any:
        own = self._own_scheduler
        return schedulers.build(name, own, schedulers.FLOW_SCHEDULERS, self._options.scheduler_settings)

    def _remarks(self, request: DrawRequest) -> list[str]:
        remarks = []
        if request.guidance is not None and not self._pipe.transformer.config.guidance_embeds:
            remarks.append("This model takes no guidance; it was ignored.")
        tokens = len(self._counting_tokenizer(request.prompt, verbose=False).input_ids)
        return remarks + cut_notes("prompt", tokens, self._prompt_tokens)

    def _why_no_negative(self, guidance: float) -> str | None:
        return "This model takes no negative prompt; it was ignored."

    def _prompt_arguments(self, batch: Batch) -> dict[str, Any]:
        embedded = [self._embeddings.get((each.prompt, batch.plan.loras)) for each in batch.orders]
        return {
            "prompt_embeds": torch.stack([words for words, _ in embedded]),
            "pooled_prompt_embeds": torch.stack([pooled for _, pooled in embedded]),
            "max_sequence_length": self._prompt_tokens,
        }

    def _embedded(self, key: tuple[str, Chosen]) -> tuple[Tensor, Tensor]:
        words, pooled, _ = self._pipe.encode_prompt(
            key[0], prompt_2=None, device=self._device, max_sequence_length=self._prompt_tokens
        )
        return words[0], pooled[0]

    def _decoded(self, latents: Tensor, size: Size) -> list[Image.Image]:
        pipe, (width, height) = self._pipe, size
        spread = pipe._unpack_latents(latents, height, width, pipe.vae_scale_factor)
        config = pipe.vae.config
        scaled = spread / config.scaling_factor + (config.shift_factor or 0.0)
        images: list[Image.Image] = pipe.image_processor.postprocess(
            pipe.vae.decode(scaled.to(pipe.vae.dtype)).sample
        )
        return images
