"""Takes the sound out of a video."""

from pipelines.media.formats import SoundFormat
from pipelines.media.sources import open_media
from pipelines.tasks.base import MediaKey, Transform, Workspace
from pipelines.transforms.sound_base import SoundRequest, SoundResult, render_sound

_PREFERRED = (
    SoundFormat.MP3,
    SoundFormat.FLAC,
    SoundFormat.M4A,
    SoundFormat.OGG,
    SoundFormat.WAV,
    SoundFormat.WMA,
)


class ExtractAudioRequest(SoundRequest):
    """One video; without a format the sound is copied into the file that suits it, else it becomes m4a."""

    video: MediaKey
    output_format: SoundFormat | None = None


def run(request: ExtractAudioRequest, workspace: Workspace) -> SoundResult:
    """Extract the sound."""
    with open_media(workspace, request.video, "video") as source:
        target = request.output_format or _natural_format(source.audio(request.track).codec)
        return render_sound(source, target, request, workspace)


def _natural_format(codec: str) -> SoundFormat:
    return next((each for each in _PREFERRED if codec in each.traits.audio), SoundFormat.M4A)


EXTRACT_AUDIO = Transform(name="extract-audio", request=ExtractAudioRequest, result=SoundResult, do=run)
