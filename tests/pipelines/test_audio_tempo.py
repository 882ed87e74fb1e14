import numpy as np
import pytest

from pipelines.audio_tempo import at_tempo

RATE = 22_050
PITCH_HZ = 300


def tone(seconds: float) -> np.ndarray:
    times = np.arange(int(seconds * RATE)) / RATE
    return (10_000 * np.sin(2 * np.pi * PITCH_HZ * times)).astype(np.int16)


def pitch_hz(samples: np.ndarray) -> float:
    return float(np.argmax(np.abs(np.fft.rfft(samples))) * RATE / len(samples))


@pytest.mark.parametrize("speed", [0.25, 0.5, 0.7, 1.0, 1.5, 2.0, 4.0])
def test_the_duration_changes_and_the_pitch_stays(speed: float) -> None:
    changed = at_tempo(tone(2), RATE, speed)
    assert changed.dtype == np.int16
    assert len(changed) == round(2 * RATE / speed)
    assert np.abs(changed[-len(changed) // 50 :]).max() > 5_000, "the end is missing"
    assert pitch_hz(changed) == pytest.approx(PITCH_HZ, rel=0.03)


def test_nothing_stays_nothing() -> None:
    assert len(at_tempo(tone(0), RATE, 2)) == 0


@pytest.mark.parametrize("speed", [0.25, 4.0])
@pytest.mark.parametrize("length", [1, 100, 1_000])
def test_short_pieces_have_their_length_too(length: int, speed: float) -> None:
    assert len(at_tempo(tone(1)[:length], RATE, speed)) == round(length / speed)
