"""Tags: which of ImageNet's 1,000 classes a picture shows, and which kinds of things these are."""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image

from pipelines.seeing import efficientnet
from pipelines.torch_engine import inference

_CLASSES = Path(__file__).with_name("classes.tsv")
_MOST = 10
"""Classes of a picture that are told; the rest shares a few percent."""


@dataclass(frozen=True)
class Tag:
    """A class, or a kind of classes."""

    phrase: str
    """As a sentence names it: "a tabby cat"."""
    score: float
    """The probability that the picture shows it, 0 to 1."""
    kind: str = ""
    """Phrase of the kind that the class belongs to: "a cat"."""

    @property
    def name(self) -> str:
        """The phrase without its article."""
        return self.phrase.removeprefix("a ").removeprefix("an ")


@dataclass(frozen=True)
class Tags:
    """What a picture may show, the most probable first."""

    classes: tuple[Tag, ...]
    kinds: tuple[Tag, ...]
    """The sums of their classes: a cat may be certain where its breed is not."""

    def from_score(self, score: float) -> list[Tag]:
        """Give classes and kinds of at least this score, the most probable first, each name once."""
        ranked = sorted((*self.kinds, *self.classes), key=lambda tag: -tag.score)
        return list({tag.name: tag for tag in reversed(ranked) if tag.score >= score}.values())[::-1]


class Tagger:
    """Recognises what is in the middle of a picture."""

    def __init__(self, weights: Path, device: torch.device, threads: int) -> None:
        """Load the network.

        Raises:
            ModelLoadError: the weights are missing or damaged.
        """
        self._network = efficientnet.load(weights).to(device)
        self._device = device
        self._threads = threads
        self._names = _read_classes()

    def tags(self, image: Image.Image) -> Tags:
        """Classify an RGB picture."""
        with inference(self._threads):
            batch = efficientnet.pixels(image)[None].to(self._device)
            scores: list[float] = self._network(batch).softmax(-1)[0].tolist()
        classes = [
            Tag(phrase, score, kind) for (phrase, kind), score in zip(self._names, scores, strict=True)
        ]
        sums: defaultdict[str, float] = defaultdict(float)
        for tag in classes:
            sums[tag.kind] += tag.score
        kinds = [Tag(phrase, min(score, 1.0)) for phrase, score in sums.items() if phrase]
        return Tags(_best(classes), _best(kinds))


def _best(tags: list[Tag]) -> tuple[Tag, ...]:
    return tuple(sorted(tags, key=lambda tag: -tag.score)[:_MOST])


def _read_classes() -> list[tuple[str, str]]:
    """Give phrase and kind of each class."""
    lines = _CLASSES.read_text(encoding="utf-8").splitlines()
    rows = [line.partition("\t") for line in lines if not line.startswith("#")]
    return [(phrase, kind) for phrase, _, kind in rows]
