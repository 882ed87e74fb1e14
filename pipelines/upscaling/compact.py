"""The small network of Real-ESRGAN's animevideov3 (SRVGGNetCompact), which works at the size of its input.

https://github.com/xinntao/Real-ESRGAN/blob/master/realesrgan/archs/srvgg_arch.py
"""

from collections.abc import Callable, Iterator

from torch import Tensor, nn
from torch.nn import functional

from pipelines.upscaling.ncnn import Layer, convolution
from pipelines.upscaling.tiles import Box

_FEATURES = 64
_SCALE = 4


class CompactNetwork(nn.Module):
    """Adds detail to a picture whose pixels were only repeated; 4 times as large."""

    def __init__(self, convolutions: int) -> None:
        """Take the number of convolutions between the first and the last."""
        super().__init__()
        first = nn.Conv2d(3, _FEATURES, 3, padding=1)
        self.body = nn.Sequential(first, nn.PReLU(_FEATURES))
        for _ in range(convolutions):
            self.body.append(nn.Conv2d(_FEATURES, _FEATURES, 3, padding=1))
            self.body.append(nn.PReLU(_FEATURES))
        self.body.append(nn.Conv2d(_FEATURES, 3 * _SCALE**2, 3, padding=1))

    def forward(self, picture: Tensor, kept: Box, on_step: Callable[[float], None]) -> Tensor:
        """Enlarge a part of a picture.

        Args:
            picture: (1, 3, height, width), values from 0 to 1, float32.
            kept: the part that is wanted; the network sees the rest, too.
            on_step: not called, as there is no step that takes long.
        """
        detail = kept.of(self.body(picture.to(next(self.parameters()).dtype)))
        repeated = functional.interpolate(kept.of(picture), scale_factor=_SCALE, mode="nearest")
        return functional.pixel_shuffle(detail, _SCALE) + repeated

    @staticmethod
    def layers(convolutions: int) -> Iterator[Layer]:
        """Describe the network as ncnn lists it."""
        for inputs in [3, *[_FEATURES] * convolutions]:
            yield convolution(inputs, _FEATURES)
            yield Layer("PReLU", {0: (_FEATURES,)})
        yield convolution(_FEATURES, 3 * _SCALE**2)
        yield Layer("PixelShuffle", {0: (_SCALE,)})
        yield Layer("Interp", {0: (1,), 1: (_SCALE,), 2: (_SCALE,)})
        yield Layer("BinaryOp", {})
