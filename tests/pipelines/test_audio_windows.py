import numpy as np
import pytest

from pipelines.audio_decoding import SPEECH_SAMPLE_RATE, FloatSamples
from pipelines.audio_windows import windows


def noise(duration_s: float) -> FloatSamples:
    return (
        np.random.default_rng(1).uniform(-0.5, 0.5, int(duration_s * SPEECH_SAMPLE_RATE)).astype(np.float32)
    )


def pause(duration_s: float) -> FloatSamples:
    return np.zeros(int(duration_s * SPEECH_SAMPLE_RATE), np.float32)


def test_what_fits_into_one_window_stays_as_it_is() -> None:
    (window,) = windows([noise(20.0), noise(10.0)], window_s=30.0)
    assert np.array_equal(window.samples, np.concatenate([noise(20.0), noise(10.0)]))
    assert (window.start_s, window.end_s) == (0.0, 30.0)


def test_cuts_where_it_is_quiet() -> None:
    first, second = windows([noise(50.0), pause(0.5), noise(40.0)], window_s=60.0)
    assert 50.0 <= first.end_s <= 50.5
    assert second.start_s == first.end_s
    assert second.end_s == 90.5


@pytest.mark.parametrize("block_s", [0.5, 7.0, 400.0])
def test_loses_nothing_and_stays_within_the_limit(block_s: float) -> None:
    recording = noise(200.0)
    size = int(block_s * SPEECH_SAMPLE_RATE)
    blocks = [recording[place : place + size] for place in range(0, len(recording), size)]
    found = list(windows(blocks, window_s=45.0))
    assert np.array_equal(np.concatenate([window.samples for window in found]), recording)
    assert max(window.end_s - window.start_s for window in found) <= 45.0
    assert min(window.end_s - window.start_s for window in found[:-1]) >= 22.0


def test_nothing_has_no_window() -> None:
    assert list(windows([], window_s=30.0)) == []
