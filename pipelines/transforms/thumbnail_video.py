"""Takes one frame of a video as a picture."""

import os
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import ffmpeg
from pydantic import Field

from pipelines.errors import InvalidInput
from pipelines.images import PictureFormat, Size, encoding_for, open_image
from pipelines.media.ffmpeg import output_path, run_ffmpeg
from pipelines.media.filters import standard_range
from pipelines.media.sources import MediaSource, open_media
from pipelines.tasks.base import MediaKey, TaskRequest, Transform, Workspace
from pipelines.transforms.base import Edit, ImageResult, render
from pipelines.transforms.video_base import moment_input

_DEFAULT_PART = 0.1
"""Of the length: the first frame is often black."""
_TINY_S = 0.001


class ThumbnailVideoRequest(TaskRequest[ImageResult]):
    """One video, the moment, and the box that the picture shall fit into; it is never enlarged."""

    video: MediaKey
    time_s: float | None = Field(default=None, ge=0)
    """None: a tenth of its length."""
    width: int | None = Field(default=None, ge=1, le=8_192)
    height: int | None = Field(default=None, ge=1, le=8_192)
    output_format: PictureFormat = PictureFormat.JPG
    quality: int | None = Field(default=None, ge=1, le=100)


def run(request: ThumbnailVideoRequest, workspace: Workspace) -> ImageResult:
    """Take the frame."""
    with (
        open_media(workspace, request.video, "video") as source,
        NamedTemporaryFile(prefix="frame-", suffix=".png") as file,
    ):
        _write_frame(source, _moment_s(source, request), file, workspace)
        with open_image(Path(file.name), "video", workspace.limits.image_pixels) as picture:
            edit = Edit(_fitted_size(picture.size, request), scale=True)
            encoding = encoding_for(picture, request.output_format, request.quality)
            return render(picture, edit, encoding, workspace)


def _moment_s(source: MediaSource, request: ThumbnailVideoRequest) -> float:
    duration_s = source.info.duration_s or 0.0
    if request.time_s is None:
        return duration_s * _DEFAULT_PART
    if duration_s and request.time_s >= duration_s:
        raise InvalidInput(f"The video ends before, after {duration_s:.2f} seconds.", "time_s")
    return request.time_s


def _write_frame(source: MediaSource, moment_s: float, file: Any, workspace: Workspace) -> None:
    # The frame that is seen at a moment began before it.
    frame_s = 1 / source.video.fps if source.video.fps else 0.0
    media, skip = moment_input(source, workspace, max(0.0, moment_s - frame_s + _TINY_S))
    node = media[str(source.video.index)]
    node = standard_range(node, source.video, workspace.limits.media, source.field)
    node = node.filter("scale", "iw*sar", "ih").filter("format", "rgb24")
    options = {**skip, "frames:v": 1, "c:v": "png", "f": "image2pipe", "threads": 1}
    run_ffmpeg(ffmpeg.output(node, output_path(file), **options), source, workspace, None, files=[file])
    if os.fstat(file.fileno()).st_size == 0:
        raise InvalidInput("The video has no frame at this moment or after it.", "time_s")


def _fitted_size(size: Size, request: ThumbnailVideoRequest) -> Size:
    wanted = ((request.width, size[0]), (request.height, size[1]))
    factor = min((side / own for side, own in wanted if side), default=1.0)
    factor = min(factor, 1.0)
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


THUMBNAIL_VIDEO = Transform(name="thumbnail-video", request=ThumbnailVideoRequest, result=ImageResult, do=run)
