"""Text to speech with Hibari: English voices, small and fast, without espeak; one lies in the package."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from hibari import SAMPLE_RATE, Hibari
from hibari.voices import DEFAULT, VOICES, voice_path

from pipelines.errors import InvalidInput, ModelLoadError
from pipelines.loading import EngineSettings, PipelineOptions
from pipelines.phonemes import break_long_words, is_speakable, speakable_text, split_long
from pipelines.tasks.base import Workspace
from pipelines.tasks.text_to_speech import SpokenAudio, TextToSpeechRequest


class HibariOptions(PipelineOptions):
    """Which of Hibari's voices speaks."""

    voice: str = DEFAULT


class HibariPipeline:
    """A Hibari voice; threads may share it.

    It needs no source: the voice ``heart`` lies in the package. Another voice is a file of Hibari's
    cache folder, or the ``.onnx`` that a source leads to; nothing is downloaded.
    """

    Options = HibariOptions

    def __init__(self, weights: Path | None, options: HibariOptions, engine: EngineSettings) -> None:
        self._engine = Hibari(
            voice=_known(options.voice),
            model=str(weights or _local_file(options.voice)),
            threads=engine.threads,
        )
        # These load at their first use otherwise, in the middle of somebody's request.
        _ = self._engine.g2p.oov

    def text_to_speech(self, request: TextToSpeechRequest, workspace: Workspace) -> Iterator[SpokenAudio]:
        """Yield the speech sentence by sentence."""
        _check(request)
        random = np.random.default_rng(request.seed)
        for phonemes in self._speakable(request.text):
            samples = self._engine.from_ids(self._engine.ids(phonemes), rng=random)
            yield SpokenAudio(_int16(samples), SAMPLE_RATE)
            workspace.check_cancelled()

    def _speakable(self, text: str) -> Iterator[str]:
        """Yield pieces of at most a sentence, each found only when the one before it was spoken."""
        is_silent = True
        # Its time grows with the third power of a word like "a-b-c-d": 400 letters take 10 s.
        harmless = break_long_words(speakable_text(text))
        for sentence in self._engine.split_sentences(harmless):
            for phonemes in self._engine.phonemize(sentence):
                if is_speakable(phonemes):
                    is_silent = False
                    yield from ("".join(piece) for piece in split_long(phonemes))
        if is_silent:
            raise InvalidInput("There is nothing in it that can be spoken; give English words.", "text")


def _check(request: TextToSpeechRequest) -> None:
    if request.speaker not in {None, "0"}:
        raise InvalidInput(
            f"This voice has only one speaker, not {request.speaker!r}; leave it out.", "speaker"
        )


def _known(voice: str) -> str:
    if voice not in VOICES:
        raise ModelLoadError(f"options: voice: Hibari has no voice {voice!r}. Voices: {', '.join(VOICES)}")
    return voice


def _local_file(voice: str) -> str:
    try:
        return str(voice_path(voice, download_missing=False))
    except FileNotFoundError as error:
        raise ModelLoadError(
            f"Hibari's voice {voice!r} is not on this machine. Put its file at {error}, or use {DEFAULT!r}."
        ) from error


def _int16(samples: npt.NDArray[np.float32]) -> npt.NDArray[np.int16]:
    return (np.clip(samples, -1.0, 1.0) * 32767.0).astype(np.int16)
