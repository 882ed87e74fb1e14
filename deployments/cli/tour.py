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

TEXT = "The quick brown fox jumps over the lazy dog."
PROMPT = "a red apple on a blue background"

Step = Callable[[httpx.Client, Path], str]

_SECOND_FILES = {"WatermarkImage": "watermark", "ImageWithMask": "mask"}
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


def _picture(operation: str, fields: dict[str, str | int | float], *, drawn: bool = False) -> Step:
    """Make a step that sends the drawn picture, or the sample, and keeps the one that comes back."""

    def step(client: httpx.Client, folder: Path) -> str:
        source = folder / "drawn.png" if drawn else _sample(folder)
        files = {"image": ("picture.png", source.read_bytes())}
        if operation in _SECOND_FILES:
            files[_SECOND_FILES[operation]] = ("second.png", _sample(folder).read_bytes())
        answer = ask(client, "POST", f"/api/{operation}", data=fields, files=files)
        url = answer.json()["results"][0]["url"]
        data = ask(client, "GET", url).content
        return _write(folder / f"{operation}{Path(url).suffix}", data)

    return step


def _sample(folder: Path) -> Path:
    """Draw the picture that the transforms work on: a colour gradient with a disc."""
    # Imported here so that `ai-server serve` does not pay for it.
    from PIL import Image, ImageDraw

    path = folder / "picture.png"
    if not path.exists():
        red = Image.linear_gradient("L").resize((640, 480))
        picture = Image.merge("RGB", (red, red.rotate(90, expand=True).resize((640, 480)), red.rotate(180)))
        ImageDraw.Draw(picture).ellipse((220, 140, 420, 340), fill="white")
        picture.save(path)
    return path


def _write(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    return f"{path} ({len(data):,} bytes)"


STEPS: dict[str, Step] = {
    "text to image": _draw,
    "image to image": _picture("ImageToImage", {"positivePrompt": "a tomato", "denoise": 0.7}, drawn=True),
    "image with mask": _picture(
        "ImageWithMask", {"positivePrompt": "a tomato on a green background"}, drawn=True
    ),
    "image upscale": _picture("ImageUpscale", {"scale": 2}, drawn=True),
    "image to text": _describe,
    "text to speech": _speak,
    "speech to text": _listen,
    "scale image": _picture("ScaleImage", {"width": 320}),
    "crop image": _picture("CropImage", {"x": 160, "y": 80, "width": 320, "height": 320}),
    "watermark image": _picture("WatermarkImage", {"position": "BottomRight", "watermarkScale": "0.25"}),
    "convert image": _picture("ConvertImage", {"outputFormat": "webp"}),
}
