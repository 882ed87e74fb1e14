"""Pictures in pieces: what is enlarged at once, and what is looked at around it."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor

from pipelines.images import Size


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels; right and bottom lie outside it."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def corners(self) -> tuple[int, int, int, int]:
        """As Pillow takes it."""
        return self.left, self.top, self.right, self.bottom

    @property
    def size(self) -> Size:
        """Width and height."""
        return self.right - self.left, self.bottom - self.top

    @property
    def pixels(self) -> int:
        """Width x height."""
        return self.size[0] * self.size[1]

    def grown(self, margin: int, size: Size) -> "Box":
        """Add a margin on every side, as far as the picture reaches."""
        return Box(
            max(0, self.left - margin),
            max(0, self.top - margin),
            min(size[0], self.right + margin),
            min(size[1], self.bottom + margin),
        )

    def inside(self, outer: "Box") -> "Box":
        """Give the same rectangle in the coordinates of an outer one."""
        return Box(
            self.left - outer.left, self.top - outer.top, self.right - outer.left, self.bottom - outer.top
        )

    def scaled(self, scale: int) -> "Box":
        """Give the same rectangle in a picture that is so many times as large."""
        return Box(*(side * scale for side in self.corners))

    def of(self, pictures: Tensor) -> Tensor:
        """Cut the rectangle out of pictures of shape (..., height, width)."""
        return pictures[..., self.top : self.bottom, self.left : self.right]


def tiles(size: Size, max_side: int) -> list[Box]:
    """Cut a picture into equal pieces, row by row, whose sides are `max_side` pixels at most."""
    return [
        Box(left, top, right, bottom)
        for top, bottom in _pieces(size[1], max_side)
        for left, right in _pieces(size[0], max_side)
    ]


def _pieces(length: int, longest: int) -> Iterator[tuple[int, int]]:
    count = -(-length // longest)
    return pairwise(index * length // count for index in range(count + 1))
