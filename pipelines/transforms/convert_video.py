"""Converts videos to another format."""

from pipelines.media.formats import VideoFormat
from pipelines.media.sources import open_media
from pipelines.tasks.base import Transform, Workspace
from pipelines.transforms.video_base import VideoEdit, VideoRequest, VideoResult, check_encoding, render_video


class ConvertVideoRequest(VideoRequest):
    """One video and its new format; streams that the format can hold are copied."""

    output_format: VideoFormat


def run(request: ConvertVideoRequest, workspace: Workspace) -> VideoResult:
    """Convert the video."""
    with open_media(workspace, request.video, "video") as source:
        edit = VideoEdit((source.video.width, source.video.height))
        return render_video(source, edit, request, workspace)


CONVERT_VIDEO = Transform(
    name="convert-video", request=ConvertVideoRequest, result=VideoResult, do=run, check=check_encoding
)
