"""Scales videos; the aspect ratio is always kept."""

from pydantic import Field

from pipelines.errors import InvalidInput
from pipelines.images import Size
from pipelines.media.filters import even
from pipelines.media.sources import open_media
from pipelines.tasks.base import Transform, Workspace
from pipelines.transforms.video_base import VideoEdit, VideoRequest, VideoResult, check_encoding, render_video

MAX_WIDTH, MAX_HEIGHT = 7_680, 4_320
"""Pixels."""


class ScaleVideoRequest(VideoRequest):
    """One video and its new width, height, or both: then it is fitted into that box; sides become even."""

    width: int | None = Field(default=None, ge=2, le=MAX_WIDTH)
    height: int | None = Field(default=None, ge=2, le=MAX_HEIGHT)


def check(request: ScaleVideoRequest) -> None:
    """Raise `InvalidInput` where no size is given."""
    if request.width is None and request.height is None:
        raise InvalidInput("Give width, height or both, in pixels.", "width")
    check_encoding(request)


def run(request: ScaleVideoRequest, workspace: Workspace) -> VideoResult:
    """Scale the video; one that has the size already is copied."""
    with open_media(workspace, request.video, "video") as source:
        size = source.video.width, source.video.height
        fitted = _fitted_size(size, request)
        if fitted == size:
            return render_video(source, VideoEdit(size), request, workspace)
        edit = VideoEdit(fitted, lambda node: node.filter("scale", *fitted, flags="bicubic"))
        return render_video(source, edit, request, workspace)


def _fitted_size(size: Size, request: ScaleVideoRequest) -> Size:
    wanted = ((request.width, size[0]), (request.height, size[1]))
    factor = min(side / own for side, own in wanted if side)
    fitted = even(size[0] * factor), even(size[1] * factor)
    if fitted[0] > MAX_WIDTH or fitted[1] > MAX_HEIGHT:
        raise InvalidInput(
            f"The result would be {fitted[0]} x {fitted[1]} pixels; {MAX_WIDTH} x {MAX_HEIGHT} is the limit.",
            "width" if request.width else "height",
        )
    return fitted


SCALE_VIDEO = Transform(
    name="scale-video", request=ScaleVideoRequest, result=VideoResult, do=run, check=check
)
