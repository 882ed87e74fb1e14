"""`ai-server try`: one of each task against a running server, results in a folder."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import httpx
import typer
from rich.console import Console
from rich.progress import track

from configs.settings import Settings
from deployments.cli.client import ask, connect
from deployments.cli.tour_samples import sample_film, sample_picture

TEXT = "The quick brown fox jumps over the lazy dog."
PROMPT = "a red apple on a blue background"

Step = Callable[[httpx.Client, Path], str]

_SECOND_FILES = {"WatermarkImage": "watermark", "WatermarkVideo": "watermark", "ImageWithMask": "mask"}
"""Operation -> its part for the sample; as a mask, the sample repaints the lower half and the disc."""


def tour(
    folder: Annotated[Path, typer.Argument(help="Where the results go.")] = Path("try-results"),
) -> None:
    """Try one of each task and write the results into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    console = Console()
    with connect(Settings.from_environment()) as client:
        for name, step in track(list(STEPS.items()), description="trying", console=console):
            console.print(f"{name}: {step(client, folder)}")


def _speak(client: httpx.Client, folder: Path) -> str:
    answer = ask(client, "POST", "/v1/audio/speech", json={"input": TEXT, "response_format": "wav"})
    return _write(folder / "speech.wav", answer.content)


def _listen(client: httpx.Client, folder: Path) -> str:
    with (folder / "speech.wav").open("rb") as audio:
        answer = ask(client, "POST", "/v1/audio/transcriptions", files={"file": audio})
    text: str = answer.json()["text"]
    (folder / "transcript.txt").write_text(text + "\n")
    return f'"{text}"'


def _draw(client: httpx.Client, folder: Path) -> str:
    answer = ask(client, "POST", "/api/TextToImage", json={"positivePrompt": PROMPT, "outputFormat": "png"})
    return _write(folder / "drawn.png", ask(client, "GET", answer.json()["results"][0]["url"]).content)


def _describe(client: httpx.Client, folder: Path) -> str:
    files = {"image": ("drawn.png", (folder / "drawn.png").read_bytes())}
    text: str = ask(client, "POST", "/api/ImageToText", files=files).json()["results"][0]["text"]
    return f'"{text}"'


def _drawn(folder: Path) -> Path:
    return folder / "drawn.png"


def _speech(folder: Path) -> Path:
    return folder / "speech.wav"


def _step(
    operation: str, field: str, source: Callable[[Path], Path], fields: dict[str, str | int | float]
) -> Step:
    """Make a step that sends a file in a form's field, and keeps the one that comes back."""

    def step(client: httpx.Client, folder: Path) -> str:
        path = source(folder)
        files = {field: (path.name, path.read_bytes())}
        if operation in _SECOND_FILES:
            files[_SECOND_FILES[operation]] = ("second.png", sample_picture(folder).read_bytes())
        answer = ask(client, "POST", f"/api/{operation}", data=fields, files=files)
        url = answer.json()["results"][0]["url"]
        data = ask(client, "GET", url).content
        return _write(folder / f"{operation}{Path(url).suffix}", data)

    return step


def _write(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    return f"{path} ({len(data):,} bytes)"


STEPS: dict[str, Step] = {
    "text to image": _draw,
    "image to image": _step("ImageToImage", "image", _drawn, {"positivePrompt": "a tomato", "denoise": 0.7}),
    "image with mask": _step(
        "ImageWithMask", "image", _drawn, {"positivePrompt": "a tomato on a green background"}
    ),
    "image upscale": _step("ImageUpscale", "image", _drawn, {"scale": 2}),
    "image to text": _describe,
    "text to speech": _speak,
    "speech to text": _listen,
    "scale image": _step("ScaleImage", "image", sample_picture, {"width": 320}),
    "crop image": _step(
        "CropImage", "image", sample_picture, {"x": 160, "y": 80, "width": 320, "height": 320}
    ),
    "watermark image": _step("WatermarkImage", "image", sample_picture, {"watermarkScale": "0.25"}),
    "convert image": _step("ConvertImage", "image", sample_picture, {"outputFormat": "webp"}),
    "scale video": _step("ScaleVideo", "video", sample_film, {"width": 320}),
    "crop video": _step("CropVideo", "video", sample_film, {"x": 160, "y": 0, "width": 320, "height": 360}),
    "watermark video": _step("WatermarkVideo", "video", sample_film, {"opacity": "0.6"}),
    "trim video": _step("TrimVideo", "video", sample_film, {"startTime": "0:01", "endTime": "0:02"}),
    "convert video": _step("ConvertVideo", "video", sample_film, {"outputFormat": "webm"}),
    "thumbnail of a video": _step("ThumbnailVideo", "video", sample_film, {"width": 320}),
    "sound of a video": _step("ExtractAudio", "video", sample_film, {"outputFormat": "mp3"}),
    "convert audio": _step("ConvertAudio", "audio", _speech, {"outputFormat": "flac"}),
}
