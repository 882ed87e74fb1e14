"""Cuts a rectangle out of pictures."""

from typing import Protocol

from pydantic import Field

from pipelines.errors import InvalidInput
from pipelines.images import Size
from pipelines.tasks.base import Transform, Workspace
from pipelines.transforms.base import Edit, ImageRequest, ImageResult, encoding_for, open_input, render


class CropImageRequest(ImageRequest):
    """One picture and the part to keep, in pixels from its top left corner as it is seen."""

    x: int = Field(ge=0)
    y: int = Field(ge=0)
    width: int = Field(gt=0)
    height: int = Field(gt=0)


def run(request: CropImageRequest, workspace: Workspace) -> ImageResult:
    """Crop the picture."""
    with open_input(request, workspace) as picture:
        check_inside(request, picture.size)
        box = (request.x, request.y, request.x + request.width, request.y + request.height)
        edit = Edit((request.width, request.height), apply=lambda image: image.crop(box))
        return render(picture, edit, encoding_for(picture, request), workspace)


class Part(Protocol):
    """A rectangle, in pixels."""

    @property
    def x(self) -> int:
        """Of its left edge."""

    @property
    def y(self) -> int:
        """Of its upper edge."""

    @property
    def width(self) -> int:
        """Its extent to the right."""

    @property
    def height(self) -> int:
        """Its extent downwards."""


def check_inside(request: Part, size: Size, whole: str = "picture") -> None:
    """Raise `InvalidInput` where the part is not inside the whole."""
    axes = (
        ("x", request.x, "width", request.width, size[0]),
        ("y", request.y, "height", request.height, size[1]),
    )
    for start_field, start, extent_field, extent, side in axes:
        if start + extent > side:
            field = start_field if start >= side else extent_field
            raise InvalidInput(
                f"The part lies outside the {whole}, which is {size[0]} x {size[1]} pixels:"
                f" {start_field} + {extent_field} = {start + extent} is above its {extent_field} of {side}.",
                field,
            )


CROP_IMAGE = Transform(name="crop-image", request=CropImageRequest, result=ImageResult, do=run)
