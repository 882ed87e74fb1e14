"""Back-projection (Irani and Peleg, 1991): a result, scaled down again, becomes what it was made of.

Networks that were trained to please shift colours and draw some things anew. Measured with animevideov3
on four clean photographs, halved and enlarged again, against bicubic interpolation: 0.8 to 1.7 dB PSNR
worse without it, 0.6 to 1.7 dB better with two steps; four steps give 0.1 dB more.
"""

import torch
from torch import Tensor
from torch.nn import functional

from pipelines.images import Size

STEPS = 2
REACH = 4 * STEPS
"""How many pixels of the picture, to each side, a pixel of the result depends on."""


def project_back(result: Tensor, picture: Tensor, scale: int) -> Tensor:
    """Correct a result that is `scale` times as large as its picture; both (n, 3, height, width)."""
    for _ in range(STEPS):
        seen = scaled_down(result, (picture.shape[-1], picture.shape[-2]))
        missing = functional.interpolate(picture - seen, scale_factor=scale, mode="bicubic")
        result = result + missing
    return result


def scaled_down(pictures: Tensor, size: Size) -> Tensor:
    """Scale pictures of shape (n, 3, height, width) down, without aliasing."""
    # Unless the channels lie last, torch 2.13 makes wrong pixels where the result is 1 pixel wide.
    pictures = pictures.contiguous(memory_format=torch.channels_last)
    return functional.interpolate(pictures, size[::-1], mode="bicubic", antialias=True)
