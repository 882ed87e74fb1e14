"""What the benchmarks work on: texts, recorded speech, and a drawn 12-megapixel photograph."""

import io
import wave
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

SENTENCE = "The quick brown fox jumps over the lazy dog while the band plays on by the river."
STORY = (
    "It was late in the evening when the train came into the station. "
    "Nobody was waiting on the platform except an old man with a lantern. "
    "He looked at every window, one after another, as if he had lost something. "
    "Then he shook his head and walked slowly back to the little house. "
    "The train stood there for a long time before it went on into the night."
)

RECORDING_RATE = 16_000


def wav(samples: np.ndarray, sample_rate: int) -> bytes:
    """Encode mono int16 samples."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sample_rate)
        file.writeframes(samples.tobytes())
    return buffer.getvalue()


def clip(recordings: Path, seconds: float, path: Path) -> Path:
    """Write a clip of exactly `seconds` from a folder's 16 kHz recordings, repeated as often as it takes."""
    speech = np.concatenate([_samples(file) for file in sorted(recordings.glob("*.wav"))])
    path.write_bytes(wav(np.resize(speech, int(seconds * RECORDING_RATE)), RECORDING_RATE))
    return path


def _samples(file: Path) -> np.ndarray:
    with wave.open(str(file), "rb") as audio:
        return np.frombuffer(audio.readframes(audio.getnframes()), np.int16)


def photograph(path: Path) -> Path:
    """Draw 4000 x 3000 pixels with the detail of a photograph: noise of every scale, seed fixed."""
    random = np.random.default_rng(seed=0)
    picture = np.zeros((3000, 4000, 3), np.float32)
    for cells in (4, 16, 64, 256, 1024):
        noise = random.integers(0, 256, (cells * 3 // 4, cells, 3), np.uint8)
        layer = Image.fromarray(noise).resize((4000, 3000), Image.Resampling.BICUBIC)
        picture += np.asarray(layer, np.float32) / cells**0.5
    picture *= 255 / picture.max()
    image = Image.fromarray(picture.astype(np.uint8)).filter(ImageFilter.SHARPEN)
    image.save(path, quality=92)
    return path
