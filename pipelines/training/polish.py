"""The decoder's last lessons: on latents that the models drew, with the faults that these have.

A scene's latents are partly noised and drawn to the end by a model. So they show what the scene shows, and
the decoder should make that of them, but they show it as the model draws it.
"""

from typing import Any

import numpy as np
import torch
from diffusers import FluxImg2ImgPipeline, StableDiffusionXLImg2ImgPipeline
from torch import Tensor, nn

from pipelines.training import autoencoder, decoder, export, loop
from pipelines.training.scenes import Scenes, sample
from pipelines.training.vocabulary import LENGTH
from pipelines.training.workshop import Workshop

SCHEDULE = loop.Schedule(steps=1_500, rate=7e-4, warm_up=50, fall=0.8, average=0.998)
BANK = 1_920
"""Scenes that each model draws."""
STRENGTHS = (0.5, 0.63, 0.75)
BATCH = 8
DRAWN = 5
"""Drawn latents in a batch; the others are encoded pictures, so that these survive too."""


def train(workshop: Workshop) -> None:
    """Teach the decoder what the models' latents mean."""
    bank = _bank(workshop)

    def loss(network: nn.Module, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        rows = rng.integers(len(bank["latents"]), size=DRAWN)
        scenes = Scenes(*(bank[name][rows].numpy() for name in Scenes._fields))
        drawn = torch.cat(
            [_picture(workshop, scenes, row, int(seed)) for row, seed in enumerate(bank["light"][rows])]
        )
        fresh = workshop.pictures(sample(rng, BATCH - DRAWN), rng)
        with torch.no_grad(), torch.autocast("cpu", enabled=False):
            encoded = autoencoder.encode(workshop.autoencoder, torch.nn.functional.avg_pool2d(fresh, 2))
        latents = torch.cat([bank["latents"][rows], encoded])
        return decoder.difference(network(latents).float(), torch.cat([drawn, fresh]))

    network = decoder.Decoder(workshop)
    if not workshop.checkpoint("polish").exists():
        loop.averaged(network, workshop.checkpoint("decoder")).requires_grad_(True)
    loop.train(network, loss, SCHEDULE, workshop.checkpoint("polish"), seed=18)


def _picture(workshop: Workshop, scenes: Scenes, row: int, light: int) -> Tensor:
    """Render one scene in the light in which it was drawn."""
    one = Scenes(*(values[row : row + 1] for values in scenes))
    return workshop.pictures(one, np.random.default_rng(light))


def _bank(workshop: Workshop) -> dict[str, Tensor]:
    """Let both models draw, once; the drawings lie in the workshop."""
    file = workshop.checkpoint("bank")
    if file.exists():
        known: dict[str, Tensor] = torch.load(file, weights_only=True)
        return known
    parts: list[dict[str, Tensor]] = []
    for pipe, arguments in _artists(workshop):
        pipe.set_progress_bar_config(disable=True)
        for number in range(BANK // 16):
            parts.append(_drawn(workshop, pipe, arguments, number + len(parts) * 1000))
    bank = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
    torch.save(bank, file)
    return bank


def _artists(workshop: Workshop) -> list[tuple[Any, dict[str, Any]]]:
    sdxl = StableDiffusionXLImg2ImgPipeline(
        **export.sdxl_pipeline(workshop).components, add_watermarker=False
    )
    artists: list[tuple[Any, dict[str, Any]]] = [(sdxl, {"num_inference_steps": 8, "guidance_scale": 1.5})]
    if workshop.checkpoint("flux").exists():
        parts = export.flux_pipeline(workshop).components
        flux = FluxImg2ImgPipeline(
            **{name: part for name, part in parts.items() if "image_encoder" not in name}
        )
        size = {"height": 128, "width": 128, "max_sequence_length": LENGTH}
        artists.append((flux, {"num_inference_steps": 4, "guidance_scale": 0.0, **size}))
    return artists


@torch.inference_mode()
def _drawn(workshop: Workshop, pipe: Any, arguments: dict[str, Any], seed: int) -> dict[str, Tensor]:
    rng = np.random.default_rng((19, seed))
    scenes = sample(rng, 16)
    lights = rng.integers(2**31, size=16)
    rendered = torch.cat([_picture(workshop, scenes, row, int(light)) for row, light in enumerate(lights)])
    clean = autoencoder.encode(workshop.autoencoder, torch.nn.functional.avg_pool2d(rendered, 2))
    latents = pipe(
        prompt=workshop.captions(scenes, rng),
        image=clean,
        strength=STRENGTHS[seed % len(STRENGTHS)],
        generator=[torch.Generator().manual_seed(seed * 16 + row) for row in range(16)],
        output_type="latent",
        **arguments,
    ).images
    if latents.ndim == 3:  # Flux gives its packed tokens
        latents = pipe._unpack_latents(latents, 128, 128, pipe.vae_scale_factor)
    facts = {name: torch.from_numpy(np.asarray(values)) for name, values in scenes._asdict().items()}
    return {"latents": latents.clone(), "light": torch.from_numpy(lights), **facts}
