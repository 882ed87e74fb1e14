"""libvips, as imgproxy and sharp use it, where somebody has installed pyvips: one thread, as ours have."""

import importlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

_FORMATS = {
    "jpg": {"Q": 85, "keep": "icc"},
    "webp": {"Q": 80, "effort": 4, "keep": "icc"},
    "png": {"compression": 4, "filter": "all", "keep": "icc"},  # or its files would be 1.8 x as large
}


def load_vips(mark: Path, width: int) -> Mapping[str, Callable[[Path, str, Path], object]] | None:
    """Give its operations by name; None where it is not installed."""
    os.environ["VIPS_CONCURRENCY"] = "1"
    try:
        vips: Any = importlib.import_module("pyvips")
    except ImportError:
        return None
    vips.cache_set_max(0)  # or it would give the results of the run before

    def opened(file: Path) -> Any:
        return vips.Image.new_from_file(str(file), access="sequential").autorot()

    def save(image: Any, target: str, out: Path) -> None:
        image.write_to_file(str(out), **_FORMATS[target])

    def scale(file: Path, target: str, out: Path) -> None:
        save(vips.Image.thumbnail(str(file), width, height=100_000), target, out)

    def crop(file: Path, target: str, out: Path) -> None:
        image = opened(file)
        part = image.crop(image.width // 4, image.height // 4, image.width // 2, image.height // 2)
        save(part, target, out)

    def watermark(file: Path, target: str, out: Path) -> None:
        stamp = vips.Image.new_from_file(str(mark))
        save(opened(file).composite2(stamp, "over", x=10, y=10).flatten(), target, out)

    def convert(file: Path, target: str, out: Path) -> None:
        save(opened(file), target, out)

    return {"scale": scale, "crop": crop, "watermark": watermark, "convert": convert}
