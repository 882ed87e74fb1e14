"""Transforms of photographs per second of one core: ours, Pillow alone, and libvips where it is installed.

Computing time is counted, because all sides work in this process, and so it is the same on a busy machine.
"""

import importlib.util
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import typer
from PIL import Image, ImageOps
from rich.console import Console
from rich.table import Table

from deployments.cli.bench.measure import interleaved
from deployments.cli.bench.media_files import Replica
from deployments.cli.bench.vips_peer import load_vips
from pipelines.images.writing import PNG_COMPRESS_LEVEL

Do = Callable[[Path, str, Path], object]
"""Takes a photograph, the format of the result, and where it goes."""

FORMATS: dict[str, dict[str, Any]] = {
    "jpg": {"quality": 85},
    "webp": {"quality": 80},
    "png": {"compress_level": PNG_COMPRESS_LEVEL},
}
WIDTH = 320
PHOTOGRAPHS = ("astronaut.png", "chelsea.png", "coffee.png", "retina.jpg")
MARK_WIDTH = 80


def compare_pictures(folder: Path, runs: int, photographs: Path | None) -> None:
    """Print a table: for each operation and format how many of the photographs each side does in a second."""
    files = _as_jpeg(_photographs(photographs), folder)
    mark = folder / "mark.png"
    Image.new("RGBA", (MARK_WIDTH, MARK_WIDTH // 2), (255, 80, 0, 160)).save(mark)
    sides = {"Pillow": _pillow(mark), "ours": _ours(folder, files, mark)}
    vips = load_vips(mark, WIDTH)
    table = Table(
        "",
        "Pillow",
        "ours",
        "ours / Pillow",
        title=f"{len(files)} photographs: pictures per second of one core",
    )
    if vips:
        sides["libvips"] = vips
        for name in ("libvips", "libvips / ours"):
            table.add_column(name)
    for operation in sides["Pillow"]:
        for target in FORMATS:
            acts = {
                name: partial(_all, each[operation], files, target, folder) for name, each in sides.items()
            }
            times = interleaved(list(acts.values()), runs, clock=time.process_time)
            rates = [len(files) / seconds for seconds in times]
            table.add_row(f"{operation} to {target}", *_cells(rates))
    Console().print(table)
    if not vips:
        Console().print("No libvips to compare with: pip install --target F 'pyvips[binary]', PYTHONPATH=F.")


def _cells(rates: Sequence[float]) -> list[str]:
    pillow, ours, *others = rates
    cells = [f"{pillow:.0f}", f"{ours:.0f}", f"{ours / pillow:.2f}"]
    return cells + [text for each in others for text in (f"{each:.0f}", f"{each / ours:.2f}")]


def _all(do: Do, files: Sequence[Path], target: str, folder: Path) -> None:
    for file in files:
        do(file, target, folder / f"out.{target}")


def _photographs(folder: Path | None) -> list[Path]:
    if folder:
        return sorted(path for path in folder.iterdir() if path.suffix in (".jpg", ".jpeg", ".png"))
    found = importlib.util.find_spec("skimage")
    if found is None or not found.submodule_search_locations:
        typer.echo("scikit-image is not installed: pip install -e '.[dev]', or use --photographs.", err=True)
        raise typer.Exit(1)
    return [Path(found.submodule_search_locations[0], "data", name) for name in PHOTOGRAPHS]


def _as_jpeg(files: Sequence[Path], folder: Path) -> list[Path]:
    """Bring them into the format in which cameras and telephones send them."""
    made = []
    for number, file in enumerate(files):
        path = folder / f"photograph-{number}.jpg"
        with Image.open(file) as image:
            ImageOps.exif_transpose(image).convert("RGB").save(path, quality=92)
        made.append(path)
    return made


def _ours(folder: Path, files: Sequence[Path], mark: Path) -> Mapping[str, Do]:
    replica = Replica(folder / "pictures")
    keys = {file: replica.add(file) for file in files}
    sizes = {file: _size(file) for file in files}
    stamp = replica.add(mark)

    def do(name: str, file: Path, target: str, **fields: Any) -> None:
        made = replica.do(name, image=keys[file], output_format=target, **fields)
        replica.forget(made.image)

    def crop(file: Path, target: str, _: Path) -> None:
        width, height = sizes[file]
        do("crop-image", file, target, x=width // 4, y=height // 4, width=width // 2, height=height // 2)

    return {
        "scale": lambda file, target, _: do("scale-image", file, target, width=WIDTH),
        "crop": crop,
        "watermark": lambda file, target, _: do(
            "watermark-image", file, target, watermark=stamp, opacity=1.0
        ),
        "convert": lambda file, target, _: do("convert-image", file, target),
    }


def _size(file: Path) -> tuple[int, int]:
    with Image.open(file) as image:
        return image.size


def _pillow(mark: Path) -> Mapping[str, Do]:
    def scale(file: Path, target: str, out: Path) -> None:
        with Image.open(file) as image:
            image.thumbnail((WIDTH, 100_000), Image.Resampling.LANCZOS)
            _save(ImageOps.exif_transpose(image), target, out)

    def crop(file: Path, target: str, out: Path) -> None:
        with Image.open(file) as image:
            upright = ImageOps.exif_transpose(image)
            left, top = upright.width // 4, upright.height // 4
            part = (left, top, left + upright.width // 2, top + upright.height // 2)
            _save(upright.crop(part), target, out)

    def watermark(file: Path, target: str, out: Path) -> None:
        with Image.open(file) as image, Image.open(mark) as stamp:
            upright = ImageOps.exif_transpose(image)
            upright.paste(stamp, (10, 10), mask=stamp)
            _save(upright, target, out)

    def convert(file: Path, target: str, out: Path) -> None:
        with Image.open(file) as image:
            _save(ImageOps.exif_transpose(image), target, out)

    return {"scale": scale, "crop": crop, "watermark": watermark, "convert": convert}


def _save(image: Image.Image, target: str, out: Path) -> None:
    image.save(out, **FORMATS[target])
