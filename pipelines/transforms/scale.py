"""Scales pictures; the aspect ratio is always kept."""

from pydantic import Field

from pipelines.errors import InvalidInput
from pipelines.images import Size
from pipelines.tasks.base import Transform, Workspace
from pipelines.transforms.base import Edit, ImageRequest, ImageResult, encoding_for, open_input, render

MAX_SIDE = 32_000
"""Pixels."""


class ScaleImageRequest(ImageRequest):
    """One picture and its new width, height, or both: then it is fitted into that box."""

    width: int | None = Field(default=None, gt=0, le=MAX_SIDE)
    height: int | None = Field(default=None, gt=0, le=MAX_SIDE)


def check(request: ScaleImageRequest) -> None:
    """Raise `InvalidInput` where no size is given."""
    if request.width is None and request.height is None:
        raise InvalidInput("Give width, height or both, in pixels.", "width")


def run(request: ScaleImageRequest, workspace: Workspace) -> ImageResult:
    """Scale the picture."""
    with open_input(request, workspace) as picture:
        edit = Edit(_fitted_size(picture.size, request), scale=True)
        return render(picture, edit, encoding_for(picture, request), workspace)


def _fitted_size(size: Size, request: ScaleImageRequest) -> Size:
    width, height = size
    factor = min(
        wanted / side for wanted, side in ((request.width, width), (request.height, height)) if wanted
    )
    fitted = max(1, round(width * factor)), max(1, round(height * factor))
    if max(fitted) > MAX_SIDE:
        raise InvalidInput(
            f"The result would be {fitted[0]} x {fitted[1]} pixels; {MAX_SIDE} per side is the limit.",
            "width" if request.width else "height",
        )
    return fitted


SCALE_IMAGE = Transform(
    name="scale-image", request=ScaleImageRequest, result=ImageResult, do=run, check=check
)
