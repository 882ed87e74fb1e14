"""Scenes: one object, somewhere, on a coloured ground. What captions describe and networks learn."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

from pipelines.training import emoji
from pipelines.training.objects import OBJECTS

SIZE = 128
"""Pixels of a picture's side. The latents see it at half of that; the decoder draws all of it."""
LARGE, SMALL, CLOSE = 0.9, 0.78, 1.25
"""Share of the picture's side that the longest side of an object covers."""
STEP = 8
"""Pixels of a shift: what a latent stands for. Shifted by whole latents, an object has the same latents
elsewhere, which a convolutional network knows without being taught; by a part of one it has other latents."""
_STILLS = ((LARGE, 0, 0),) * 3 + (
    (SMALL, 0, 0),
    (SMALL, -STEP, 0),
    (SMALL, STEP, 0),
    (SMALL, 0, -STEP),
    (SMALL, 0, STEP),
)
PLACEMENTS = tuple(
    (share, x, y, mirrored) for share, x, y in (*_STILLS, (CLOSE, 0, 0)) for mirrored in (False, True)
)
"""How an object may stand: (share, shift to the right, shift down, mirrored); those close up are the last."""
CLOSE_UPS = 2
PLACES = len(PLACEMENTS)
LIKELY = np.array([0.2, 0.05] * 3 + [0.025] * 10)
"""How often each placement but the close-ups is trained. Six pictures in ten show an object large, in the
middle and unmirrored: with all placements alike, eight steps drew something between them (an octopus was
a hill)."""

Floats = npt.NDArray[np.float32]
Placement: TypeAlias = tuple[float, float, float, bool]
Places: TypeAlias = Callable[[np.random.Generator], Sequence[Placement]]

GROUNDS: dict[str, tuple[int, int, int]] = {
    "white": (250, 250, 250),
    "black": (30, 30, 34),
    "gray": (150, 152, 156),
    "red": (214, 62, 62),
    "orange": (244, 150, 62),
    "yellow": (248, 216, 92),
    "green": (98, 178, 98),
    "blue": (80, 130, 226),
    "purple": (146, 98, 206),
    "pink": (246, 160, 196),
    "brown": (140, 98, 72),
    "cyan": (98, 206, 220),
}
"""Colours of the ground, RGB. The first is drawn where the caption names none."""

TINTS: dict[str, tuple[int, int, int]] = {
    "red": (226, 44, 52),
    "orange": (246, 140, 38),
    "yellow": (246, 206, 52),
    "green": (64, 172, 76),
    "blue": (58, 118, 230),
    "purple": (142, 76, 206),
    "pink": (244, 120, 180),
    "black": (52, 52, 58),
}
"""Colours that tintable objects take, RGB."""


class Scenes(NamedTuple):
    """A batch of scenes; every field is an array of the same length."""

    thing: npt.NDArray[np.int64]  # index into OBJECTS
    place: npt.NDArray[np.int64]  # placement of that object
    ground: npt.NDArray[np.int64]  # index into GROUNDS
    tint: npt.NDArray[np.int64]  # index into TINTS, -1 for the object's own colours

    @property
    def close_up(self) -> npt.NDArray[np.bool_]:
        """Whether each scene is a close-up."""
        return self.place >= PLACES - CLOSE_UPS


