"""The filters of ffmpeg that several transforms share; each takes a node of the graph and gives the next."""

from typing import Any

from pipelines.errors import UnsupportedMedia
from pipelines.media.ffmpeg import binary, has_filter
from pipelines.media.info import VideoStream
from pipelines.tasks.base import MediaLimits

_HD_LINES = 720
_NITS = 100
"""Of white in the tone-mapped picture."""


def even(side: float) -> int:
    """Give the nearest even number: the colours of most videos are stored for 2 x 2 pixels."""
    return max(2, 2 * round(side / 2))


def even_down(side: int) -> int:
    """Give the even number that is not above."""
    return max(2, side // 2 * 2)


def standard_range(node: Any, video: VideoStream, limits: MediaLimits, field: str) -> Any:
    """Map HDR to what every screen shows; other videos stay as they are.

    Raises:
        UnsupportedMedia: this build of ffmpeg cannot do it.
    """
    if video.hdr is None:
        return node
    if not has_filter(binary(limits), "zscale"):
        raise UnsupportedMedia(
            f"The video is HDR ({video.hdr}), which the server's ffmpeg cannot map to a standard video"
            " (it lacks the filter zscale).",
            field,
        )
    linear = node.filter("zscale", transfer="linear", npl=_NITS).filter("format", "gbrpf32le")
    mapped = linear.filter("zscale", primaries="bt709").filter("tonemap", "hable", desat=0)
    return mapped.filter("zscale", transfer="bt709", matrix="bt709", range="tv").filter("format", "yuv420p")


def matrix_of(video: VideoStream) -> str:
    """Give how the video's colours become numbers; where it does not say, as players guess."""
    if video.hdr:
        return "bt709"
    if video.matrix:
        return video.matrix
    return "bt709" if min(video.width, video.height) >= _HD_LINES else "smpte170m"
