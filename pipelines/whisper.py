"""Speech to text with Whisper models in CTranslate2's format, by faster-whisper."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from faster_whisper import WhisperModel
from pydantic import Field

from pipelines.audio_decoding import open_sound
from pipelines.audio_windows import Window, windows
from pipelines.errors import InvalidInput, ModelLoadError
from pipelines.loading import EngineSettings, PipelineOptions
from pipelines.tasks.base import Workspace
from pipelines.tasks.speech_to_text import Segment, SpeechToTextRequest, SpeechToTextSummary, Word

ComputeType = Literal[
    "auto", "int8", "int8_float32", "int8_float16", "int8_bfloat16", "int16", "float16", "bfloat16", "float32"
]

_AUTO_TYPES = {"cpu": "int8", "cuda": "float16"}

_MAX_CONTEXT_TOKENS = 223
"""Whisper's own limit of text that a window may build on."""

_UNSURE_TEMPERATURE = 0.5
"""Text that needed a higher one misleads more than it helps (faster-whisper's limit, too)."""


class WhisperOptions(PipelineOptions):
    """How a Whisper model runs."""

    compute_type: ComputeType = "auto"
    """CTranslate2's number format; ``auto`` is int8 on a CPU and float16 on a GPU."""
    beam_size: int = Field(default=5, ge=1, le=20)
    window_s: float = Field(default=600.0, ge=60.0, le=3600.0)
    """Longer recordings are heard in windows of this length; memory grows with it."""


class WhisperPipeline:
    """Any Whisper model in CTranslate2's format; as many threads may run it at once as ``concurrency`` says.

    The weights are a folder with ``model.bin``, ``config.json``, ``tokenizer.json`` and a vocabulary.
    CTranslate2 gives each concurrent run a worker on the same weights; a run's state is its own.
    """

    Options = WhisperOptions

    def __init__(self, weights: Path | None, options: WhisperOptions, engine: EngineSettings) -> None:
        self._options = options
        self._model = WhisperModel(
            str(_complete(weights)),
            device=engine.device,
            compute_type=_AUTO_TYPES[engine.device]
            if options.compute_type == "auto"
            else options.compute_type,
            cpu_threads=engine.threads,
            num_workers=engine.concurrency,
            local_files_only=True,
        )
        self._languages = _languages(self._model)

    def speech_to_text(
        self, request: SpeechToTextRequest, workspace: Workspace
    ) -> Iterator[Segment | SpeechToTextSummary]:
        """Yield the segments in order of time, and one summary at the very end."""
        run = _Run(self._model, self._arguments(request), self._language(request), request.prompt)
        with open_sound(workspace.input(request.audio), workspace) as sound:
            for window in windows(sound, self._options.window_s):
                for segment in run.hear(window):
                    _step(workspace, segment.end_s, sound.duration_s)
                    yield segment
                _step(workspace, window.end_s, sound.duration_s)
            yield SpeechToTextSummary(language=run.language, duration_s=sound.duration_s)

    def _arguments(self, request: SpeechToTextRequest) -> dict[str, Any]:
        if request.translate and not self._model.model.is_multilingual:
            raise InvalidInput(
                "This model hears English only; ask for a multilingual one to translate.",
                "translate",
            )
        arguments: dict[str, Any] = {
            "task": "translate" if request.translate else "transcribe",
            "beam_size": self._options.beam_size,
            "word_timestamps": request.word_timestamps,
            "vad_filter": request.voice_activity_detection,
        }
        if request.temperature > 0:
            arguments["temperature"] = request.temperature
        return arguments

    def _language(self, request: SpeechToTextRequest) -> str | None:
        if request.language is None:
            return None
        # "en-US" asks for English, as browsers write it.
        code = request.language.strip().lower().replace("_", "-").partition("-")[0]
        if code in self._languages:
            return code
        raise InvalidInput(
            f"This model does not know {request.language!r}. Leave it out to detect the language, "
            f"or give an ISO 639-1 code: {', '.join(self._languages)}.",
            "language",
        )


@dataclass
class _Run:
    """One recording on its way through the model: what a later window must know of the earlier ones."""

    model: WhisperModel
    arguments: dict[str, Any]
    known_language: str | None
    prompt: str | None
    guessed_language: str = ""
    context: list[int] = field(default_factory=list)
    num_segments: int = 0

    @property
    def language(self) -> str:
        """The language asked for, or that of the first speech; a guess if there was none."""
        return self.known_language or self.guessed_language

    def hear(self, window: Window) -> Iterator[Segment]:
        """Yield the segments of the next window, their times those of the recording."""
        heard, info = self.model.transcribe(
            window.samples,
            language=self.known_language,
            # Until something has been said, the caller's prompt is all there is to build on.
            initial_prompt=self.context if self.num_segments else self.prompt,
            **self.arguments,
        )
        self.guessed_language = info.language
        if info.duration_after_vad > 0:
            self.known_language = info.language
        for item in heard:
            self._remember(item)
            yield _segment(item, self.num_segments, window.start_s)
            self.num_segments += 1

    def _remember(self, item: Any) -> None:
        unsure = item.temperature > _UNSURE_TEMPERATURE
        self.context = [] if unsure else [*self.context, *item.tokens][-_MAX_CONTEXT_TOKENS:]


def _segment(item: Any, number: int, offset_s: float) -> Segment:
    return Segment(
        id=number,
        start_s=_time_s(item.start, offset_s),
        end_s=_time_s(item.end, offset_s),
        text=item.text,
        tokens=tuple(item.tokens),
        words=tuple(_word(word, offset_s) for word in item.words or ()),
        temperature=item.temperature,
        avg_logprob=item.avg_logprob,
        compression_ratio=item.compression_ratio,
        no_speech_prob=item.no_speech_prob,
    )


def _word(word: Any, offset_s: float) -> Word:
    return Word(
        text=word.word,
        start_s=_time_s(word.start, offset_s),
        end_s=_time_s(word.end, offset_s),
        probability=float(word.probability),
    )


def _time_s(time_s: float, offset_s: float) -> float:
    return round(float(offset_s + time_s), 3)


def _step(workspace: Workspace, done_s: float, total_s: float) -> None:
    workspace.check_cancelled()
    workspace.report(min(done_s / total_s, 1.0))


def _complete(weights: Path | None) -> Path:
    # Without its tokenizer faster-whisper asks the model hub for one, for half a minute.
    missing = [
        name for name in ("model.bin", "tokenizer.json") if not weights or not (weights / name).is_file()
    ]
    if weights is None or missing:
        raise ModelLoadError(
            f"{weights or 'no source'}: a Whisper model in CTranslate2's format is a folder; "
            f"missing: {', '.join(missing)}. Check 'source'."
        )
    return weights


def _languages(model: WhisperModel) -> tuple[str, ...]:
    # faster-whisper lists Cantonese for every model, but only the newest have its token.
    return tuple(
        code
        for code in sorted(model.supported_languages)
        if code == "en" or model.hf_tokenizer.token_to_id(f"<|{code}|>") is not None
    )