def held_out(thing: npt.NDArray[np.int64], ground: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Tell which pairs of object and ground are never trained: a tenth, never white."""
    kept: npt.NDArray[np.bool_] = ((thing * 7 + ground * 3) % 10 == 0) & (ground != 0)
    return kept


def sample(rng: np.random.Generator, count: int, *, close_ups: float = 0.1, plain: float = 0.3) -> Scenes:
    """Draw scenes of the training set."""
    thing = rng.integers(len(OBJECTS), size=count)
    usual = rng.choice(PLACES - CLOSE_UPS, p=LIKELY, size=count)
    close = PLACES - CLOSE_UPS + (rng.random(count) < 0.2)  # mirrored
    place = np.where(rng.random(count) < close_ups, close, usual)
    ground = np.where(rng.random(count) < plain, 0, rng.integers(len(GROUNDS), size=count))
    while (again := held_out(thing, ground)).any():
        ground[again] = rng.integers(len(GROUNDS), size=int(again.sum()))
    tintable = np.array([thing.tintable for thing in OBJECTS])[thing]
    tint = np.where(tintable & (rng.random(count) < 0.5), rng.integers(len(TINTS), size=count), -1)
    return Scenes(thing, place, ground, tint)


@dataclass(frozen=True)
class Stage:
    """Renders scenes.

    Attributes:
        cutouts: (objects, PLACES, SIZE, SIZE, RGBA) in 0..255, premultiplied.
    """

    cutouts: npt.NDArray[np.uint8]

    @classmethod
    def load(cls, folder: Path) -> "Stage":
        """Fetch the pictures and place every object, once; later runs read the rendered file."""
        return cls._of(folder, [thing.label for thing in OBJECTS], "objects", lambda rng: PLACEMENTS)

    @classmethod
    def wild(cls, folder: Path) -> "Stage":
        """Like `load`, but objects stand anywhere and have any size: no judge must be confused by that."""
        return cls._of(folder, [thing.label for thing in OBJECTS], "wild", _anyhow)

    @classmethod
    def of_others(cls, folder: Path, count: int = 600) -> "Stage":
        """Like `wild`, of things that the models do not draw: the autoencoder shall not know objects only."""
        emoji.fetch(folder)
        known = {thing.label for thing in OBJECTS}
        others = [label for label in emoji.labels(folder) if label not in known]
        chosen = np.random.default_rng(2).permutation(len(others))[:count]
        return cls._of(folder, [others[index] for index in chosen], "others", _anyhow)

    @classmethod
    def _of(cls, folder: Path, labels: list[str], name: str, places: Places) -> "Stage":
        file = folder / f"{name}-{len(labels)}.npy"
        if not file.exists():
            emoji.fetch(folder)
            rng = np.random.default_rng(1)
            cutouts = np.stack([_placements(emoji.picture(folder, label), places(rng)) for label in labels])
            part = file.with_suffix(".part.npy")
            np.save(part, cutouts)
            part.rename(file)
        return cls(np.load(file, mmap_mode="r"))

    def render(self, scenes: Scenes, rng: np.random.Generator, *, size: int = SIZE) -> Floats:
        """Return pictures, (count, size, size, RGB) in 0..1; the random part is the light on the ground."""
        cutouts = np.asarray(self.cutouts[scenes.thing, scenes.place], np.float32) / 255
        if size != SIZE:
            factor = SIZE // size
            cutouts = cutouts.reshape(len(cutouts), size, factor, size, factor, 4).mean((2, 4))
        colours, alpha = cutouts[..., :3], cutouts[..., 3:]
        for index in np.flatnonzero(scenes.tint >= 0):
            colours[index] = _tinted(colours[index], alpha[index], scenes.tint[index])
        return np.minimum(colours + (1 - alpha) * _grounds(scenes.ground, rng, size), 1)


def _anyhow(rng: np.random.Generator) -> Sequence[Placement]:
    shares = [*rng.uniform(0.7, 0.92, PLACES - CLOSE_UPS), *rng.uniform(1.15, 1.35, CLOSE_UPS)]
    return [(share, *rng.uniform(-STEP, STEP, 2), bool(rng.random() < 0.5)) for share in shares]


def _placements(picture: Floats, places: Sequence[Placement]) -> npt.NDArray[np.uint8]:
    image = Image.fromarray(np.uint8(picture * 255 + 0.5), "RGBa")
    return np.stack([_placed(image, *place) for place in places])


def _placed(image: Image.Image, share: float, x: float, y: float, mirrored: bool) -> npt.NDArray[np.uint8]:
    scale = share * SIZE / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    scaled = image.resize(size, Image.Resampling.LANCZOS)
    if mirrored:
        scaled = scaled.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    canvas = Image.new("RGBa", (SIZE, SIZE))
    canvas.paste(scaled, (round((SIZE - size[0]) / 2 + x), round((SIZE - size[1]) / 2 + y)))
    return np.asarray(canvas)


def _tinted(colours: Floats, alpha: Floats, tint: np.int64) -> Floats:
    """Recolour what has a colour: its light and shade stay, greys and whites stay."""
    plain = colours / np.maximum(alpha, 1e-3)
    light = plain @ np.array([0.4, 0.45, 0.15], np.float32)
    target = np.array(list(TINTS.values())[tint], np.float32) / 255
    shade = light[..., None] / 0.5
    tinted = np.where(shade < 1, target * shade, target + (1 - target) * np.minimum((shade - 1) * 0.6, 1))
    saturation = (plain.max(-1) - plain.min(-1)) / np.maximum(plain.max(-1), 1e-3)
    weight = np.clip((saturation - 0.2) / 0.2, 0, 1)[..., None]
    recoloured: Floats = ((1 - weight) * plain + weight * tinted) * alpha
    return recoloured


def _grounds(ground: npt.NDArray[np.int64], rng: np.random.Generator, size: int) -> Floats:
    """Give grounds with soft light: brightest near the middle, darker towards the corners and the floor."""
    count = len(ground)
    colours = np.array(list(GROUNDS.values()), np.float32)[ground] / 255
    axis = (np.arange(size, dtype=np.float32) + 0.5) / size - 0.5
    middle = rng.uniform(-0.15, 0.15, (count, 2, 1, 1)).astype(np.float32)
    radius2 = (axis[None, :, None] - middle[:, 0]) ** 2 + (axis[None, None, :] - middle[:, 1]) ** 2
    dark = rng.uniform(0.15, 0.4, (count, 1, 1)).astype(np.float32)
    slope = rng.uniform(0.0, 0.12, (count, 1, 1)).astype(np.float32)
    white = (ground == 0)[:, None, None]
    shade = 1.04 - np.where(white, 0.12, dark) * radius2 - np.where(white, 0.03, slope) * axis[None, :, None]
    lit: Floats = np.clip(colours[:, None, None, :] * shade[..., None], 0, 1)
    return lit
