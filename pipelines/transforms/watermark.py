"""Puts a second picture onto pictures."""

from PIL import Image
from pydantic import Field

from pipelines.images import Size, colour, open_image
from pipelines.tasks.base import MediaKey, Transform, Workspace
from pipelines.transforms.base import Edit, ImageRequest, ImageResult, encoding_for, open_input, render
from pipelines.transforms.stamps import WatermarkPosition, place_of, stamp_of


class WatermarkImageRequest(ImageRequest):
    """One picture and the watermark for it; of an animated watermark the first frame is taken."""

    watermark: MediaKey
    position: WatermarkPosition = WatermarkPosition.TOP_LEFT
    opacity: float = Field(default=0.5, ge=0, le=1)
    """0 is invisible, 1 covers; the watermark's own transparency counts as well."""
    watermark_scale: float = Field(default=1.0, gt=0, le=100)
    """Of the watermark's own size; it shrinks further if it would not fit inside the margin."""


def run(request: WatermarkImageRequest, workspace: Workspace) -> ImageResult:
    """Put the watermark onto the picture."""
    limit = workspace.limits.image_pixels
    with (
        open_input(request, workspace) as picture,
        open_image(workspace.input(request.watermark), "watermark", limit) as mark,
    ):
        encoding = encoding_for(picture, request, rgb=True)
        stamp = stamp_of(mark, picture.size, request.watermark_scale, request.opacity, encoding.profile)
        place = place_of(request.position, picture.size, stamp.size)
        edit = Edit(picture.size, apply=lambda image: _stamped(image, stamp, place))
        return render(picture, edit, encoding, workspace)


def _stamped(image: Image.Image, stamp: Image.Image, place: Size) -> Image.Image:
    canvas = colour.with_rgb(image)
    if canvas.mode == "RGBA":
        canvas.alpha_composite(stamp, place)
    else:
        canvas.paste(stamp, place, mask=stamp)
    return canvas


WATERMARK_IMAGE = Transform(name="watermark-image", request=WatermarkImageRequest, result=ImageResult, do=run)
