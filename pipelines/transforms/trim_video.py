"""Takes a part of a video."""

from enum import StrEnum

from pydantic import Field

from pipelines.errors import InvalidInput
from pipelines.media.sources import open_media
from pipelines.tasks.base import Transform, Workspace
from pipelines.transforms.video_base import (
    WITHOUT_INDEX,
    Cut,
    VideoEdit,
    VideoRequest,
    VideoResult,
    check_encoding,
    render_video,
)

_BLIND = "The file does not say where its key frames are: the part begins exactly, and was encoded again."


class TrimMode(StrEnum):
    """Where a part may begin."""

    EXACT = "exact"
    """At any frame; the part is encoded again."""
    KEYFRAME = "keyframe"
    """At the key frame before; nothing is encoded, so it loses nothing and takes no time."""


class TrimVideoRequest(VideoRequest):
    """One video and the part to keep; an end beyond the video's is the video's."""

    start_s: float = Field(ge=0)
    end_s: float | None = Field(default=None, ge=0)
    mode: TrimMode = TrimMode.EXACT


def check(request: TrimVideoRequest) -> None:
    """Raise `InvalidInput` where nothing is left, whatever the video."""
    if request.end_s is not None and request.end_s <= request.start_s:
        raise InvalidInput("The end must be after the start.", "end_s")
    check_encoding(request)


def run(request: TrimVideoRequest, workspace: Workspace) -> VideoResult:
    """Trim the video."""
    with open_media(workspace, request.video, "video") as source:
        duration_s = source.info.duration_s
        if duration_s is None:
            raise InvalidInput("The file does not tell how long it is. Convert it first.", "video")
        if request.start_s >= duration_s:
            raise InvalidInput(f"The video ends before, after {duration_s:.2f} seconds.", "start_s")
        end_s = min(request.end_s or duration_s, duration_s)
        is_blind = source.kind.demuxer in WITHOUT_INDEX and request.mode is TrimMode.KEYFRAME
        is_exact = request.mode is TrimMode.EXACT or is_blind
        cut = Cut(request.start_s, round(end_s - request.start_s, 6), is_exact)
        notes = (_BLIND,) if is_blind else ()
        edit = VideoEdit((source.video.width, source.video.height), cut=cut, notes=notes)
        return render_video(source, edit, request, workspace)


TRIM_VIDEO = Transform(name="trim-video", request=TrimVideoRequest, result=VideoResult, do=run, check=check)
