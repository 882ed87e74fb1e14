"""Cuts a rectangle out of videos."""

from typing import Any

from pydantic import Field

from pipelines.media.sources import open_media
from pipelines.tasks.base import Transform, Workspace
from pipelines.transforms.crop import check_inside
from pipelines.transforms.video_base import (
    VideoEdit,
    VideoRequest,
    VideoResult,
    check_encoding,
    render_video,
)


class CropVideoRequest(VideoRequest):
    """One video and the part to keep, in pixels from its top left corner as it is seen; sides become even."""

    x: int = Field(default=0, ge=0)
    y: int = Field(default=0, ge=0)
    width: int = Field(ge=2)
    height: int = Field(ge=2)


def run(request: CropVideoRequest, workspace: Workspace) -> VideoResult:
    """Crop the video."""
    with open_media(workspace, request.video, "video") as source:
        check_inside(request, (source.video.width, source.video.height), "video")
        size = request.width, request.height

        def apply(node: Any) -> Any:
            if request.x % 2 or request.y % 2:
                # Colours for each pixel, so that any pixel can be the first.
                node = node.filter("format", "yuv444p")
            return node.filter("crop", *size, request.x, request.y)

        return render_video(source, VideoEdit(size, apply), request, workspace)


CROP_VIDEO = Transform(
    name="crop-video", request=CropVideoRequest, result=VideoResult, do=run, check=check_encoding
)
