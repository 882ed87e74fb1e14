"""What the video transforms share: their request, their result, and the way from one to the other."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, BinaryIO

import ffmpeg
from pydantic import Field

from pipelines.errors import InvalidInput, UnsupportedMedia
from pipelines.images import Size
from pipelines.media.decoders import DECODERS
from pipelines.media.ffmpeg import open_input, output_path, run_ffmpeg
from pipelines.media.filters import even_down, standard_range
from pipelines.media.formats import VideoFormat
from pipelines.media.index_place import with_room
from pipelines.media.plans import Plan, Wishes, plan_video
from pipelines.media.progress import Progress
from pipelines.media.sniffing import sniff
from pipelines.media.sources import MediaSource, probe
from pipelines.tasks.base import MediaKey, TaskRequest, TaskResult, Workspace

_EARLY_S = 0.05
"""More than a frame."""
WITHOUT_INDEX = ("mpegts", "mpeg", "mpegvideo", "flv")
"""Containers that do not say where their key frames are."""
_MAX_KEY_FRAME_GAP_S = 15.0

_PARTS_OF_FPS = 250
"""Enough for 23.976 and 59.94; what is finer some encoders refuse."""


class VideoResult(TaskResult):
    """A video that was made."""

    video: MediaKey
    width: int
    height: int
    duration_s: float
    format: VideoFormat
    notes: tuple[str, ...] = ()
    """What was done otherwise than asked."""


class VideoRequest(TaskRequest[VideoResult]):
    """A video, and how its result shall be written."""

    video: MediaKey
    output_format: VideoFormat | None = None
    """None: the video's own where we write that, else mp4."""
    quality: int | None = Field(default=None, ge=1, le=100)
    """None: streams that need no change are copied, others get 70, which looks like the original."""
    video_kbps: int | None = Field(default=None, ge=16, le=200_000)
    """Instead of a quality."""
    audio_kbps: int | None = Field(default=None, ge=8, le=1_024)
    fps: float | None = Field(default=None, ge=1, le=240)
    audio: bool = True
    """False drops the sound."""
    keep_metadata: bool = False
    """Title, place and date of recording and the like."""


@dataclass(frozen=True)
class Cut:
    """The part of the input that is taken."""

    start_s: float
    length_s: float
    is_exact: bool = True
    """Frame by frame; False begins at the key frame before and copies."""


@dataclass(frozen=True)
class VideoEdit:
    """What happens to the video."""

    size: Size
    """Of the result, before it is made even."""
    apply: Callable[[Any], Any] | None = None
    """Takes a node of ffmpeg's graph and gives the next; None changes no frame."""
    cut: Cut | None = None
    inputs: Sequence[BinaryIO] = ()
    """Further files that `apply` reads."""
    notes: tuple[str, ...] = field(default=())


def check_encoding(request: VideoRequest) -> None:
    """Raise `InvalidInput` where a quality and a bit rate were given."""
    if request.quality and request.video_kbps:
        raise InvalidInput("Give a quality or a bit rate, not both.", "video_kbps")


def render_video(
    source: MediaSource, edit: VideoEdit, request: VideoRequest, workspace: Workspace
) -> VideoResult:
    """Take the video through the edit into an output file."""
    target = request.output_format or source.kind.video_format
    is_exact = edit.cut is not None and edit.cut.is_exact
    wishes = _wishes(request, workspace)
    plan = plan_video(source.info, target, wishes, edit.apply is not None or is_exact, is_exact)
    length_s = edit.cut.length_s if edit.cut else source.info.duration_s
    claimed_s = _claimed_s(source, edit, plan)
    streams = _streams(source, edit, plan, request, workspace)
    with workspace.output(target.extension) as output:

        def write(options: dict[str, Any]) -> Progress:
            graph = ffmpeg.output(*streams, output_path(output.file), **options)
            return run_ffmpeg(graph, source, workspace, length_s, claimed_s, (output.file, *edit.inputs))

        done = _write_in_room(write, with_room(plan, source.info, length_s)) or write(plan.options)
        if not done.frames:
            raise _without_frames(source, edit)
        made_s = claimed_s or length_s or done.done_s
        if edit.cut and not edit.cut.is_exact:
            made_s = (
                probe(output.file, sniff(output.file, source.field), workspace, source.field).duration_s
                or made_s
            )
    width, height = (even_down(side) for side in edit.size) if plan.encodes_video else edit.size
    notes = [*edit.notes, *plan.notes]
    if (width, height) != edit.size:
        notes.append(f"The sides of a video are even: it has {width} x {height} pixels.")
    if edit.cut and (early_s := made_s - edit.cut.length_s) > _EARLY_S:
        notes.append(f"It begins {early_s:.2f} s earlier, at a key frame.")
    return VideoResult(
        video=output.key,
        width=width,
        height=height,
        duration_s=round(made_s, 3),
        format=target,
        notes=tuple(notes),
    )


