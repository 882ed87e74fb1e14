"""The training pictures: Fluent 3D emoji (MIT), named by emojibase (MIT), both from the npm registry."""

import functools
import json
import shutil
import subprocess
import tarfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

PICTURES = "@lobehub/fluent-emoji-3d@1.1.0"
NAMES = "emojibase-data@17.0.0"


def fetch(folder: Path) -> None:
    """Download both packages into a folder, once, with the machine's own npm."""
    for package in (PICTURES, NAMES):
        target = folder / package.replace("/", "-")
        if target.exists():
            continue
        part = target.with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        done = subprocess.run(  # noqa: S603 - the package names are constants
            ["npm", "pack", "--silent", "--pack-destination", str(part), package],  # noqa: S607 - npm from the PATH
            check=True,
            capture_output=True,
            text=True,
        )
        with tarfile.open(part / done.stdout.strip().splitlines()[-1]) as archive:
            archive.extractall(part, filter="data")
        part.rename(target)


def words(folder: Path) -> list[str]:
    """Return labels and tags of every emoji: the words that people describe pictures with."""
    entries = _entries(folder)
    return [text for entry in entries for text in (entry["label"], *entry.get("tags", ()))]


def labels(folder: Path) -> list[str]:
    """Return the labels of every emoji that has a picture."""
    return [entry["label"] for entry in _entries(folder) if _file(folder, entry["hexcode"])]


def picture(folder: Path, label: str) -> npt.NDArray[np.float32]:
    """Return an emoji, cropped to what is drawn: (height, width, RGBA) in 0..1, colours premultiplied."""
    code = next(entry["hexcode"] for entry in _entries(folder) if entry["label"] == label)
    file = _file(folder, code)
    if file is None:
        raise FileNotFoundError(f"{PICTURES} has no picture of {label!r}")
    image = Image.open(file).convert("RGBA")
    drawn = image.crop(image.getchannel("A").getbbox())
    pixels = np.asarray(drawn, np.float32) / np.float32(255)
    pixels[..., :3] *= pixels[..., 3:]
    return pixels


def _file(folder: Path, hexcode: str) -> Path | None:
    assets = folder / PICTURES.replace("/", "-") / "package" / "assets"
    code = hexcode.lower()
    names = (code, f"{code}-fe0f", code.replace("-fe0f", ""))
    return next((assets / f"{name}.webp" for name in names if (assets / f"{name}.webp").exists()), None)


@functools.cache
def _entries(folder: Path) -> list[dict[str, str]]:
    text = (folder / NAMES.replace("/", "-") / "package" / "en" / "data.json").read_text()
    entries: list[dict[str, str]] = json.loads(text)
    return entries
