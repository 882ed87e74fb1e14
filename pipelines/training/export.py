"""Checkpoints in diffusers' format: what the server loads."""

from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    StableDiffusionXLPipeline,
)

from pipelines.training import decoder, flux, loop, sdxl
from pipelines.training.workshop import Workshop

WEIGHTS = Path(__file__).parents[1] / "weights"


def sdxl_pipeline(workshop: Workshop) -> StableDiffusionXLPipeline:
    """Put tiny-sdxl together from what was trained so far."""
    trained: Any = loop.averaged(sdxl.TextToLatents(workshop), workshop.checkpoint("sdxl"))
    return StableDiffusionXLPipeline(
        vae=autoencoder(workshop),
        text_encoder=trained.small,
        text_encoder_2=trained.large,
        tokenizer=workshop.clip_tokenizer,
        tokenizer_2=workshop.clip_tokenizer,
        unet=trained.unet,
        scheduler=sdxl.scheduler(),
        add_watermarker=False,
    )


def flux_pipeline(workshop: Workshop) -> FluxPipeline:
    """Put tiny-flux together from what was trained so far."""
    trained: Any = loop.averaged(flux.TextToLatents(workshop), workshop.checkpoint("flux"))
    return FluxPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(shift=1.0, use_dynamic_shifting=False),
        vae=autoencoder(workshop),
        text_encoder=trained.clip,
        tokenizer=workshop.clip_tokenizer,
        text_encoder_2=trained.t5,
        tokenizer_2=workshop.t5_tokenizer,
        transformer=trained.transformer,
    )


def autoencoder(workshop: Workshop) -> AutoencoderKL:
    """Join the computed encoder and the trained decoder."""
    network = workshop.autoencoder
    polished = workshop.checkpoint("polish")
    known = polished if polished.exists() else workshop.checkpoint("decoder")
    trained: Any = loop.averaged(decoder.Decoder(workshop), known)
    network.decoder.load_state_dict(trained.decoder.state_dict())
    network.post_quant_conv.load_state_dict(trained.post_quant_conv.state_dict())
    return network


def write(workshop: Workshop) -> None:
    """Write both checkpoints, fp16, to where the server finds them."""
    for name, build in (("sdxl", sdxl_pipeline), ("flux", flux_pipeline)):
        build(workshop).to(torch.float16).save_pretrained(WEIGHTS / f"tiny-{name}", safe_serialization=True)