def _write_in_room(
    write: Callable[[dict[str, Any]], Progress], options: dict[str, Any] | None
) -> Progress | None:
    """Try the faster way, where there is one; None where it has failed, as it does in too little room."""
    if options is None:
        return None
    with suppress(UnsupportedMedia):
        return write(options)
    return None


def _without_frames(source: MediaSource, edit: VideoEdit) -> InvalidInput:
    if edit.cut:
        return InvalidInput("The video has no frame in this part, only sound.", "start_s")
    return UnsupportedMedia("The file is damaged: no frame of its video can be read.", source.field)


def _claimed_s(source: MediaSource, edit: VideoEdit, plan: Plan) -> float | None:
    claimed_s = source.info.length_of({source.video.index, *plan.streams})
    if claimed_s is None or edit.cut is None:
        return claimed_s
    return min(edit.cut.length_s, claimed_s - edit.cut.start_s)


def media_input(source: MediaSource, workspace: Workspace, **moments_s: float) -> Any:
    """Begin a graph with the source; `moments_s` are ffmpeg's ``ss`` and ``t``."""
    limits = workspace.limits.media
    # A frame may be larger than the first one, which was looked at.
    bounds = {"threads": limits.threads, "max_pixels": limits.video_pixels, "max_streams": limits.streams}
    written = {name: f"{moment:.6f}" for name, moment in moments_s.items()}  # it does not know 1e-06
    return open_input(source.file, source.kind.demuxer, codec_whitelist=DECODERS, **bounds, **written)


def moment_input(source: MediaSource, workspace: Workspace, start_s: float) -> tuple[Any, dict[str, float]]:
    """Begin a graph at a moment of the source; give also the options that its output needs for it.

    Without an index ffmpeg lands at any frame, and shows nothing before the next key frame: there it has
    to begin earlier, and to leave out what it decodes on the way.
    """
    if not start_s:
        return media_input(source, workspace), {}
    if source.kind.demuxer not in WITHOUT_INDEX:
        return media_input(source, workspace, ss=start_s), {}
    before_s = max(0.0, start_s - _MAX_KEY_FRAME_GAP_S)
    return media_input(source, workspace, ss=before_s), {"ss": start_s - before_s}


def _wishes(request: VideoRequest, workspace: Workspace) -> Wishes:
    return Wishes(
        request.quality,
        request.video_kbps,
        request.audio_kbps,
        request.fps,
        request.audio,
        request.keep_metadata,
        workspace.limits.media.threads,
    )


def _streams(
    source: MediaSource, edit: VideoEdit, plan: Plan, request: VideoRequest, workspace: Workspace
) -> list[Any]:
    media, skip = moment_input(source, workspace, edit.cut.start_s if edit.cut else 0.0)
    plan.options |= skip
    if edit.cut:
        plan.options["t"] = edit.cut.length_s
    streams = [media[str(index)] for index in plan.streams]
    if plan.encodes_video:
        streams.insert(0, _filtered(media, source, edit, request, workspace))
    if edit.cut and not edit.cut.is_exact:
        plan.options["avoid_negative_ts"] = "make_zero"
    return streams


def _paced(node: Any, fps: float, length_s: float | None) -> Any:
    """Change the frame rate; a video that is shorter than one frame keeps one."""
    is_short = (length_s or 0.0) * fps < 1
    rate = Fraction(fps).limit_denominator(_PARTS_OF_FPS)
    return node.filter("fps", str(rate), eof_action="pass" if is_short else "round")


def _filtered(
    media: Any, source: MediaSource, edit: VideoEdit, request: VideoRequest, workspace: Workspace
) -> Any:
    node = media[str(source.video.index)]
    if source.video.is_interlaced:
        node = node.filter("bwdif", mode="send_frame", deint="interlaced")
    node = standard_range(node, source.video, workspace.limits.media, source.field)
    if edit.apply:
        node = edit.apply(node)
    if request.fps:
        node = _paced(node, request.fps, edit.cut.length_s if edit.cut else source.info.duration_s)
    if any(side % 2 for side in edit.size):
        width, height = (even_down(side) for side in edit.size)
        node = node.filter("crop", width, height, 0, 0)
    return node.filter("format", "yuv420p")
