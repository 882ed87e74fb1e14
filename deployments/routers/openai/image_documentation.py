"""What the interactive documentation says of /v1/images."""

from typing import Any

from deployments.forms import JSON_TYPE, MULTIPART_TYPE
from deployments.routers.openai.image_fields import (
    EDIT_DENOISE,
    REPAINT_DENOISE,
    VARIATION_DENOISE,
    VARIATION_PROMPT,
    ImageFormat,
    ResponseFormat,
)
from pipelines.tasks.drawing import (
    MAX_BATCH,
    MAX_GUIDANCE,
    MAX_PROMPT_LENGTH,
    MAX_SEED,
    MAX_SIDE,
    MAX_STEPS,
    MIN_SIDE,
)

_PROMPT: dict[str, Any] = {
    "type": "string",
    "minLength": 1,
    "maxLength": MAX_PROMPT_LENGTH,
    "description": "What the picture shall show.",
}
_FILE: dict[str, Any] = {"type": "string", "format": "binary"}
_IMAGE: dict[str, Any] = {**_FILE, "description": "The picture: png, jpg, webp, avif, gif, bmp or tiff."}
_FIELDS: dict[str, Any] = {
    "model": {
        "type": "string",
        "description": "Id or alias of a model; left out, or one of OpenAI's names: the server's default.",
    },
    "n": {"type": "integer", "minimum": 1, "maximum": MAX_BATCH, "default": 1},
    "response_format": {
        "type": "string",
        "enum": [str(value) for value in ResponseFormat],
        "description": "`url` if left out; `b64_json` for models that are called `gpt-image…`.",
    },
    "output_format": {
        "type": "string",
        "enum": [str(value) for value in ImageFormat],
        "default": str(ImageFormat.PNG),
    },
    "output_compression": {
        "type": "integer",
        "minimum": 0,
        "maximum": 100,
        "description": "Quality of jpeg and webp, 100 the best; left out, 85 and 80.",
    },
    "negative_prompt": {"type": "string", "description": "What it shall not show."},
    "seed": {
        "type": "integer",
        "minimum": 0,
        "maximum": MAX_SEED,
        "description": "Draws the same again; left out, a random one, which the answer tells.",
    },
    "steps": {
        "type": "integer",
        "minimum": 1,
        "maximum": MAX_STEPS,
        "description": "Left out: the model's own.",
    },
    "guidance": {
        "type": "number",
        "minimum": 0,
        "maximum": MAX_GUIDANCE,
        "description": "How much the prompt counts.",
    },
    "scheduler": {"type": "string", "description": "Left out: the model's own."},
    "loras": {
        "type": "array",
        "items": {"type": "string", "example": "sketch:0.8"},
        "description": "LoRAs that are configured for the model, each with a weight or without.",
    },
}
_SIZE: dict[str, Any] = {
    "type": "string",
    "default": "auto",
    "description": f"`auto`, or `WIDTHxHEIGHT` with sides from {MIN_SIDE} to {MAX_SIDE} pixels.",
}
_STREAM: dict[str, Any] = {
    "stream": {
        "type": "boolean",
        "default": False,
        "description": "Answer with server-sent events, the pictures in them as base64.",
    },
    "partial_images": {
        "type": "integer",
        "minimum": 0,
        "maximum": 3,
        "default": 0,
        "description": "Pictures on the way that a stream shows.",
    },
}


def _denoise(description: str) -> dict[str, Any]:
    return {
        "denoise": {
            "type": "number",
            "exclusiveMinimum": 0,
            "maximum": 1,
            "description": f"How much is redrawn; {description}.",
        }
    }


def _answer(size: str, stream: str = "") -> dict[str, Any]:
    url = f"http://127.0.0.1:8000/artifacts/2026/11/23/0/{'9f86d081' * 8}.png"
    body = {
        "created": 1795392000,
        "data": [{"url": url, "seed": 7}],
        "background": "opaque",
        "output_format": "png",
        "size": size,
    }
    content: dict[str, Any] = {JSON_TYPE: {"example": body}}
    if stream:
        event = f'data: {{"type":"{stream}.completed","b64_json":"iVBORw0KGgo…","size":"{size}"}}\n\n'
        content["text/event-stream"] = {"example": event}
    return {"200": {"description": "The pictures", "content": content}}


def _body(
    media_type: str, required: list[str], fields: dict[str, Any], example: dict[str, Any]
) -> dict[str, Any]:
    schema = {"type": "object", "required": required, "properties": fields}
    return {"required": True, "content": {media_type: {"schema": schema, "example": example}}}


GENERATION_ROUTE: dict[str, Any] = {
    "requestBody": _body(
        JSON_TYPE,
        ["prompt"],
        {"prompt": _PROMPT, "size": _SIZE, **_FIELDS, **_STREAM},
        {"prompt": "A lighthouse at dusk", "size": "512x512", "seed": 7},
    ),
    "responses": _answer("512x512", "image_generation"),
}
EDIT_ROUTE: dict[str, Any] = {
    "requestBody": _body(
        MULTIPART_TYPE,
        ["image", "prompt"],
        {
            "image": _IMAGE,
            "mask": {**_FILE, "description": "What is transparent in this picture is redrawn."},
            "prompt": _PROMPT,
            **_FIELDS,
            **_denoise(f"{EDIT_DENOISE} if left out, with a mask {REPAINT_DENOISE:g}"),
            **_STREAM,
        },
        {"image": "@picture.png", "mask": "@mask.png", "prompt": "A red door"},
    ),
    "responses": _answer("1024x768", "image_edit"),
}
VARIATION_ROUTE: dict[str, Any] = {
    "requestBody": _body(
        MULTIPART_TYPE,
        ["image"],
        {
            "image": _IMAGE,
            "prompt": {**_PROMPT, "default": VARIATION_PROMPT},
            **_FIELDS,
            **_denoise(f"{VARIATION_DENOISE} if left out"),
        },
        {"image": "@picture.png", "n": 2},
    ),
    "responses": _answer("1024x768"),
}
