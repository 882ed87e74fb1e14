"""What the transforms that give sound share: their request, their result, and the way between them."""

import ffmpeg
from pydantic import Field

from pipelines.errors import UnsupportedMedia
from pipelines.media.ffmpeg import output_path, run_ffmpeg
from pipelines.media.formats import SoundFormat
from pipelines.media.plans import Wishes, plan_sound
from pipelines.media.sources import MediaSource
from pipelines.tasks.base import MediaKey, TaskRequest, TaskResult, Workspace
from pipelines.transforms.video_base import media_input

_PRIMING_S = 0.2
"""What encoders add at most; players leave it out."""


class SoundResult(TaskResult):
    """A file of sound that was made."""

    audio: MediaKey
    duration_s: float
    format: SoundFormat
    notes: tuple[str, ...] = ()
    """What was done otherwise than asked."""


class SoundRequest(TaskRequest[SoundResult]):
    """How the sound shall be written."""

    audio_kbps: int | None = Field(default=None, ge=8, le=1_024)
    """For the formats that lose; None copies what the format can hold."""
    track: int = Field(default=0, ge=0)
    """Which track of sound, where there are several."""
    keep_metadata: bool = False
    """Artist, title and the like."""


def render_sound(
    source: MediaSource, target: SoundFormat, request: SoundRequest, workspace: Workspace
) -> SoundResult:
    """Write one track of the source into an output file."""
    stream = source.audio(request.track)
    wishes = Wishes(
        audio_kbps=request.audio_kbps,
        metadata=request.keep_metadata,
        threads=workspace.limits.media.threads,
    )
    plan = plan_sound(stream, target.traits, wishes)
    with workspace.output(target.value) as output:
        media = media_input(source, workspace)
        graph = ffmpeg.output(media[str(stream.index)], output_path(output.file), **plan.options)
        length_s, claimed_s = source.info.duration_s, source.info.length_of({stream.index})
        done = run_ffmpeg(graph, source, workspace, length_s, claimed_s, [output.file])
        if done.done_s == 0:
            raise UnsupportedMedia("The file has a length of 0 seconds, or it is damaged.", source.field)
    is_known = length_s is not None and abs(length_s - done.done_s) < _PRIMING_S
    duration_s = claimed_s or (length_s if is_known else done.done_s) or 0.0
    return SoundResult(
        audio=output.key, duration_s=round(duration_s, 3), format=target, notes=tuple(plan.notes)
    )
