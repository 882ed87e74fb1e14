"""The operations that convert sound, and those that look into files: sound, stills and facts of a video."""

from typing import Annotated, Any

from pydantic import Field
from pydantic.alias_generators import to_camel

from deployments.routers.aiserver.media import (
    SOUND_FIELDS,
    SOUND_FORMATS,
    SoundWire,
    converted_name,
    media_notes,
    sound_files,
)
from deployments.routers.aiserver.operation import (
    AnyOperation,
    Artifacts,
    Files,
    MadeFile,
    Objects,
    Operation,
    artifact_example,
)
from deployments.routers.aiserver.transforms import PICTURE_FORMATS
from deployments.routers.aiserver.wire import ZERO_IS_ABSENT, Wire
from pipelines.images import PictureFormat
from pipelines.media.formats import SoundFormat
from pipelines.media.times import seconds_of
from pipelines.transforms.base import ImageResult
from pipelines.transforms.convert_audio import CONVERT_AUDIO, ConvertAudioRequest
from pipelines.transforms.extract_audio import EXTRACT_AUDIO, ExtractAudioRequest
from pipelines.transforms.probe_media import PROBE_MEDIA, ProbeMediaRequest, ProbeResult
from pipelines.transforms.thumbnail_video import THUMBNAIL_VIDEO, ThumbnailVideoRequest


class ConvertAudio(SoundWire):
    """The fields beside the file ``audio``, which may be a video with sound."""

    output_format: Annotated[SoundFormat, SOUND_FORMATS] = Field(description="The new format")


class ExtractAudio(SoundWire):
    """The fields beside the file ``video``."""

    output_format: Annotated[SoundFormat | None, SOUND_FORMATS] = Field(
        default=None, description="Left out, the sound is copied into the kind of file that suits it"
    )


class ThumbnailVideo(Wire):
    """The fields beside the file ``video``."""

    time: str | None = Field(
        default=None, description="m:ss, HH:MM:SS or seconds; a tenth of the video's length if left out"
    )
    width: Annotated[int | None, ZERO_IS_ABSENT] = Field(default=None, description="Pixels, at most")
    height: Annotated[int | None, ZERO_IS_ABSENT] = Field(default=None, description="Pixels, at most")
    output_format: Annotated[PictureFormat | None, PICTURE_FORMATS] = Field(
        default=None, description="`jpg` unless asked otherwise"
    )
    quality: int | None = Field(default=None, description="1 to 100, for jpg, webp and avif")


class ProbeMedia(Wire):
    """There are no fields beside the file ``media``."""


def _convert(wire: ConvertAudio, files: Files) -> ConvertAudioRequest:
    return ConvertAudioRequest(audio=files["audio"].key, **wire.given(*SOUND_FIELDS))


def _extract(wire: ExtractAudio, files: Files) -> ExtractAudioRequest:
    return ExtractAudioRequest(video=files["video"].key, **wire.given(*SOUND_FIELDS))


def _thumbnail(wire: ThumbnailVideo, files: Files) -> ThumbnailVideoRequest:
    return ThumbnailVideoRequest(
        video=files["video"].key,
        time_s=None if wire.time is None else seconds_of(wire.time, "time_s"),
        **wire.given("width", "height", "output_format", "quality"),
    )


def _probe(wire: ProbeMedia, files: Files) -> ProbeMediaRequest:
    return ProbeMediaRequest(media=files["media"].key)


def _picture(result: ImageResult) -> tuple[MadeFile]:
    return (MadeFile(result.image, result.width, result.height),)


def _facts(result: ProbeResult) -> dict[str, Any]:
    facts: dict[str, Any] = _camel(result.info.model_dump(mode="json"))
    return facts


def _camel(value: Any) -> Any:
    if isinstance(value, dict):
        return {to_camel(name): _camel(each) for name, each in value.items()}
    return [_camel(each) for each in value] if isinstance(value, list) else value


SOUND: tuple[AnyOperation, ...] = (
    Operation(
        name="ConvertAudio",
        task=CONVERT_AUDIO.name,
        summary="Convert sound to another format",
        wire=ConvertAudio,
        files=("audio",),
        to_request=_convert,
        outputs=Artifacts(sound_files, converted_name, media_notes),
        example={"audio": "song.wav", "outputFormat": "mp3"},
        example_response=artifact_example("song.mp3"),
    ),
    Operation(
        name="ExtractAudio",
        task=EXTRACT_AUDIO.name,
        summary="Take the sound out of a video",
        wire=ExtractAudio,
        files=("video",),
        to_request=_extract,
        outputs=Artifacts(sound_files, converted_name, media_notes),
        example={"video": "film.mp4"},
        example_response=artifact_example("film.m4a"),
    ),
    Operation(
        name="ThumbnailVideo",
        task=THUMBNAIL_VIDEO.name,
        summary="Take one frame of a video as a picture",
        wire=ThumbnailVideo,
        files=("video",),
        to_request=_thumbnail,
        outputs=Artifacts(_picture, converted_name),
        example={"video": "film.mp4", "time": "0:01", "width": 320},
        example_response=artifact_example("film.jpg", width=320, height=180),
        field_names={"time_s": "time"},
    ),
    Operation(
        name="ProbeMedia",
        task=PROBE_MEDIA.name,
        summary="Tell what is in a file of sound or video",
        wire=ProbeMedia,
        files=("media",),
        to_request=_probe,
        outputs=Objects(_facts, is_chat=False),
        example={"media": "film.mp4"},
        example_response={
            "result": {
                "format": "mp4",
                "durationS": 12.48,
                "sizeBytes": 1_048_576,
                "video": [{"index": 0, "codec": "h264", "width": 1920, "height": 1080, "fps": 25.0}],
                "audio": [{"index": 1, "codec": "aac", "channels": 2, "sampleRate": 48_000}],
                "subtitles": [],
            }
        },
    ),
)
