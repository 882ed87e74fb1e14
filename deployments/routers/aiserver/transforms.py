"""The operations on pictures that need no model."""

from typing import Annotated

from pydantic import Field

from deployments.routers.aiserver.media import converted_name
from deployments.routers.aiserver.operation import (
    AnyOperation,
    Artifacts,
    Files,
    MadeFile,
    Operation,
    artifact_example,
)
from deployments.routers.aiserver.wire import ZERO_IS_ABSENT, Wire, any_spelling
from pipelines.images import PictureFormat
from pipelines.transforms.base import ImageResult
from pipelines.transforms.convert import CONVERT_IMAGE, ConvertImageRequest
from pipelines.transforms.crop import CROP_IMAGE, CropImageRequest
from pipelines.transforms.scale import SCALE_IMAGE, ScaleImageRequest
from pipelines.transforms.stamps import WatermarkPosition
from pipelines.transforms.watermark import WATERMARK_IMAGE, WatermarkImageRequest

PICTURE_FORMATS = any_spelling([*PictureFormat, "jpeg", "tif"])
_ENCODING_FIELDS = ("output_format", "quality")


class PictureWire(Wire):
    """The fields of every operation that AI Server itself lacks."""

    output_format: Annotated[PictureFormat | None, PICTURE_FORMATS] = Field(
        default=None, description="`png` unless asked otherwise; animations stay what they are"
    )
    quality: int | None = Field(default=None, description="1 to 100, for jpg, webp and avif")


class ScaleImage(PictureWire):
    """The fields beside the file ``image``."""

    width: int | None = Field(default=None, description="Pixels; left out, it follows from the height")
    height: int | None = Field(default=None, description="Pixels; with both, the picture fits inside")


class CropImage(PictureWire):
    """The fields beside the file ``image``."""

    x: int = Field(default=0, description="Pixels from the left edge")
    y: int = Field(default=0, description="Pixels from the upper edge")
    width: int = Field(description="Pixels")
    height: int = Field(description="Pixels")


class WatermarkImage(PictureWire):
    """The fields beside the files ``image`` and ``watermark``."""

    position: Annotated[WatermarkPosition | None, any_spelling(WatermarkPosition)] = Field(
        default=None, description="`TopLeft` unless asked otherwise; 10 pixels from the edges"
    )
    watermark_scale: Annotated[float | None, ZERO_IS_ABSENT] = Field(
        default=None, description="Of the watermark's own size; 1 if left out"
    )
    opacity: Annotated[float | None, ZERO_IS_ABSENT] = Field(
        default=None, description="Above 0 to 1; 0.5 if left out"
    )


class ConvertImage(PictureWire):
    """The fields beside the file ``image``."""

    output_format: Annotated[PictureFormat, PICTURE_FORMATS] = Field(description="The new format")


def _scale(wire: ScaleImage, files: Files) -> ScaleImageRequest:
    return ScaleImageRequest(image=files["image"].key, **wire.given("width", "height", *_ENCODING_FIELDS))


def _crop(wire: CropImage, files: Files) -> CropImageRequest:
    return CropImageRequest(
        image=files["image"].key, **wire.given("x", "y", "width", "height", *_ENCODING_FIELDS)
    )


def _watermark(wire: WatermarkImage, files: Files) -> WatermarkImageRequest:
    return WatermarkImageRequest(
        image=files["image"].key,
        watermark=files["watermark"].key,
        **wire.given("position", "watermark_scale", "opacity", *_ENCODING_FIELDS),
    )


def _convert(wire: ConvertImage, files: Files) -> ConvertImageRequest:
    return ConvertImageRequest(image=files["image"].key, **wire.given(*_ENCODING_FIELDS))


def _image(result: ImageResult) -> tuple[MadeFile]:
    return (MadeFile(result.image, result.width, result.height),)


TRANSFORM_OPERATIONS: tuple[AnyOperation, ...] = (
    Operation(
        name="ScaleImage",
        task=SCALE_IMAGE.name,
        summary="Scale a picture",
        wire=ScaleImage,
        files=("image",),
        to_request=_scale,
        outputs=Artifacts(_image),
        example={"image": "picture.jpg", "width": 1024},
        example_response=artifact_example("picture.png", width=1024, height=768),
        post_only=True,
    ),
    Operation(
        name="CropImage",
        task=CROP_IMAGE.name,
        summary="Cut a rectangle out of a picture",
        wire=CropImage,
        files=("image",),
        to_request=_crop,
        outputs=Artifacts(_image),
        example={"image": "picture.jpg", "x": 0, "y": 0, "width": 300, "height": 200},
        example_response=artifact_example("picture.png", width=300, height=200),
        post_only=True,
    ),
    Operation(
        name="WatermarkImage",
        task=WATERMARK_IMAGE.name,
        summary="Put a watermark onto a picture",
        wire=WatermarkImage,
        files=("image", "watermark"),
        to_request=_watermark,
        outputs=Artifacts(_image),
        example={
            "image": "picture.jpg",
            "watermark": "logo.png",
            "position": "BottomRight",
            "opacity": 0.7,
        },
        example_response=artifact_example("picture.png", width=1024, height=768),
    ),
    Operation(
        name="ConvertImage",
        task=CONVERT_IMAGE.name,
        summary="Convert a picture to another format",
        wire=ConvertImage,
        files=("image",),
        to_request=_convert,
        outputs=Artifacts(_image, converted_name),
        example={"image": "picture.png", "outputFormat": "webp"},
        example_response=artifact_example("picture.webp", width=1024, height=768),
        post_only=True,
    ),
)
