"""The networks that there are: their files, how they are built, and how large a piece they take at once."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Literal, TypeAlias

import torch
from torch import nn

from pipelines.errors import ModelLoadError
from pipelines.upscaling.compact import CompactNetwork
from pipelines.upscaling.ncnn import Layer, read_arrays, read_layers
from pipelines.upscaling.residual import ResidualNetwork

NATIVE_SCALE = 4
"""Of every network."""

NetworkName: TypeAlias = Literal["drawing", "illustration", "photo"]
"""animevideov3: small and fast; x4plus-anime: larger, for drawings; x4plus: large, for photographs."""


@dataclass(frozen=True)
class Blueprint:
    """What is known of a network before it is loaded."""

    stem: str
    """Of its files' names."""
    build: Callable[[], nn.Module]
    layers: tuple[Layer, ...]
    """What its ``.param`` must list."""
    tile_side: int
    """Pixels of a picture's piece."""
    halo: int
    """Pixels that are looked at around a piece."""


# A compact network sees 18 pixels far; with a halo of 16 no pixel is off by more than 1 of 255 levels.
# A residual one sees 350 pixels far, but little of it matters: off by 2 levels with 48, by 10 with 32, by 45
# with upstream's 10 (measured on photographs, print and noise).
_COMPACT = {"tile_side": 256, "halo": 16}
_RESIDUAL = {"tile_side": 256, "halo": 48}

BLUEPRINTS: dict[NetworkName, Blueprint] = {
    "drawing": Blueprint(
        "realesr-animevideov3-x4",
        lambda: CompactNetwork(16),
        tuple(CompactNetwork.layers(16)),
        **_COMPACT,
    ),
    "illustration": Blueprint(
        "realesrgan-x4plus-anime", lambda: ResidualNetwork(6), tuple(ResidualNetwork.layers(6)), **_RESIDUAL
    ),
    "photo": Blueprint(
        "realesrgan-x4plus", lambda: ResidualNetwork(23), tuple(ResidualNetwork.layers(23)), **_RESIDUAL
    ),
}


def load_network(weights: Path, name: NetworkName) -> nn.Module:
    """Load a network from ncnn's files, as float32.

    Args:
        weights: the folder with them, or one of the two.
        name: which network it must be.

    Raises:
        ModelLoadError: a file is missing, damaged, or of another network.
    """
    blueprint = BLUEPRINTS[name]
    file = weights / blueprint.stem if weights.is_dir() else weights.with_suffix("")
    # Not with_suffix() on a stem: that would take what stands behind a dot in it for one.
    param, numbers = file.with_name(f"{file.name}.param"), file.with_name(f"{file.name}.bin")
    layers = read_layers(param)
    _check(param, layers, name)
    network = blueprint.build()
    arrays = read_arrays(numbers, layers)
    with torch.no_grad():
        # The modules are declared in the order in which they run, which is the file's.
        for parameter, array in zip(network.parameters(), arrays, strict=True):
            parameter.copy_(torch.from_numpy(array.astype("float32")).reshape(parameter.shape))
    return network.eval().requires_grad_(requires_grad=False)


def _check(file: Path, layers: list[Layer], name: NetworkName) -> None:
    blueprint = BLUEPRINTS[name]
    for number, (found, expected) in enumerate(zip_longest(layers, blueprint.layers), 1):
        if found != expected:
            raise ModelLoadError(
                f"{file} is not the network '{name}': layer {number} is {found or 'missing'}, not "
                f"{expected or 'there'}. Check 'source' and 'network': '{name}' is {blueprint.stem}."
            )
