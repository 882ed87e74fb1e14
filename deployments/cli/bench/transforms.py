"""`ai-server bench transforms`: scaling a 12-megapixel photograph, against Pillow in this process."""

import io
import tempfile
from pathlib import Path
from typing import Annotated

import httpx
import typer
from PIL import Image, ImageOps

from configs.settings import Settings, usable_cores
from deployments.cli.bench.measure import Comparison, at_once, medians, report
from deployments.cli.bench.samples import photograph
from deployments.cli.client import ask, connect
from pipelines.images.writing import PNG_COMPRESS_LEVEL

CLIENTS = 8
WIDTH = 1024


def transforms(
    runs: Annotated[int, typer.Option(help="How often each side acts; medians are printed.")] = 7,
) -> None:
    """Compare /api/ScaleImage with Pillow; the server must be running."""
    with (
        connect(Settings.from_environment()) as client,
        tempfile.TemporaryDirectory() as folder,
    ):
        path = photograph(Path(folder) / "photograph.jpg")
        title = f"Scale {path.stat().st_size / 1e6:.1f} MB, 12 megapixels, JPEG to {WIDTH} px PNG"
        cores = usable_cores()
        alone = medians(lambda: _bare(path), lambda: _ours(client, path), runs)
        crowd = medians(
            lambda: at_once(lambda: _bare(path), cores, 2 * CLIENTS),
            lambda: at_once(lambda: _ours(client, path), CLIENTS, 2 * CLIENTS),
            runs,
        )
    report(
        title,
        [
            Comparison("one client", *alone, 1.25),
            Comparison(f"{CLIENTS} clients / Pillow on {cores} cores", *crowd, 0.85, "throughput"),
        ],
    )


def _bare(path: Path) -> bytes:
    with Image.open(path) as image:
        upright = ImageOps.exif_transpose(image)
        height = round(upright.height * WIDTH / upright.width)
        scaled = upright.resize((WIDTH, height), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    scaled.save(buffer, "PNG", compress_level=PNG_COMPRESS_LEVEL)
    return buffer.getvalue()


def _ours(client: httpx.Client, path: Path) -> None:
    with path.open("rb") as picture:
        ask(client, "POST", "/api/ScaleImage", data={"width": WIDTH}, files={"image": picture})
