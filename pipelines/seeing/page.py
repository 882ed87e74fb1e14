"""A picture on its way to the models that read, and what they found on its way back."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageStat

from pipelines.images import Size
from pipelines.seeing.lines import Piece
from pipelines.tasks.image_to_text import Box

_SHORT_SIDE = 736
"""Pixels; smaller pictures are enlarged: their letters are found and read better."""
_MAX_ENLARGEMENT = 4.0
_MAX_RATIO = 8
"""Of the sides; narrower pictures get a margin."""
MIN_SIDE = 64

Pixels: TypeAlias = npt.NDArray[np.uint8]
"""Height x width x (blue, green, red)."""
Quad: TypeAlias = npt.NDArray[np.floating[Any]]
"""Four corners (x, y), clockwise from the top left."""


class Page:
    """A picture as it is searched: not too large, small or narrow; the detector itself has no bounds."""

    def __init__(self, image: Image.Image, size: Size, max_side: int) -> None:
        """Scale the picture, and put it into a margin where it is narrow."""
        long, short = max(image.size), min(image.size)
        scale = min(max_side / long, max(1.0, min(_SHORT_SIDE / short, _MAX_ENLARGEMENT)))
        width, height = (max(1, round(side * scale)) for side in image.size)
        scaled = image.resize((width, height), Image.Resampling.LANCZOS) if scale != 1 else image
        min_side = max(MIN_SIDE, round(max(width, height) / _MAX_RATIO))
        canvas = Image.new("RGB", (max(width, min_side), max(height, min_side)), _background(image))
        self._offset = ((canvas.width - width) // 2, (canvas.height - height) // 2)
        self._scale = (size[0] / width, size[1] / height)
        self._size = size
        canvas.paste(scaled, self._offset)
        self.pixels: Pixels = np.ascontiguousarray(np.asarray(canvas)[:, :, ::-1])

    def piece(self, text: str, score: float, quad: Quad, turn: int) -> Piece:
        """Describe a piece in pixels of the original.

        Args:
            text: what was read.
            score: how surely.
            quad: its corners.
            turn: quarter turns, counterclockwise, after which it is upright.
        """
        left_top, right_top, right_bottom, left_bottom = corners = [self._place(corner) for corner in quad]
        across = (right_top - left_top + right_bottom - left_bottom) / 2
        down = (left_bottom - left_top + right_bottom - right_top) / 2
        along, height = (down, abs(across)) if turn % 2 else (across, abs(down))
        forwards = along if turn < 2 else -along
        return Piece(text, score, self._around(corners), sum(corners) / 4, forwards, height)

    def _place(self, corner: npt.NDArray[np.floating[Any]]) -> complex:
        x, y = (
            min(max((float(at) - offset) * scale, 0.0), float(side))
            for at, offset, scale, side in zip(corner, self._offset, self._scale, self._size, strict=True)
        )
        return complex(x, y)

    def _around(self, corners: Sequence[complex]) -> Box:
        left, right = round(min(each.real for each in corners)), round(max(each.real for each in corners))
        top, bottom = round(min(each.imag for each in corners)), round(max(each.imag for each in corners))
        return Box(left=left, top=top, right=max(right, left + 1), bottom=max(bottom, top + 1))


def _background(image: Image.Image) -> tuple[int, ...]:
    return tuple(ImageStat.Stat(image).median)
