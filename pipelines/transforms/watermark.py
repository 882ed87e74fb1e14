"""Puts a second picture onto pictures."""

from enum import StrEnum

from PIL import Image
from pydantic import Field

from pipelines.images import Picture, Size, colour, open_image
from pipelines.tasks.base import MediaKey, Transform, Workspace
from pipelines.transforms.base import Edit, ImageRequest, ImageResult, encoding_for, open_input, render

MARGIN = 10
"""Pixels between the watermark and the edges; less on pictures too small for it."""


class WatermarkPosition(StrEnum):
    """Where the watermark lies, as AI Server spells it."""

    TOP_LEFT = "TopLeft"
    TOP_RIGHT = "TopRight"
    BOTTOM_LEFT = "BottomLeft"
    BOTTOM_RIGHT = "BottomRight"
    CENTER = "Center"


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
        stamp = _stamp(mark, picture.size, request, encoding.profile)
        place = _place(request.position, picture.size, stamp.size)
        edit = Edit(picture.size, apply=lambda image: _stamped(image, stamp, place))
        return render(picture, edit, encoding, workspace)


def _margin(size: Size) -> int:
    return min(MARGIN, (min(size) - 1) // 2)


def _stamp(
    mark: Picture, picture_size: Size, request: WatermarkImageRequest, profile: bytes | None
) -> Image.Image:
    """Give the watermark as RGBA in its final size, colours and opacity."""
    room = 2 * _margin(picture_size)
    width, height = mark.size
    factor = min(request.watermark_scale, (picture_size[0] - room) / width, (picture_size[1] - room) / height)
    size = max(1, round(width * factor)), max(1, round(height * factor))
    image = mark.frame(size=size if size != mark.size else None).image
    image = colour.with_rgb(colour.to_srgb(image, mark.profile))
    stamp = colour.convert_profile(image, None, profile).convert("RGBA")
    stamp.putalpha(stamp.getchannel("A").point(lambda alpha: round(alpha * request.opacity)))
    return stamp


def _place(position: WatermarkPosition, size: Size, stamp: Size) -> Size:
    margin = _margin(size)
    left, top = margin, margin
    right, bottom = size[0] - stamp[0] - margin, size[1] - stamp[1] - margin
    return {
        WatermarkPosition.TOP_LEFT: (left, top),
        WatermarkPosition.TOP_RIGHT: (right, top),
        WatermarkPosition.BOTTOM_LEFT: (left, bottom),
        WatermarkPosition.BOTTOM_RIGHT: (right, bottom),
        WatermarkPosition.CENTER: ((size[0] - stamp[0]) // 2, (size[1] - stamp[1]) // 2),
    }[position]


def _stamped(image: Image.Image, stamp: Image.Image, place: Size) -> Image.Image:
    canvas = colour.with_rgb(image)
    if canvas.mode == "RGBA":
        canvas.alpha_composite(stamp, place)
    else:
        canvas.paste(stamp, place, mask=stamp)
    return canvas


WATERMARK_IMAGE = Transform(
    name="watermark-image", request=WatermarkImageRequest, result=ImageResult, run=run
)
