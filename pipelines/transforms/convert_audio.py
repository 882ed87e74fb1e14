"""Converts sound to another format."""

from pipelines.media.formats import SoundFormat
from pipelines.media.sources import open_media
from pipelines.tasks.base import MediaKey, Transform, Workspace
from pipelines.transforms.sound_base import SoundRequest, SoundResult, render_sound


class ConvertAudioRequest(SoundRequest):
    """One file with sound and its new format; what the format can hold is copied."""

    audio: MediaKey
    output_format: SoundFormat


def run(request: ConvertAudioRequest, workspace: Workspace) -> SoundResult:
    """Convert the sound."""
    with open_media(workspace, request.audio, "audio") as source:
        return render_sound(source, request.output_format, request, workspace)


CONVERT_AUDIO = Transform(name="convert-audio", request=ConvertAudioRequest, result=SoundResult, do=run)
