"""Puts a picture onto videos."""

from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryFile
from typing import Any, BinaryIO

import ffmpeg
from PIL import Image
from pydantic import Field

from pipelines.images import Size, open_image
from pipelines.media.ffmpeg import open_input
from pipelines.media.filters import matrix_of
from pipelines.media.sources import MediaSource, open_media
from pipelines.tasks.base import MediaKey, Transform, Workspace
from pipelines.transforms.stamps import WatermarkPosition, place_of, stamp_of
from pipelines.transforms.video_base import VideoEdit, VideoRequest, VideoResult, check_encoding, render_video


class WatermarkVideoRequest(VideoRequest):
    """One video and the picture for it; of an animated picture the first frame is taken."""

    watermark: MediaKey
    position: WatermarkPosition = WatermarkPosition.BOTTOM_RIGHT
    opacity: float = Field(default=1.0, ge=0, le=1)
    """0 is invisible, 1 covers; the watermark's own transparency counts as well."""
    watermark_scale: float = Field(default=0.2, gt=0, le=1)
    """Its width, of the video's; it shrinks further if it would not fit inside the margin."""


def run(request: WatermarkVideoRequest, workspace: Workspace) -> VideoResult:
    """Put the picture onto the video."""
    limit = workspace.limits.image_pixels
    with open_media(workspace, request.video, "video") as source:
        size = source.video.width, source.video.height
        with open_image(workspace.input(request.watermark), "watermark", limit) as mark:
            factor = size[0] * request.watermark_scale / mark.size[0]
            stamp = stamp_of(mark, size, factor, request.opacity)
        place = place_of(request.position, size, stamp.size)
        with _raw_file(stamp) as file:
            edit = VideoEdit(
                size, lambda node: _stamped(node, stamp.size, file, place, source), inputs=[file]
            )
            return render_video(source, edit, request, workspace)


@contextmanager
def _raw_file(stamp: Image.Image) -> Iterator[BinaryIO]:
    """Give the decoded picture as a nameless file: ffmpeg sees no bytes of the stranger's."""
    with TemporaryFile(buffering=0) as file:
        file.write(stamp.tobytes())
        yield file


def _stamped(node: Any, stamp: Size, file: BinaryIO, place: Size, source: MediaSource) -> Any:
    raw = open_input(file, "rawvideo", pixel_format="rgba", video_size=stamp, framerate=1)
    mark = raw["0"].filter("scale", out_color_matrix=matrix_of(source.video), out_range="tv")
    # Colours for each pixel, so that the picture's edges stay sharp and may lie anywhere.
    mark = mark.filter("format", "yuva444p")
    node = node.filter("format", "yuv444p")
    return ffmpeg.overlay(node, mark, x=place[0], y=place[1], format="yuv444", eof_action="repeat")


WATERMARK_VIDEO = Transform(
    name="watermark-video", request=WatermarkVideoRequest, result=VideoResult, do=run, check=check_encoding
)
