"""What the operations on video and sound share."""

from pathlib import PurePosixPath
from typing import Annotated, Any

from pydantic import Field

from deployments.routers.aiserver.operation import Files, MadeFile
from deployments.routers.aiserver.wire import Wire, any_spelling
from pipelines.media.formats import SoundFormat, VideoFormat
from pipelines.tasks.base import MediaKey
from pipelines.transforms.sound_base import SoundResult
from pipelines.transforms.video_base import VideoResult

VIDEO_FORMATS = any_spelling([*VideoFormat])
SOUND_FORMATS = any_spelling([*SoundFormat])
_VIDEO_FIELDS = ("output_format", "quality", "video_kbps", "audio_kbps", "fps", "keep_metadata")
SOUND_FIELDS = ("output_format", "audio_kbps", "track", "keep_metadata")


class VideoWire(Wire):
    """The fields of every video operation that AI Server itself lacks."""

    output_format: Annotated[VideoFormat | None, VIDEO_FORMATS] = Field(
        default=None, description="The video's own unless asked otherwise; `mp4` where we do not write that"
    )
    quality: int | None = Field(default=None, description="1 to 100; 70 if left out")
    video_kbps: int | None = Field(default=None, description="Instead of a quality")
    audio_kbps: int | None = Field(default=None, description="Of each track of sound")
    fps: float | None = Field(default=None, description="Frames per second; the video's own if left out")
    mute: bool = Field(default=False, description="true drops the sound")
    keep_metadata: bool | None = Field(
        default=None, description="true keeps title, place, date of recording and the like"
    )

    def video_fields(self, *names: str) -> dict[str, Any]:
        """Give what was sent of the named fields and of those that all videos have."""
        return {**self.given(*names, *_VIDEO_FIELDS), "audio": not self.mute}


class SoundWire(Wire):
    """The fields of every operation that gives sound which AI Server itself lacks."""

    audio_kbps: int | None = Field(default=None, description="For the formats that lose")
    track: int | None = Field(default=None, description="Which track of sound; the first is 0")
    keep_metadata: bool | None = Field(default=None, description="true keeps artist, title and the like")


def video_files(result: VideoResult) -> tuple[MadeFile]:
    """Tell of the video that was made."""
    return (MadeFile(result.video, result.width, result.height),)


def media_notes(result: VideoResult | SoundResult) -> tuple[str, ...]:
    """Tell what was done otherwise than asked."""
    return result.notes


def sound_files(result: SoundResult) -> tuple[MadeFile]:
    """Tell of the sound that was made."""
    return (MadeFile(result.audio),)


def converted_name(key: MediaKey, files: Files) -> str:
    """Keep the name that the client gave, with the new extension."""
    stem = PurePosixPath(next(iter(files.values())).file_name).stem
    return f"{stem}{PurePosixPath(key).suffix}"
