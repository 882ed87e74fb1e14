"""The operations on video."""

from typing import Annotated

from pydantic import Field

from deployments.routers.aiserver.media import (
    VIDEO_FORMATS,
    VideoWire,
    converted_name,
    media_notes,
    video_files,
)
from deployments.routers.aiserver.operation import AnyOperation, Artifacts, Files, Operation, artifact_example
from deployments.routers.aiserver.wire import ZERO_IS_ABSENT, any_spelling
from pipelines.media.formats import VideoFormat
from pipelines.media.times import seconds_of
from pipelines.transforms.convert_video import CONVERT_VIDEO, ConvertVideoRequest
from pipelines.transforms.crop_video import CROP_VIDEO, CropVideoRequest
from pipelines.transforms.scale_video import SCALE_VIDEO, ScaleVideoRequest
from pipelines.transforms.stamps import WatermarkPosition
from pipelines.transforms.trim_video import TRIM_VIDEO, TrimMode, TrimVideoRequest
from pipelines.transforms.watermark_video import WATERMARK_VIDEO, WatermarkVideoRequest

_MOMENT = "m:ss, mm:ss, mmm:ss, HH:MM:SS or seconds, each with a fraction if needed"


class ScaleVideo(VideoWire):
    """The fields beside the file ``video``."""

    width: Annotated[int | None, ZERO_IS_ABSENT] = Field(
        default=None, description="Pixels; left out, it follows from the height"
    )
    height: Annotated[int | None, ZERO_IS_ABSENT] = Field(
        default=None, description="Pixels; with both, the video fits inside"
    )


class CropVideo(VideoWire):
    """The fields beside the file ``video``."""

    x: int = Field(default=0, description="Pixels from the left edge")
    y: int = Field(default=0, description="Pixels from the upper edge")
    width: int = Field(description="Pixels")
    height: int = Field(description="Pixels")


class WatermarkVideo(VideoWire):
    """The fields beside the files ``video`` and ``watermark``."""

    position: Annotated[WatermarkPosition | None, any_spelling(WatermarkPosition)] = Field(
        default=None, description="`BottomRight` unless asked otherwise; 10 pixels from the edges"
    )
    opacity: Annotated[float | None, ZERO_IS_ABSENT] = Field(
        default=None, description="Above 0 to 1; 1 if left out"
    )
    watermark_scale: Annotated[float | None, ZERO_IS_ABSENT] = Field(
        default=None, description="Its width as a part of the video's; 0.2 if left out"
    )


class ConvertVideo(VideoWire):
    """The fields beside the file ``video``."""

    output_format: Annotated[VideoFormat, VIDEO_FORMATS] = Field(description="The new format")


class TrimVideo(VideoWire):
    """The fields beside the file ``video``."""

    start_time: str = Field(description=_MOMENT)
    end_time: str | None = Field(default=None, description="The same; the end of the video if left out")
    mode: Annotated[TrimMode | None, any_spelling(TrimMode)] = Field(
        default=None,
        description="`exact` to the frame, or `keyframe`: at the key frame before, at once and without loss",
    )


def _scale(wire: ScaleVideo, files: Files) -> ScaleVideoRequest:
    return ScaleVideoRequest(video=files["video"].key, **wire.video_fields("width", "height"))


def _crop(wire: CropVideo, files: Files) -> CropVideoRequest:
    return CropVideoRequest(video=files["video"].key, **wire.video_fields("x", "y", "width", "height"))


def _watermark(wire: WatermarkVideo, files: Files) -> WatermarkVideoRequest:
    return WatermarkVideoRequest(
        video=files["video"].key,
        watermark=files["watermark"].key,
        **wire.video_fields("position", "opacity", "watermark_scale"),
    )


def _convert(wire: ConvertVideo, files: Files) -> ConvertVideoRequest:
    return ConvertVideoRequest(video=files["video"].key, **wire.video_fields())


def _trim(wire: TrimVideo, files: Files) -> TrimVideoRequest:
    return TrimVideoRequest(
        video=files["video"].key,
        start_s=seconds_of(wire.start_time, "start_s"),
        end_s=None if wire.end_time is None else seconds_of(wire.end_time, "end_s"),
        **wire.video_fields("mode"),
    )


_VIDEO = Artifacts(video_files, notes_of=media_notes)

VIDEO: tuple[AnyOperation, ...] = (
    Operation(
        name="ScaleVideo",
        task=SCALE_VIDEO.name,
        summary="Scale a video",
        wire=ScaleVideo,
        files=("video",),
        to_request=_scale,
        outputs=_VIDEO,
        example={"video": "film.mp4", "width": 640},
        example_response=artifact_example("film.mp4", width=640, height=360),
    ),
    Operation(
        name="CropVideo",
        task=CROP_VIDEO.name,
        summary="Cut a rectangle out of a video",
        wire=CropVideo,
        files=("video",),
        to_request=_crop,
        outputs=_VIDEO,
        example={"video": "film.mp4", "x": 0, "y": 0, "width": 320, "height": 180},
        example_response=artifact_example("film.mp4", width=320, height=180),
    ),
    Operation(
        name="WatermarkVideo",
        task=WATERMARK_VIDEO.name,
        summary="Put a picture onto a video",
        wire=WatermarkVideo,
        files=("video", "watermark"),
        to_request=_watermark,
        outputs=_VIDEO,
        example={"video": "film.mp4", "watermark": "logo.png", "position": "BottomRight", "opacity": 0.7},
        example_response=artifact_example("film.mp4", width=1920, height=1080),
    ),
    Operation(
        name="ConvertVideo",
        task=CONVERT_VIDEO.name,
        summary="Convert a video to another format",
        wire=ConvertVideo,
        files=("video",),
        to_request=_convert,
        outputs=Artifacts(video_files, converted_name, media_notes),
        example={"video": "film.mov", "outputFormat": "webm"},
        example_response=artifact_example("film.webm", width=1920, height=1080),
    ),
    Operation(
        name="TrimVideo",
        task=TRIM_VIDEO.name,
        summary="Take a part of a video",
        wire=TrimVideo,
        files=("video",),
        to_request=_trim,
        outputs=_VIDEO,
        example={"video": "film.mp4", "startTime": "0:01", "endTime": "0:20"},
        example_response=artifact_example("film.mp4", width=1920, height=1080),
        field_names={"start_s": "startTime", "end_s": "endTime"},
    ),
)
