"""What the picture transforms share: their request, their result, and the way from one to the other."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from PIL import Image
from pydantic import Field

from pipelines import images
from pipelines.images import (
    Encoding,
    Frame,
    Picture,
    PictureFormat,
    Size,
    check_pixels,
    colour,
    open_image,
    write_animation,
    write_still,
)
from pipelines.tasks.base import MediaKey, OutputFile, TaskRequest, TaskResult, Workspace


class ImageResult(TaskResult):
    """A picture that was made."""

    image: MediaKey
    width: int
    height: int
    format: PictureFormat


class ImageRequest(TaskRequest[ImageResult]):
    """A picture, and the format that its result shall have."""

    image: MediaKey
    output_format: PictureFormat | None = None
    """None: an animation stays in its own format, all else becomes PNG."""
    quality: int | None = Field(default=None, ge=1, le=100)
    """For jpg, webp and avif; None is their default (85, 80, 75)."""


@dataclass(frozen=True)
class Edit:
    """What happens to every frame."""

    size: Size
    """Of the result."""
    scale: bool = False
    """Whether the frames are scaled to `size` while they are read."""
    apply: Callable[[Image.Image], Image.Image] = lambda image: image
    """Gets the frame in the colours of the encoding's profile, and may change it in place."""


def open_input(request: ImageRequest, workspace: Workspace) -> AbstractContextManager[Picture]:
    """Open the request's picture for a block."""
    return open_image(workspace.input(request.image), "image", workspace.limits.image_pixels)


def encoding_for(picture: Picture, request: ImageRequest, rgb: bool = False) -> Encoding:
    """Decide how the result is written.

    Args:
        picture: the input.
        request: says format and quality.
        rgb: whether the edit works on RGB, so that a grey picture's profile cannot be kept.

    Raises:
        InvalidInput: a quality for a format that has none.
    """
    format_ = request.output_format or _default_format(picture)
    return images.encoding_for(picture, format_, request.quality, rgb)


def render(picture: Picture, edit: Edit, encoding: Encoding, workspace: Workspace) -> ImageResult:
    """Take every frame through the edit into an output file.

    Raises:
        InputTooLarge: the result would be over the limit of pixels.
        InvalidInput: the format cannot hold a picture of this size.
    """
    count = picture.frame_count if encoding.format.traits.animates else 1
    check_pixels(edit.size, count, workspace.limits.image_pixels, "width", "result")
    encoding.check_size(edit.size, "output_format")

    def frame(index: int) -> Frame:
        workspace.check_cancelled()
        workspace.report(index / count)
        return _edited(picture.frame(index, edit.size if edit.scale else None), picture, edit, encoding)

    with workspace.output(encoding.format.extension) as output:
        _write(picture, frame, count, output, encoding)
    width, height = edit.size
    return ImageResult(image=output.key, width=width, height=height, format=encoding.format)


def _write(
    picture: Picture, frame: Callable[[int], Frame], count: int, output: OutputFile, encoding: Encoding
) -> None:
    if count > 1:
        write_animation(frame, count, picture.plays, output.file, encoding)
    else:
        write_still(frame(0).image, output.file, encoding)


def _edited(frame: Frame, picture: Picture, edit: Edit, encoding: Encoding) -> Frame:
    image = frame.image if encoding.profile else colour.to_srgb(frame.image, picture.profile)
    return Frame(edit.apply(image), frame.duration_ms)


def _default_format(picture: Picture) -> PictureFormat:
    return picture.format if picture.frame_count > 1 else PictureFormat.PNG
