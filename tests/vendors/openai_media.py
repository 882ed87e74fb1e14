"""OpenAI's pictures, sounds and vectors; what it documents as wrong is refused here too."""

import json
from base64 import b64encode
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import numpy as np
from aiohttp import web
from PIL import Image, ImageDraw

from pipelines.audio import AudioFormat, AudioWriter
from pipelines.audio_decoding import open_sound
from tests.fakes import FolderWorkspace
from tests.vendors.server import Asked, Part, Pieces, event_stream

GPT_FIELDS = {"model", "prompt", "n", "size", "output_format", "output_compression"}
STREAM_FIELDS = {"stream", "partial_images"}
FIXED_SIZES = {
    "gpt-image-1.5": ("1024x1024", "1536x1024", "1024x1536"),
    "dall-e-3": ("1024x1024", "1792x1024", "1024x1792"),
}
PIECES = 5
"""How many pieces a spoken text comes in."""


def refusal(message: str, param: str | None = None) -> web.Response:
    error = {"message": message, "type": "invalid_request_error", "param": param, "code": None}
    return web.json_response({"error": error}, status=400)


def generations(asked: Asked) -> Any:
    body = asked.json
    if fault := _fault(body):
        return fault
    size = body.get("size") or "1024x1024"
    return _images(body, lambda number: painting(_size(size), number))


def edits(asked: Asked) -> Any:
    """Paint red where the mask is transparent, or draw a red frame; the rest becomes a little darker."""
    form = asked.form
    files = {"image", "image[]", "mask"}
    body: dict[str, Any] = {name: parts[0].text for name, parts in form.items() if name not in files}
    if fault := _fault(body):
        return fault
    image = _opened(form.get("image[]", form.get("image", []))[0]).convert("RGB")
    red = Image.new("RGB", image.size, "red")
    edited = image.point(lambda value: max(0, value - 5))
    if "mask" in form:
        mask = _opened(form["mask"][0])
        if mask.size != image.size or mask.mode != "RGBA":
            return refusal("Invalid mask image: it must have the image's size and transparency.", "mask")
        edited.paste(red, mask=mask.getchannel("A").point(lambda alpha: 255 * (alpha == 0)))
    else:
        ImageDraw.Draw(edited).rectangle((0, 0, *image.size), outline="red", width=20)
    return _images(body, lambda number: edited.resize(_size(body["size"])), "image_edit")


def painting(size: tuple[int, int], number: int = 0) -> Image.Image:
    """A sky over a meadow, with a sun for each number."""
    width, height = size
    image = Image.new("RGB", size, (120, 180, 240))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, height * 2 // 3, width, height), fill=(60, 150, 60))
    for sun in range(number + 1):
        middle, radius = width * (sun + 1) // (number + 2), min(size) // 8
        top = height // 3 - radius
        draw.ellipse((middle - radius, top, middle + radius, top + 2 * radius), fill=(250, 220, 80))
    return image


def speech(asked: Asked) -> Any:
    body = asked.json
    if len(body["input"]) > 4096:
        return refusal("Invalid 'input': string too long.", "input")
    format_ = AudioFormat(body["response_format"])
    data = tone(format_, seconds=2 / body["speed"])
    step = len(data) // PIECES + 1
    pieces = [data[place : place + step] for place in range(0, len(data), step)]
    return Pieces(format_.media_type, pieces)


def tone(format_: AudioFormat, seconds: float) -> bytes:
    file = BytesIO()
    rate = 24_000
    with AudioWriter(file, format_) as writer:
        times = np.arange(round(seconds * rate)) / rate
        writer.write((8_000 * np.sin(2 * np.pi * 440 * times)).astype(np.int16), rate)
    return file.getvalue()


