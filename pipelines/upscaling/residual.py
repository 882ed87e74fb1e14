"""The large network of Real-ESRGAN's x4plus (RRDBNet): residual in residual dense blocks.

https://github.com/XPixelGroup/BasicSR/blob/master/basicsr/archs/rrdbnet_arch.py
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipelines.upscaling.ncnn import Layer, convolution
from pipelines.upscaling.tiles import Box

_FEATURES = 64
_GROWTH = 32
_SLOPE = 0.2
_RESIDUAL_SHARE = 0.2
_REACH = 2
"""Pixels of the input that the layers behind the blocks see far."""
_CONVOLUTIONS = [(_FEATURES + index * _GROWTH, _GROWTH) for index in range(4)] + [
    (_FEATURES + 4 * _GROWTH, _FEATURES)
]
"""(inputs, outputs) of a dense block's convolutions: each sees what all before it made."""


class ResidualNetwork(nn.Module):
    """Makes pictures 4 times as large."""

    def __init__(self, blocks: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, _FEATURES, 3, padding=1)
        self.blocks = nn.Sequential(*(_Block() for _ in range(blocks)))
        self.last_of_blocks = nn.Conv2d(_FEATURES, _FEATURES, 3, padding=1)
        self.at_double = nn.Conv2d(_FEATURES, _FEATURES, 3, padding=1)
        self.at_quadruple = nn.Conv2d(_FEATURES, _FEATURES, 3, padding=1)
        self.detail = nn.Conv2d(_FEATURES, _FEATURES, 3, padding=1)
        self.colours = nn.Conv2d(_FEATURES, 3, 3, padding=1)

    def forward(self, picture: Tensor, kept: Box, on_step: Callable[[float], None]) -> Tensor:
        """Enlarge a part of a picture.

        Args:
            picture: (1, 3, height, width), values from 0 to 1, float32.
            kept: the part that is wanted; the network sees the rest, too.
            on_step: gets the share of the work that is done.
        """
        shallow = self.first(picture.to(next(self.parameters()).dtype))
        features = shallow
        for done, block in enumerate(self.blocks):
            on_step(done / len(self.blocks))
            features = block(features)
        # Behind this point a pixel takes 16 times the memory, and sees 2 pixels far.
        around = kept.grown(_REACH, (picture.shape[-1], picture.shape[-2]))
        features = around.of(shallow + self.last_of_blocks(features))
        features = _leaky(self.at_double(_doubled(features)))
        features = _leaky(self.at_quadruple(_doubled(features)))
        colours = self.colours(_leaky(self.detail(features)))
        return kept.inside(around).scaled(4).of(colours).float()

    @staticmethod
    def layers(blocks: int) -> Iterator[Layer]:
        """Describe the network as ncnn lists it."""
        residual = Layer("Eltwise", {0: (1,), 1: (_RESIDUAL_SHARE, 1.0)})
        doubled = Layer("Interp", {0: (1,), 1: (2,), 2: (2,)})
        smooth = convolution(_FEATURES, _FEATURES, _SLOPE)
        yield convolution(3, _FEATURES)
        for _ in range(blocks):
            for _ in range(3):
                for inputs, outputs in _CONVOLUTIONS[:-1]:
                    yield convolution(inputs, outputs, _SLOPE)
                yield convolution(*_CONVOLUTIONS[-1])
                yield residual
            yield residual
        yield convolution(_FEATURES, _FEATURES)
        yield Layer("BinaryOp", {})
        yield from (doubled, smooth, doubled, smooth, smooth, convolution(_FEATURES, 3))


class _Block(nn.Module):
    """Three dense blocks, of which a fifth is added to what came in."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Sequential(*(_DenseBlock() for _ in range(3)))

    def forward(self, features: Tensor) -> Tensor:
        return torch.add(features, self.dense(features), alpha=_RESIDUAL_SHARE)


class _DenseBlock(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(nn.Conv2d(*sizes, 3, padding=1) for sizes in _CONVOLUTIONS)

    def forward(self, features: Tensor) -> Tensor:
        seen = features
        *growing, last = self.convolutions
        for grow in growing:
            seen = torch.cat((seen, _leaky(grow(seen))), 1)
        return torch.add(features, last(seen), alpha=_RESIDUAL_SHARE)


def _leaky(features: Tensor) -> Tensor:
    return functional.leaky_relu(features, _SLOPE, inplace=True)


def _doubled(features: Tensor) -> Tensor:
    return functional.interpolate(features, scale_factor=2, mode="nearest")
