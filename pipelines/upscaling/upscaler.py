"""Enlarges pictures in memory; what pipelines use that have no file to enlarge."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal, Self, TypeAlias

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from pipelines.torch_engine import inference, torch_device
from pipelines.upscaling.networks import BLUEPRINTS, NATIVE_SCALE, Blueprint, NetworkName, load_network
from pipelines.upscaling.projection import REACH, project_back, scaled_down
from pipelines.upscaling.tiles import Box, tiles

Precision: TypeAlias = Literal["float32", "bfloat16"]
"""What may be asked for; float16 is for GPUs, and unusable on a CPU (150 times as slow, measured)."""

_MARGIN = REACH + 2
"""Pixels around a piece that are enlarged with it: for the projection, and for scaling down to 2 or 3."""


class Upscaler:
    """A loaded network; threads may share it."""

    def __init__(
        self, network: nn.Module, blueprint: Blueprint, device: torch.device, threads: int, faithful: bool
    ) -> None:
        """Take a network in its final precision; use `load`."""
        self._network = network.to(device)
        self._blueprint = blueprint
        self._device = device
        self._threads = threads
        self._faithful = faithful

    @classmethod
    def load(
        cls,
        weights: Path,
        name: NetworkName,
        *,
        device: Literal["cpu", "cuda"] = "cpu",
        threads: int | None = None,
        faithful: bool = True,
        dtype: Precision | None = None,
    ) -> Self:
        """Load a network from ncnn's files.

        Args:
            weights: the folder with them, or one of the two files.
            name: which network.
            device: where it runs.
            threads: of one run; None keeps torch's setting.
            faithful: whether the result, scaled down again, must be the picture. False gives the network's
                own result, which has less of the picture's noise and compression, and other colours.
            dtype: None is float32 on a CPU and float16 on a GPU.

        Raises:
            ModelLoadError: the files are not what they should be, or there is no such device.
        """
        found = torch_device(device)
        network = load_network(weights, name)
        precision = dtype or ("float32" if device == "cpu" else "float16")
        network.to(getattr(torch, precision))
        threads = threads or torch.get_num_threads()
        return cls(network, BLUEPRINTS[name], found, threads, faithful)

    def upscale(
        self, image: Image.Image, scale: int, on_tile: Callable[[float], None] = lambda share: None
    ) -> Image.Image:
        """Enlarge an RGB picture.

        Args:
            image: RGB.
            scale: 2, 3 or 4.
            on_tile: gets the share of the work that is done, now and then; what it raises stops the work.

        Raises:
            OutOfMemory: there is too little of it.
        """
        with inference(self._threads):
            return self._upscale(image, scale, on_tile)

    def _upscale(self, image: Image.Image, scale: int, on_tile: Callable[[float], None]) -> Image.Image:
        enlarged = Image.new("RGB", (image.width * scale, image.height * scale))
        pieces = tiles(image.size, self._blueprint.tile_side)
        for done, piece in enumerate(pieces):
            on_tile(done / len(pieces))

            def on_step(share: float, done: int = done) -> None:
                on_tile((done + share) / len(pieces))

            enlarged.paste(self._enlarged(image, piece, scale, on_step), piece.scaled(scale).corners[:2])
        on_tile(1.0)
        return enlarged

    def _enlarged(
        self, image: Image.Image, piece: Box, scale: int, on_step: Callable[[float], None]
    ) -> Image.Image:
        seen = piece.grown(self._blueprint.halo, image.size)
        kept = piece.grown(_MARGIN, image.size)
        picture = self._tensor(image.crop(seen.corners))
        result: Tensor = self._network(picture, kept.inside(seen), on_step)
        if scale != NATIVE_SCALE:
            result = scaled_down(result, kept.scaled(scale).size)
        if self._faithful:
            result = project_back(result, kept.inside(seen).of(picture), scale)
        return _image(piece.inside(kept).scaled(scale).of(result))

    def _tensor(self, image: Image.Image) -> Tensor:
        pixels = torch.from_numpy(np.array(image.convert("RGB"))).to(self._device)
        # So its channels lie last, as the networks' do from here on: a tenth faster (measured).
        return pixels.permute(2, 0, 1)[None].float().div_(255)


def _image(picture: Tensor) -> Image.Image:
    pixels = picture[0].permute(1, 2, 0).clamp(0, 1).mul_(255).round_().to(torch.uint8)
    return Image.fromarray(pixels.cpu().numpy())