def transcriptions(asked: Asked) -> Any:
    form = asked.form
    model, wanted = form["model"][0].text, form["response_format"][0].text
    file = form["file"][0]
    if Path(file.filename or "").suffix not in (".wav", ".mp3", ".ogg", ".flac"):
        return refusal("Unrecognized file format.", "file")
    text = "He was not an ill-disposed young man."
    if asked.path.endswith("translations"):
        text = "Translated: " + text
    if wanted == "json":
        return json.dumps({"text": text, "usage": {"type": "tokens", "input_tokens": 14}}).encode()
    if model != "whisper-1":
        return refusal(
            f"response_format '{wanted}' is not compatible with model '{model}'.", "response_format"
        )
    duration = _duration(file.data)
    middle = duration / 2
    body: dict[str, Any] = {
        "task": "transcribe",
        "language": "english",
        "duration": duration,
        "text": text,
        "segments": [_segment(0, 0.0, middle, " He was not"), _segment(1, middle, duration, text[10:])],
        "usage": {"type": "duration", "seconds": round(duration)},
    }
    granularities = [part.text for part in form.get("timestamp_granularities[]", [])]
    if "word" in granularities:
        words = text.split()
        step = duration / len(words)
        body["words"] = [
            {"word": word, "start": index * step, "end": (index + 1) * step}
            for index, word in enumerate(words)
        ]
    return json.dumps(body).encode()


def embeddings(asked: Asked) -> Any:
    body = asked.json
    assert body["encoding_format"] == "float"
    dimensions = body.get("dimensions", 8)
    data = [
        {
            "object": "embedding",
            "index": index,
            "embedding": [index + place / 8 for place in range(dimensions)],
        }
        for index in range(len(body["input"]))
    ]
    usage = {"prompt_tokens": 8, "total_tokens": 8}
    answer = {"object": "list", "data": data[::-1], "model": body["model"], "usage": usage}
    return json.dumps(answer).encode()


MEDIA: dict[str, Callable[[Asked], Any]] = {
    "/images/generations": generations,
    "/images/edits": edits,
    "/audio/speech": speech,
    "/audio/transcriptions": transcriptions,
    "/audio/translations": transcriptions,
    "/embeddings": embeddings,
}


def _fault(body: dict[str, Any]) -> web.Response | None:
    model = body["model"]
    if unknown := set(body) - GPT_FIELDS - STREAM_FIELDS - (set() if "gpt" in model else {"response_format"}):
        name = min(unknown)
        return refusal(f"Unknown parameter: '{name}'.", name)
    size = body.get("size")
    if size and size not in FIXED_SIZES.get(model, (size,)):
        return refusal(f"Invalid value: '{size}'.", "size")
    if size and model.startswith("gpt-image-2") and any(side % 16 for side in _size(size)):
        return refusal("Invalid size: width and height must both be divisible by 16.", "size")
    if model == "dall-e-3" and int(body["n"]) > 1:
        return refusal("You must provide n=1 for this model.", "n")
    return None


def _picture_events(picture: str, partial: int, kind: str) -> list[bytes]:
    common = {"b64_json": picture, "created_at": 1620000000, "quality": "high", "background": "opaque"}
    events: list[dict[str, Any]] = [
        {"type": f"{kind}.partial_image", "partial_image_index": index, **common} for index in range(partial)
    ]
    return event_stream(*events, {"type": f"{kind}.completed", **common}, names=True)


def _images(
    body: dict[str, Any], draw: Callable[[int], Image.Image], kind: str = "image_generation"
) -> bytes | list[bytes]:
    format_ = body.get("output_format", "png")
    data = []
    for number in range(int(body["n"])):
        file = BytesIO()
        draw(number).save(file, format_, quality=int(body.get("output_compression", 100)))
        data.append({"b64_json": b64encode(file.getvalue()).decode()})
    if str(body.get("stream", False)).lower() == "true":
        return _picture_events(data[0]["b64_json"], int(body["partial_images"]), kind)
    usage = {"input_tokens": 9, "output_tokens": 1056, "total_tokens": 1065}
    return json.dumps(
        {"created": 1713833628, "data": data, "output_format": format_, "usage": usage}
    ).encode()


def _segment(number: int, start: float, end: float, text: str) -> dict[str, Any]:
    return {
        "id": number,
        "seek": 0,
        "start": start,
        "end": end,
        "text": text,
        "tokens": [50364, 440],
        "temperature": 0.0,
        "avg_logprob": -0.28,
        "compression_ratio": 1.2,
        "no_speech_prob": 0.01,
    }


def _duration(data: bytes) -> float:
    with NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        path = Path(file.name)
        with open_sound(path, FolderWorkspace(path.parent)) as sound:
            return sound.duration_s


def _opened(part: Part) -> Image.Image:
    image = Image.open(BytesIO(part.data))
    image.load()
    return image


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    return int(width), int(height)
