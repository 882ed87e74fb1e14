"""The autoencoder: 128 px pictures as 16 x 16 latents of 4 channels, in Stable Diffusion's format.

The encoder is not trained but computed: it halves the picture, takes its patches of 4 x 4 pixels and
projects them on their four principal components, whitened. So the latents exist at once and never change:
the networks that draw latents train beside the decoder, which is an ordinary one and learns to see 128 px in
them. (Training both ends together from nothing was tried: it took longer and gave a worse picture.)
"""

from typing import Any

import torch
from diffusers import AutoencoderKL
from torch import Tensor
from torch.nn import functional

CHANNELS = (16, 32, 64, 96)
LATENTS = 4
GROUPS = 4
LARGE = 50.0
"""A constant so large beside the whitened signals that it alone decides what GroupNorm divides by."""


def build() -> AutoencoderKL:
    """Return the network; its encoder still has to be computed by `fit_encoder`."""
    torch.manual_seed(5)
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=CHANNELS,
        layers_per_block=1,
        latent_channels=LATENTS,
        norm_num_groups=GROUPS,
        sample_size=128,
        scaling_factor=1.0,
        shift_factor=0.0,
        force_upcast=False,
    )


@torch.no_grad()
def fit_encoder(autoencoder: AutoencoderKL, pictures: Tensor) -> None:
    """Set the encoder's weights so that its latents are whitened principal components of these pictures.

    Args:
        autoencoder: What `build` gave; changed in place.
        pictures: (count, 3, 128, 128) in -1..1.
    """
    encoder = autoencoder.encoder
    _silence(encoder)
    _route(encoder.conv_in, [(c, c, 1, 1, 1.0) for c in range(3)])
    average = [(c, c, y, x, 0.25) for c in range(3) for y in (0, 1) for x in (0, 1)]
    _route(encoder.down_blocks[0].downsamplers[0].conv, average)
    for block, channels in ((encoder.down_blocks[1], 3), (encoder.down_blocks[2], 12)):
        _keep(block.resnets[0].conv_shortcut, channels)
        unfold = [(4 * c + 2 * y + x, c, y, x, 1.0) for c in range(channels) for y in (0, 1) for x in (0, 1)]
        _route(block.downsamplers[0].conv, unfold)
    _project(encoder, *_components(encoder, pictures))
    _linear_end(encoder)
    identity = torch.eye(2 * LATENTS)[..., None, None]
    autoencoder.quant_conv.weight.copy_(identity)
    autoencoder.quant_conv.bias.zero_()


def encode(autoencoder: AutoencoderKL, pictures: Tensor) -> Tensor:
    """Return the encoder's latents, a hundred times faster than it: by the projection that its weights hold.

    Args:
        autoencoder: One whose encoder is fitted.
        pictures: (count, 3, 64, 64) in -1..1, already halved.
    """
    shortcut = autoencoder.encoder.down_blocks[3].resnets[0].conv_shortcut
    signals = slice(None, None, CHANNELS[-1] // GROUPS)
    patches = functional.pixel_unshuffle(functional.pixel_unshuffle(pictures, 2), 2)
    return functional.conv2d(patches, shortcut.weight[signals, :48], shortcut.bias[signals])


def _silence(encoder: Any) -> None:
    """Make every residual branch give nothing: only shortcuts and the convolutions between blocks act."""
    for name, parameter in encoder.named_parameters():
        if name.endswith(("conv2.weight", "conv2.bias")) or "to_out.0" in name:
            parameter.zero_()


def _route(conv: Any, taps: list[tuple[int, int, int, int, float]]) -> None:
    """Set a convolution to (output channel, input channel, row, column, weight) and nothing else."""
    conv.weight.zero_()
    conv.bias.zero_()
    for out, into, row, column, weight in taps:
        conv.weight[out, into, row, column] = weight


def _keep(shortcut: Any, channels: int) -> None:
    _route(shortcut, [(c, c, 0, 0, 1.0) for c in range(channels)])


def _components(encoder: Any, pictures: Tensor) -> tuple[Tensor, Tensor]:
    """Return the whitening projection (LATENTS, 48) and the mean (48) of the unfolded patches."""
    features = encoder.conv_in(pictures)
    for block in encoder.down_blocks[:3]:
        features = block(features)
    patches = features[:, :48].permute(0, 2, 3, 1).reshape(-1, 48)
    mean = patches.mean(0)
    values, vectors = torch.linalg.eigh(torch.cov((patches - mean).T))
    order = values.argsort(descending=True)[:LATENTS]
    return vectors[:, order].T / values[order, None].sqrt(), mean


def _project(encoder: Any, projection: Tensor, mean: Tensor) -> None:
    """In each group of the last GroupNorm: a component, its negative, the large constant with both signs."""
    shortcut = encoder.down_blocks[3].resnets[0].conv_shortcut
    shortcut.weight.zero_()
    shortcut.bias.zero_()
    width = CHANNELS[-1] // GROUPS
    for index, row in enumerate(projection):
        first = index * width
        for channel, sign in ((first, 1.0), (first + 1, -1.0)):
            shortcut.weight[channel, :48, 0, 0] = sign * row
            shortcut.bias[channel] = -sign * (row @ mean)
        shortcut.bias[first + 2] = LARGE
        shortcut.bias[first + 3] = -LARGE


def _linear_end(encoder: Any) -> None:
    """Undo the last GroupNorm and SiLU: silu(x) - silu(-x) = x, and the norm divides by a constant."""
    width = CHANNELS[-1] // GROUPS
    deviation = (2 * (LARGE**2 + 1) / width) ** 0.5
    encoder.conv_norm_out.weight.fill_(1)
    encoder.conv_norm_out.bias.zero_()
    taps = [
        (i, i * width + k, 1, 1, sign * deviation)
        for i in range(LATENTS)
        for k, sign in ((0, 1.0), (1, -1.0))
    ]
    _route(encoder.conv_out, taps)
    encoder.conv_out.bias[LATENTS:] = -30.0  # the logarithm of the variance: none
