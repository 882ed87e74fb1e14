"""Cutting long sound into windows that fit into memory, where nobody speaks."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from pipelines.audio_decoding import SPEECH_SAMPLE_RATE, FloatSamples

SEARCH_S = 30.0
"""A window may be so much shorter than asked for, to end at a pause."""

PAUSE_S = 0.4
"""Length of the stretch that is compared; shorter silences also stand inside words."""

_STEP_SAMPLES = SPEECH_SAMPLE_RATE // 100


@dataclass(frozen=True)
class Window:
    """A piece of a recording."""

    start_s: float
    """From the start of the recording."""
    samples: FloatSamples

    @property
    def end_s(self) -> float:
        """Where it ends, from the start of the recording."""
        return self.start_s + len(self.samples) / SPEECH_SAMPLE_RATE


def windows(blocks: Iterable[FloatSamples], window_s: float) -> Iterator[Window]:
    """Give a recording in windows of at most `window_s`, cut where it is quietest.

    A recording that fits into one window is given as it is.
    """
    limit = int(window_s * SPEECH_SAMPLE_RATE)
    start = 0
    pending: list[FloatSamples] = []
    for block in blocks:
        pending.append(block)
        while sum(map(len, pending)) > limit:
            samples = _joined(pending)
            cut = _quietest_point(samples[:limit])
            pending.append(samples[cut:].copy())
            yield Window(start / SPEECH_SAMPLE_RATE, samples[:cut])
            start += cut
    if pending:
        yield Window(start / SPEECH_SAMPLE_RATE, _joined(pending))


def _joined(pending: list[FloatSamples]) -> FloatSamples:
    samples = np.concatenate(pending)
    # Whoever hears this window should not hold it in memory twice.
    pending.clear()
    return samples


def _quietest_point(samples: FloatSamples) -> int:
    """Find the middle of the quietest `PAUSE_S` in the last `SEARCH_S`, at most the second half."""
    searched = min(int(SEARCH_S * SPEECH_SAMPLE_RATE), len(samples) // 2)
    tail = samples[len(samples) - searched :]
    num_steps = len(tail) // _STEP_SAMPLES
    energy = np.square(tail[: num_steps * _STEP_SAMPLES]).reshape(num_steps, _STEP_SAMPLES).sum(axis=1)
    pause_steps = round(PAUSE_S * SPEECH_SAMPLE_RATE / _STEP_SAMPLES)
    loudness = np.convolve(energy, np.ones(pause_steps), mode="valid")
    middle = int(loudness.argmin()) + pause_steps // 2
    return len(samples) - searched + middle * _STEP_SAMPLES
