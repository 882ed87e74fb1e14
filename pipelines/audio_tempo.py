"""Faster and slower speech at its own pitch."""

from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction

import av
import numpy as np
from av.filter import Graph

from pipelines.audio import Int16Samples

SLOWEST_STEP = 0.5
"""FFmpeg's ``atempo`` slows down to half at most; more takes several of them."""

PADDING_PARTS = 4
"""Of a second: silence behind the speech, because ``atempo`` keeps the end of what it gets to itself."""


def at_tempo(samples: Int16Samples, sample_rate: int, speed: float) -> Int16Samples:
    """Change the duration to ``1 / speed`` of what it was, exactly and for any voice.

    Engines have knobs of their own for this, but they keep neither the ratio (Piper gives 1.5 at 2)
    nor the range (Hibari ends at 2).

    Args:
        samples: mono, shape (n,).
        sample_rate: Hz.
        speed: 2 is twice as fast, 0.5 half as fast.
    """
    if speed == 1 or not len(samples):
        return samples
    graph = _graph(sample_rate, speed)
    padded = np.pad(samples, (0, sample_rate // PADDING_PARTS))
    frame = av.AudioFrame.from_ndarray(padded[np.newaxis], format="s16", layout="mono")
    frame.sample_rate = sample_rate
    frame.time_base = Fraction(1, sample_rate)
    graph.push(frame)
    graph.push(None)
    return np.concatenate(list(_pulled(graph)))[: round(len(samples) / speed)]


def _graph(sample_rate: int, speed: float) -> Graph:
    graph = Graph()
    source = graph.add_abuffer(
        sample_rate=sample_rate, format="s16", layout="mono", time_base=Fraction(1, sample_rate)
    )
    steps = [graph.add("atempo", f"{step}") for step in _steps(speed)]
    graph.link_nodes(source, *steps, graph.add("abuffersink")).configure()
    return graph


def _steps(speed: float) -> list[float]:
    slow = []
    while speed < SLOWEST_STEP:
        slow.append(SLOWEST_STEP)
        speed /= SLOWEST_STEP
    return [*slow, speed]


def _pulled(graph: Graph) -> Iterator[Int16Samples]:
    with suppress(av.error.EOFError):
        while True:
            frame = graph.pull()
            assert isinstance(frame, av.AudioFrame)
            yield frame.to_ndarray()[0]
