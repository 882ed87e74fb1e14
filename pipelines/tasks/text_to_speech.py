"""Text to speech: a text in, spoken audio out."""

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import BinaryIO, Literal, Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt
from pydantic import Field

from pipelines.audio import AudioFormat, AudioWriter, PipeSink
from pipelines.audio_tempo import at_tempo
from pipelines.tasks.base import MediaKey, Task, TaskRequest, TaskResult, Usage, Workspace

MAX_TEXT_LENGTH = 20_000
"""Characters; about 20 minutes of speech, well above OpenAI's limit of 4,096."""
CHARACTERS_PER_SECOND = 15.0
"""Of English read aloud at 150 words a minute."""


class TextToSpeechResult(TaskResult):
    """The spoken text as an audio file."""

    audio: MediaKey
    duration_s: float
    sample_rate: int

    @property
    def usage(self) -> Usage:
        """Count what was spoken."""
        return Usage(audio_s=self.duration_s)


class TextToSpeechRequest(TaskRequest[TextToSpeechResult]):
    """One text to speak."""

    text: str = Field(min_length=1, max_length=MAX_TEXT_LENGTH)
    speed: float = Field(default=1.0, ge=0.25, le=4.0)
    """1 is the voice's own pace, 2 twice as fast (OpenAI's range). The task sees to it, not the pipeline."""
    speaker: str | None = None
    """Name or number of the speaker, for voices that have several."""
    seed: int | None = Field(default=None, ge=0)
    """Makes voices with a random part repeatable, where the engine can."""
    response_format: AudioFormat = AudioFormat.WAV

    def estimated_usage(self, events: int) -> Usage:
        """Count the seconds in which a person would read the text: a stream does not tell its length."""
        return Usage(audio_s=len(self.text) / CHARACTERS_PER_SECOND / self.speed)


@dataclass(frozen=True)
class SpokenAudio:
    """A piece of speech, usually one sentence."""

    samples: npt.NDArray[np.int16]
    """Mono, shape (n,)."""
    sample_rate: int
    """Hz; the same for every piece of one text."""


@runtime_checkable
class TextToSpeechPipeline(Protocol):
    """A model that speaks."""

    def text_to_speech(self, request: TextToSpeechRequest, workspace: Workspace) -> Iterator[SpokenAudio]:
        """Yield the speech sentence by sentence, at the voice's own pace."""


TextToSpeechEvent: TypeAlias = bytes


def _spoken(
    pipeline: TextToSpeechPipeline, request: TextToSpeechRequest, workspace: Workspace
) -> Iterator[SpokenAudio]:
    for piece in pipeline.text_to_speech(request, workspace):
        workspace.check_cancelled()
        samples = at_tempo(piece.samples, piece.sample_rate, request.speed)
        yield SpokenAudio(samples, piece.sample_rate)


def stream(
    pipeline: TextToSpeechPipeline, request: TextToSpeechRequest, workspace: Workspace
) -> Generator[TextToSpeechEvent, None, None]:
    """Yield the encoded file piece by piece, each as soon as its sentence is spoken."""
    sink = PipeSink()
    with AudioWriter(sink, request.response_format) as writer:
        for piece in _spoken(pipeline, request, workspace):
            writer.write(piece.samples, piece.sample_rate)
            yield sink.take()
    yield sink.take()


def run(
    pipeline: TextToSpeechPipeline, request: TextToSpeechRequest, workspace: Workspace
) -> TextToSpeechResult:
    """Speak the whole text into a file."""
    with workspace.output(request.response_format.extension) as output:
        writer = _write_all(output.file, pipeline, request, workspace)
    return TextToSpeechResult(audio=output.key, duration_s=writer.duration_s, sample_rate=writer.sample_rate)


def _write_all(
    file: BinaryIO,
    pipeline: TextToSpeechPipeline,
    request: TextToSpeechRequest,
    workspace: Workspace,
) -> AudioWriter:
    with AudioWriter(file, request.response_format) as writer:
        for piece in _spoken(pipeline, request, workspace):
            writer.write(piece.samples, piece.sample_rate)
    return writer


NAME: Literal["text-to-speech"] = "text-to-speech"
TEXT_TO_SPEECH = Task(
    name=NAME,
    protocol=TextToSpeechPipeline,
    request=TextToSpeechRequest,
    result=TextToSpeechResult,
    run=run,
    stream=stream,
)
