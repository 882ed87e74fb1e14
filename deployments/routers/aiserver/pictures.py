"""The operations that draw pictures, enlarge them and tell what is on them."""

import json
from typing import Annotated, Literal, get_args

from pydantic import BeforeValidator, Field

from deployments.forms import listed
from deployments.routers.aiserver.operation import (
    AnyOperation,
    Artifacts,
    Files,
    MadeFile,
    Operation,
    Texts,
    artifact_example,
    text_example,
)
from deployments.routers.aiserver.wire import ZERO_IS_ABSENT, Wire, any_spelling
from pipelines.tasks.drawing import MAX_BATCH, MAX_GUIDANCE, MAX_SIDE, MAX_STEPS, MIN_SIDE, DrawResult
from pipelines.tasks.image_to_image import DEFAULT_DENOISE, IMAGE_TO_IMAGE, ImageToImageRequest
from pipelines.tasks.image_to_text import IMAGE_TO_TEXT, ImageToTextRequest, ImageToTextResult
from pipelines.tasks.image_upscale import IMAGE_UPSCALE, ImageUpscaleRequest, ImageUpscaleResult
from pipelines.tasks.image_with_mask import IMAGE_WITH_MASK, ImageWithMaskRequest
from pipelines.tasks.text_to_image import TEXT_TO_IMAGE, TextToImageRequest

_Format = Literal["webp", "png", "jpg", "jpeg", "avif"]
_ENCODING_FIELDS = ("output_format", "quality")
_DRAW_FIELDS = (
    "negative_prompt",
    "batch_size",
    "seed",
    "steps",
    "guidance",
    "scheduler",
    "loras",
    *_ENCODING_FIELDS,
)
_WIRE_NAMES = {"prompt": "positivePrompt"}
_SIDES = f"Pixels, {MIN_SIDE} to {MAX_SIDE}; the model's own if left out"


class ModelWire(Wire):
    """The fields of every operation here."""

    model: str | None = Field(default=None, description="Model id or alias; empty takes the default")


class PictureWire(ModelWire):
    """The fields of those that give pictures; AI Server itself always gives webp."""

    output_format: Annotated[_Format | None, any_spelling(get_args(_Format))] = Field(
        default=None, description="`webp` unless asked otherwise"
    )
    quality: int | None = Field(default=None, description="1 to 100, for webp, jpg and avif")


class DrawWire(PictureWire):
    """The fields of those that draw; what comes after `seed` AI Server itself does not know."""

    positive_prompt: str = Field(description="What to draw")
    negative_prompt: str | None = Field(default=None, description="What not to draw")
    batch_size: int | None = Field(
        default=None, description=f"How many pictures, 1 to {MAX_BATCH}; 1 if left out"
    )
    seed: Annotated[int | None, ZERO_IS_ABSENT] = Field(
        default=None, description="0 or left out: a random one, which the answer tells"
    )
    steps: int | None = Field(default=None, description=f"1 to {MAX_STEPS}; the model's own if left out")
    guidance: float | None = Field(
        default=None,
        description=f"0 to {MAX_GUIDANCE}: how much the prompt counts; the model's own if left out",
    )
    scheduler: str | None = Field(default=None, description="The model's own if left out")
    loras: Annotated[tuple[str, ...] | None, BeforeValidator(listed)] = Field(
        default=None, description="LoRAs of the model, each `name` or `name:0.8`; several with commas"
    )


class TextToImage(DrawWire):
    """All of its fields."""

    width: int | None = Field(default=None, description=_SIDES)
    height: int | None = Field(default=None, description=_SIDES)


class ImageToImage(DrawWire):
    """The fields beside the file ``image``."""

    denoise: Annotated[float | None, ZERO_IS_ABSENT] = Field(
        default=None,
        description=f"How much is redrawn, to 1; {DEFAULT_DENOISE} if left out or 0",
    )


class ImageWithMask(ImageToImage):
    """The fields beside the files ``image`` and ``mask``; what is white or red in the mask is redrawn."""

    keep_unmasked: bool | None = Field(
        default=None, description="Whether the rest stays exactly as it was; true if left out"
    )


class ImageUpscale(PictureWire):
    """The fields beside the file ``image``."""

    scale: int | None = Field(default=None, description="2 to 4 times as large; 2 if left out")
    seed: int | None = Field(default=None, ge=0, description="Changes nothing: nothing in it is random")


class ImageToText(ModelWire):
    """The fields beside the file ``image``."""

    prompt: str | None = Field(default=None, description="A question, for models that take one")


