"""Text to speech with Piper voices (VITS models on onnxruntime; espeak-ng turns text into phonemes)."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import onnxruntime
from piper import PhonemeType, PiperConfig, PiperVoice, SynthesisConfig
from pydantic import Field

from pipelines.errors import InvalidInput, ModelLoadError
from pipelines.loading import EngineSettings, PipelineOptions
from pipelines.phonemes import is_speakable, speakable_text, split_long
from pipelines.tasks.base import Workspace
from pipelines.tasks.text_to_speech import SpokenAudio, TextToSpeechRequest

# espeak-ng takes a row of dotted letters for one word, and from some 35 on ("p.m., p.m., ...") it writes
# beyond its buffer and kills the process. A dozen in a row is no abbreviation.
_DOTTED_LETTERS = re.compile(r"(?:\b\w\.\W*){12,}")

_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


class PiperOptions(PipelineOptions):
    """How a Piper voice speaks; what is left out comes from the voice's own file."""

    noise_scale: float | None = Field(default=None, ge=0.0, le=2.0)
    """Liveliness of the sound."""
    noise_w_scale: float | None = Field(default=None, ge=0.0, le=2.0)
    """Liveliness of the rhythm."""


class PiperPipeline:
    """Any Piper voice whose phonemes come from espeak-ng or plain text; threads may share it.

    The weights are the voice's ``.onnx`` with its ``.onnx.json`` beside it, or a folder with one such pair.
    The engine's random part cannot be seeded.
    """

    Options = PiperOptions

    def __init__(self, weights: Path | None, options: PiperOptions, engine: EngineSettings) -> None:
        self._options = options
        self._voice = _load(_model_file(weights), engine)

    def text_to_speech(self, request: TextToSpeechRequest, workspace: Workspace) -> Iterator[SpokenAudio]:
        """Yield the speech sentence by sentence."""
        config = self._voice.config
        settings = SynthesisConfig(
            speaker_id=speaker_number(config, request.speaker),
            noise_scale=self._options.noise_scale,
            noise_w_scale=self._options.noise_w_scale,
        )
        for sentence in self._voice.synthesize(speakable_text(request.text), settings):
            yield SpokenAudio(sentence.audio_int16_array, sentence.sample_rate)
            workspace.check_cancelled()


class _BoundedVoice(PiperVoice):
    """A voice that never speaks more at once than memory allows, and refuses what has no sound."""

    def phonemize(self, text: str) -> list[list[str]]:
        harmless = _DOTTED_LETTERS.sub(lambda letters: letters[0].replace(".", " "), text)
        sentences = super().phonemize(harmless)
        if not any(is_speakable(sentence) for sentence in sentences):
            raise InvalidInput("There is nothing in it that can be spoken; give words.", "text")
        return [piece for sentence in sentences for piece in split_long(sentence)]


def speaker_number(config: PiperConfig, speaker: str | None) -> int | None:
    """Find a speaker by name or number; None is the voice's default.

    Raises:
        InvalidInput: the voice has no such speaker; the message lists those that it has.
    """
    if speaker is None:
        return None
    if speaker in config.speaker_id_map:
        return config.speaker_id_map[speaker]
    if speaker.isdecimal() and int(speaker) < max(config.num_speakers, 1):
        return int(speaker)
    if config.num_speakers <= 1:
        raise InvalidInput(f"This voice has only one speaker, not {speaker!r}; leave it out.", "speaker")
    names = ", ".join(config.speaker_id_map)
    raise InvalidInput(
        f"This voice has no speaker {speaker!r}. "
        f"Give a number from 0 to {config.num_speakers - 1}" + (f", or a name: {names}." if names else "."),
        "speaker",
    )


def _model_file(weights: Path | None) -> Path:
    if weights is None:
        raise ModelLoadError("a Piper voice needs a 'source' that leads to its .onnx file")
    if weights.is_file():
        return weights
    found = sorted(weights.glob("*.onnx"))
    if len(found) != 1:
        names = ", ".join(file.name for file in found) or "none"
        raise ModelLoadError(f"{weights}: one .onnx file is expected, found: {names}. Check 'source'.")
    return found[0]


def _load(model_file: Path, engine: EngineSettings) -> PiperVoice:
    # PiperVoice.load() takes no session options, and onnxruntime would start a thread per core.
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = engine.threads
    settings.inter_op_num_threads = 1
    return _BoundedVoice(
        session=onnxruntime.InferenceSession(
            str(model_file), sess_options=settings, providers=[_PROVIDERS[engine.device]]
        ),
        config=_read_config(model_file),
    )


def _read_config(model_file: Path) -> PiperConfig:
    file = model_file.with_name(f"{model_file.name}.json")
    try:
        config = PiperConfig.from_dict(json.loads(file.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise ModelLoadError(
            f"{file} is missing; a Piper voice is an .onnx file and its .onnx.json."
        ) from error
    except (ValueError, KeyError) as error:
        raise ModelLoadError(f"{file} is not the configuration of a Piper voice: {error!r}") from error
    if config.phoneme_type not in {PhonemeType.ESPEAK, PhonemeType.TEXT}:
        # The other phonemizers need packages of their own, and one downloads a model at its first sentence.
        raise ModelLoadError(
            f"{file}: phoneme_type {config.phoneme_type.value} is not served; use espeak or text."
        )
    return config
