"""What people would call a scene: many wordings of a picture, so that the words in between do not matter."""

import re

import numpy as np

from pipelines.training.objects import OBJECTS, DrawnObject
from pipelines.training.scenes import GROUNDS, TINTS, Scenes

COLOUR_WORDS = {
    "gray": ("gray", "grey"),
    "purple": ("purple", "violet"),
    "cyan": ("cyan", "turquoise", "teal"),
    "pink": ("pink", "pink", "rosa"),
}
STARTS = (
    *[""] * 8,
    "a photo of ",
    "a picture of ",
    "an image of ",
    "a drawing of ",
    "an icon of ",
    "an emoji of ",
    "draw ",
    "a 3d render of ",
    "a painting of ",
    "an illustration of ",
    "please draw ",
    "show me ",
)
ADJECTIVES = ("cute", "little", "nice", "beautiful", "shiny", "big", "funny", "single", "small", "happy")
ENDINGS = (
    ", highly detailed",
    ", 4k",
    ", high quality",
    ".",
    ", studio light",
    ", 3d",
    ", digital art",
    ", masterpiece",
)
GROUND_PHRASES = (
    "{subject} on a {colour} background",
    "{subject} on a {colour} background",
    "{subject} on a {colour} background",
    "{subject} with a {colour} background",
    "{subject} against a {colour} background",
    "{subject} in front of a {colour} background",
    "{subject}, {colour} background",
    "{subject} on {colour}",
    "{subject} in front of a {colour} wall",
    "on a {colour} background, {subject}",
    "{colour} background, {subject}",
)
CLOSE_UPS = ("{subject}, close-up", "{subject}, close up", "close-up of {subject}", "a close-up of {subject}")

_PLURALS = {"fries", "cherries", "grapes", "glasses", "scissors"}


def describe(scenes: Scenes, rng: np.random.Generator) -> list[str]:
    """Return one random caption for each scene."""
    return [
        _caption(OBJECTS[thing], ground, tint, bool(close), rng)
        for thing, ground, tint, close in zip(
            scenes.thing, scenes.ground, scenes.tint, scenes.close_up, strict=True
        )
    ]


def with_article(words: str) -> str:
    """Put the indefinite article before a noun; none before a plural."""
    first, last = words.split()[0], words.split()[-1]
    if last in _PLURALS and " of " not in words:
        return words
    return f"{'an' if first[0] in 'aeiou' and first not in {'unicorn', 'ufo'} else 'a'} {words}"


def _caption(thing: DrawnObject, ground: int, tint: int, close_up: bool, rng: np.random.Generator) -> str:
    text = _subject(thing, tint, rng)
    if close_up:
        text = _pick(CLOSE_UPS, rng).format(subject=text)
    elif rng.random() < 0.5:
        text = _pick(STARTS, rng) + text
    if ground != 0 or rng.random() < 0.3:
        text = _pick(GROUND_PHRASES, rng).format(subject=text, colour=_colour(list(GROUNDS)[ground], rng))
    text = re.sub(r"\ba (?=[aeo])", "an ", text)
    text += _pick(ENDINGS, rng) if rng.random() < 0.15 else ""
    return text[0].upper() + text[1:] if rng.random() < 0.2 else text


def _subject(thing: DrawnObject, tint: int, rng: np.random.Generator) -> str:
    name = thing.names[0] if rng.random() < 0.6 else _pick(thing.names, rng)
    colour = None
    if tint >= 0:
        colour = _colour(list(TINTS)[tint], rng)
    elif thing.colour and rng.random() < 0.4:
        colour = _colour(thing.colour, rng)
    form = rng.random()
    if form < 0.12:  # in the words of a list: "apple, red"
        return f"{name}, {colour}" if colour else name
    words = f"{colour} {name}" if colour else name
    if rng.random() < 0.15:
        words = f"{_pick(ADJECTIVES, rng)} {words}"
    if form < 0.24:
        return words
    return f"the {words}" if form < 0.28 else with_article(words)


def _colour(name: str, rng: np.random.Generator) -> str:
    return _pick(COLOUR_WORDS.get(name, (name,)), rng)


def _pick(choices: tuple[str, ...] | list[str], rng: np.random.Generator) -> str:
    return choices[rng.integers(len(choices))]
