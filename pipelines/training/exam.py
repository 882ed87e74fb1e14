"""The exam of a model: 200 prompts, and what a judge says of the pictures."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import nn

from pipelines.training.captions import with_article
from pipelines.training.judge import SIDE
from pipelines.training.objects import OBJECTS
from pipelines.training.scenes import GROUNDS, held_out

PLAIN, UNSEEN, REWORDED = "plain", "unseen", "reworded"
SHEET = (
    "a red apple",
    "a cat",
    "a cute dog on a blue background",
    "a banana",
    "an elephant on a green background",
    "a strawberry on a yellow background",
    "a rocket",
    "a pizza",
    "a car",
    "a blue car on a white background",
    "a panda on a pink background",
    "a sunflower",
    "a penguin on an orange background",
    "a castle",
    "a cup of coffee",
    "a guitar on a purple background",
    "a birthday cake",
    "an octopus on a black background",
    "a hamburger",
    "a house on a cyan background",
    "a butterfly",
    "a key on a red background",
    "a photo of a lion, highly detailed",
    "a crown on a gray background",
)
"""What a person should look at."""
CORNER = 0.1
"""Share of the picture's side; the ground is judged by its four corners."""


@dataclass(frozen=True)
class Question:
    """A prompt, and what must be on its picture."""

    kind: str
    prompt: str
    thing: int
    ground: int = 0


@dataclass(frozen=True)
class Score:
    """Shares of right answers of one kind of question."""

    kind: str
    count: int
    top1: float
    top5: float
    ground: float


def questions() -> list[Question]:
    """Give the 200 prompts: every object, 50 pairs of object and ground never trained, 30 in other words."""
    plain = [Question(PLAIN, with_article(thing.names[0]), index) for index, thing in enumerate(OBJECTS)]
    things, grounds = np.meshgrid(np.arange(len(OBJECTS)), np.arange(len(GROUNDS)), indexing="ij")
    pairs = np.argwhere(held_out(things, grounds))
    chosen = pairs[np.random.default_rng(17).permutation(len(pairs))[:50]]
    unseen = [
        Question(
            UNSEEN,
            f"{with_article(OBJECTS[thing].names[0])} on a {list(GROUNDS)[ground]} background",
            *map(int, (thing, ground)),
        )
        for thing, ground in chosen
    ]
    coloured = [index for index, thing in enumerate(OBJECTS) if thing.colour][::2][:20]
    reworded = [Question(REWORDED, f"{OBJECTS[i].names[0]}, {OBJECTS[i].colour}", i) for i in coloured]
    other = [index for index, thing in enumerate(OBJECTS) if len(thing.names) > 1][::3][:10]
    reworded += [Question(REWORDED, f"draw the {OBJECTS[i].names[1]}, on blue", i, 7) for i in other]
    return plain + unseen + reworded


@torch.inference_mode()
def mark(judge: nn.Module, asked: Sequence[Question], pictures: Sequence[Image.Image]) -> list[Score]:
    """Let the judge look at the pictures; one score for each kind of question, and one for all."""
    small = [picture.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX) for picture in pictures]
    pixels = torch.from_numpy(np.stack([np.asarray(each) for each in small])).permute(0, 3, 1, 2) / 127.5 - 1
    best = judge(pixels).topk(5).indices.numpy()
    things = np.array([question.thing for question in asked])[:, None]
    grounds = np.array([ground_of(picture) for picture in pictures])
    first, among = best[:, 0] == things[:, 0], (best == things).any(1)
    right_ground = grounds == np.array([question.ground for question in asked])
    kinds = np.array([question.kind for question in asked])
    groups = [(kind, kinds == kind) for kind in dict.fromkeys(kinds)] + [("all", kinds != "")]
    return [
        Score(
            str(kind),
            int(group.sum()),
            *(float(right[group].mean()) for right in (first, among, right_ground)),
        )
        for kind, group in groups
    ]


def ground_of(picture: Image.Image) -> int:
    """Name the colour of the corners: the nearest of GROUNDS, in whatever light."""
    pixels = np.asarray(picture.convert("RGB"), np.float32)
    side = max(1, round(min(picture.size) * CORNER))
    corners = [
        pixels[y, x] for y in (slice(side), slice(-side, None)) for x in (slice(side), slice(-side, None))
    ]
    colour = np.median(np.concatenate([corner.reshape(-1, 3) for corner in corners]), axis=0)
    lights = np.linspace(0.78, 1.08, 16, dtype=np.float32)
    known = np.array(list(GROUNDS.values()), np.float32)
    distance = np.linalg.norm(np.minimum(known[:, None] * lights[:, None], 255) - colour, axis=-1)
    return int(distance.min(1).argmin())