def _draw(wire: TextToImage, files: Files) -> TextToImageRequest:
    return TextToImageRequest(prompt=wire.positive_prompt, **wire.given(*_DRAW_FIELDS, "width", "height"))


def _redraw(wire: ImageToImage, files: Files) -> ImageToImageRequest:
    return ImageToImageRequest(
        image=files["image"].key, prompt=wire.positive_prompt, **wire.given(*_DRAW_FIELDS, "denoise")
    )


def _repaint(wire: ImageWithMask, files: Files) -> ImageWithMaskRequest:
    return ImageWithMaskRequest(
        image=files["image"].key,
        mask=files["mask"].key,
        prompt=wire.positive_prompt,
        **wire.given(*_DRAW_FIELDS, "denoise", "keep_unmasked"),
    )


def _upscale(wire: ImageUpscale, files: Files) -> ImageUpscaleRequest:
    return ImageUpscaleRequest(image=files["image"].key, **wire.given("scale", *_ENCODING_FIELDS))


def _read(wire: ImageToText, files: Files) -> ImageToTextRequest:
    return ImageToTextRequest(image=files["image"].key, **wire.given("prompt"))


def _drawn(result: DrawResult) -> list[MadeFile]:
    return [MadeFile(image.image, image.width, image.height, image.seed) for image in result.images]


def _notes(result: DrawResult | ImageUpscaleResult) -> tuple[str, ...]:
    return result.notes


def _enlarged(result: ImageUpscaleResult) -> tuple[MadeFile]:
    return (MadeFile(result.image, result.width, result.height),)


def _description(result: ImageToTextResult) -> list[str]:
    """Give the text and, where the model found things, these as a JSON list."""
    labels = [label.model_dump(mode="json", exclude_none=True) for label in result.labels]
    return [result.text, json.dumps(labels, ensure_ascii=False)] if labels else [result.text]


PICTURES: tuple[AnyOperation, ...] = (
    Operation(
        name="TextToImage",
        task=TEXT_TO_IMAGE.name,
        summary="Draw what a text says",
        wire=TextToImage,
        model_fields=("model",),
        field_names=_WIRE_NAMES,
        to_request=_draw,
        outputs=Artifacts(_drawn, notes_of=_notes),
        example={"positivePrompt": "A lighthouse at dusk", "width": 512, "height": 512, "seed": 7},
        example_response=artifact_example("picture.webp", width=512, height=512, seed=7),
    ),
    Operation(
        name="ImageToImage",
        task=IMAGE_TO_IMAGE.name,
        summary="Redraw a picture",
        wire=ImageToImage,
        files=("image",),
        model_fields=("model",),
        field_names=_WIRE_NAMES,
        to_request=_redraw,
        outputs=Artifacts(_drawn, notes_of=_notes),
        example={"image": "picture.jpg", "positivePrompt": "An oil painting", "denoise": 0.6, "seed": 7},
        example_response=artifact_example("picture.webp", width=1024, height=768, seed=7),
    ),
    Operation(
        name="ImageWithMask",
        task=IMAGE_WITH_MASK.name,
        summary="Redraw a part of a picture",
        wire=ImageWithMask,
        files=("image", "mask"),
        model_fields=("model",),
        field_names=_WIRE_NAMES,
        to_request=_repaint,
        outputs=Artifacts(_drawn, notes_of=_notes),
        example={
            "image": "picture.jpg",
            "mask": "mask.png",
            "positivePrompt": "A red door",
            "denoise": 1.0,
            "seed": 7,
        },
        example_response=artifact_example("picture.webp", width=1024, height=768, seed=7),
    ),
    Operation(
        name="ImageUpscale",
        task=IMAGE_UPSCALE.name,
        summary="Enlarge a picture",
        wire=ImageUpscale,
        files=("image",),
        model_fields=("model",),
        to_request=_upscale,
        outputs=Artifacts(_enlarged, notes_of=_notes),
        example={"image": "picture.jpg", "scale": 2},
        example_response=artifact_example("picture.webp", width=1024, height=768),
    ),
    Operation(
        name="ImageToText",
        task=IMAGE_TO_TEXT.name,
        summary="Say what is on a picture",
        wire=ImageToText,
        files=("image",),
        model_fields=("model",),
        to_request=_read,
        outputs=Texts(_description),
        example={"image": "picture.jpg"},
        example_response=text_example("A cat on a sofa.", '[{"text": "cat", "score": 0.97}]'),
    ),
)
