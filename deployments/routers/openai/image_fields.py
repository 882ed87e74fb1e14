"""What the clients of /v1/images send, and the records that it becomes."""

import re
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, field_validator
from pydantic_core import PydanticCustomError

from deployments.errors import BadRequest
from deployments.forms import Form, listed
from pipelines.images import PictureFormat
from pipelines.tasks.base import MediaKey
from pipelines.tasks.drawing import MAX_SIDE, MIN_SIDE
from pipelines.tasks.image_to_image import ImageToImageRequest
from pipelines.tasks.image_with_mask import ImageWithMaskRequest, MaskChannel
from pipelines.tasks.text_to_image import TextToImageRequest

WIRE_NAMES = {"batch_size": "n", "quality": "output_compression", "width": "size", "height": "size"}
"""Field of the task's request -> its name on the wire, where they differ."""
OPENAI_MODELS = ("gpt-image", "chatgpt-image", "dall-e")
"""How the names of OpenAI's own models begin."""
EDIT_DENOISE, REPAINT_DENOISE, VARIATION_DENOISE = 0.8, 1.0, 0.6
"""How much is redrawn where the client does not say: enough for the prompt, the masked part wholly, and
little enough that the picture is known again."""
VARIATION_PROMPT = "a picture"
"""Variations have no prompt, and the models want one: this says as little as possible."""

_BASE64_MODELS = ("gpt-image", "chatgpt-image")
"""Whoever asks for these expects the picture in the answer."""
_SIZE = re.compile(r"(\d{1,5})x(\d{1,5})")
_OWN_FIELDS = {"negative_prompt", "seed", "steps", "guidance", "scheduler", "loras"}


class ResponseFormat(StrEnum):
    """How a picture travels."""

    URL = "url"
    B64_JSON = "b64_json"


class ImageFormat(StrEnum):
    """OpenAI's names of the formats."""

    PNG = "png"
    JPEG = "jpeg"
    WEBP = "webp"


def _sides(value: Any) -> tuple[int, int] | None:
    if value == "auto":
        return None
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if match is None or not all(MIN_SIDE <= int(side) <= MAX_SIDE for side in match.groups()):
        raise PydanticCustomError(
            "size", f"use 'auto' or WIDTHxHEIGHT, with sides from {MIN_SIDE} to {MAX_SIDE} pixels"
        )
    return int(match[1]), int(match[2])


class ImageFields(BaseModel):
    """The fields of every request for pictures; others that OpenAI has, like `style`, are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    prompt: str = ""
    model: str | None = None
    n: int = 1
    size: Annotated[tuple[int, int] | None, BeforeValidator(_sides)] = None
    """None leaves it to the model."""
    response_format: ResponseFormat | None = None
    output_format: ImageFormat = ImageFormat.PNG
    output_compression: int | None = Field(default=None, ge=0, le=100)
    background: Literal["auto", "opaque"] = "auto"
    quality: Annotated[str, BeforeValidator(str)] = "auto"
    """Changes nothing: how many steps a model needs is its own affair, and `steps` says otherwise."""
    stream: bool = False
    partial_images: int = Field(default=0, ge=0, le=3)
    # What follows is ours.
    negative_prompt: str = ""
    seed: int | None = None
    steps: int | None = None
    guidance: float | None = None
    scheduler: str | None = None
    loras: Annotated[tuple[str, ...], BeforeValidator(listed)] = Field(
        default=(), validation_alias=AliasChoices("loras", "loras[]")
    )

    @property
    def wants_base64(self) -> bool:
        """Whether the pictures stand in the answer, and not their addresses."""
        if self.response_format is None:
            return (self.model or "").lower().startswith(_BASE64_MODELS)
        return self.response_format == ResponseFormat.B64_JSON

    @property
    def _is_lossless(self) -> bool:
        """Whether the client asks for what its format gives anyway."""
        return self.output_format is ImageFormat.PNG and self.output_compression == 100

    def options(self) -> dict[str, Any]:
        """Give the fields of the records that all tasks share."""
        own = self.model_dump(include=_OWN_FIELDS, exclude_none=True)
        if self.output_compression is not None and not self._is_lossless:
            own["quality"] = max(self.output_compression, 1)
        return {
            "prompt": self.prompt,
            "batch_size": self.n,
            "output_format": PictureFormat(self.output_format),
            "previews": self.partial_images if self.stream else 0,
            **own,
        }


class GenerationFields(ImageFields):
    """The fields of /v1/images/generations."""

    def request(self) -> TextToImageRequest:
        """Make the task's record."""
        width, height = self.size or (None, None)
        return TextToImageRequest(width=width, height=height, **self.options())


class RedrawFields(ImageFields):
    """The fields of what begins with a picture; ``size`` is only checked: the picture keeps its own."""

    denoise: float | None = None
    """Ours: how much is redrawn."""

    def redraw(self, form: Form, denoise: float) -> ImageToImageRequest:
        """Make the record that redraws the whole picture, as much as the client says or `denoise`."""
        return ImageToImageRequest(image=image_of(form), denoise=self._denoise(denoise), **self.options())

    def _denoise(self, default: float) -> float:
        return default if self.denoise is None else self.denoise


class EditFields(RedrawFields):
    """The fields of /v1/images/edits."""

    def request(self, form: Form) -> ImageToImageRequest:
        """Make the task's record: with a mask, only what is transparent there is redrawn."""
        if "mask" in form.fields:
            raise _not_a_file("mask")
        if "mask" not in form.files:
            return self.redraw(form, EDIT_DENOISE)
        return ImageWithMaskRequest(
            image=image_of(form),
            mask=form.files["mask"].key,
            mask_channel=MaskChannel.ALPHA,
            denoise=self._denoise(REPAINT_DENOISE),
            **self.options(),
        )


class VariationFields(RedrawFields):
    """The fields of /v1/images/variations; the prompt is ours. OpenAI's variations do not stream."""

    prompt: str = VARIATION_PROMPT

    @field_validator("stream")
    @classmethod
    def _comes_whole(cls, asked: bool) -> bool:
        if asked:
            raise PydanticCustomError("stream", "variations do not stream: leave it out")
        return asked

    def request(self, form: Form) -> ImageToImageRequest:
        """Make the task's record."""
        return self.redraw(form, VARIATION_DENOISE)


def image_of(form: Form) -> MediaKey:
    """Find the picture to work on; clients that may send several call its part ``image[]``.

    Raises:
        BadRequest: there is none, or more than one.
    """
    names = ("image", "image[]")
    sent = [form.files[name] for name in names if name in form.files]
    if not sent and any(name in form.fields for name in names):
        raise _not_a_file("image")
    if not sent:
        raise BadRequest(
            "'image' must not be empty. Send the picture as the part 'image' of a multipart/form-data body.",
            "image",
            "NotEmpty",
        )
    if len(sent) > 1:
        raise BadRequest("One picture is edited at a time. Send 'image' once.", "image")
    if "markup" in form.files:
        raise BadRequest("'markup' is not supported. Say in the prompt what to change.", "markup")
    return sent[0].key


def _not_a_file(name: str) -> BadRequest:
    return BadRequest(
        f"'{name}' must be a file: send it with a file name, as a part of a multipart/form-data body.", name
    )
