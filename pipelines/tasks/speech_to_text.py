"""Speech to text: spoken audio in; its text, segments and language out."""

from collections.abc import Generator, Iterator
from typing import Literal, Protocol, TypeAlias, runtime_checkable

from pydantic import Field

from pipelines.tasks.base import MediaKey, Record, Task, TaskRequest, TaskResult, Usage, Workspace


class Word(Record):
    """One spoken word; times in seconds from the start of the audio."""

    text: str
    start_s: float
    end_s: float
    probability: float


class Segment(Record):
    """A phrase of the transcript; times in seconds from the start of the audio.

    The last four fields are Whisper's own measures, in the meaning that OpenAI's
    ``verbose_json`` gives them.
    """

    id: int
    start_s: float
    end_s: float
    text: str
    tokens: tuple[int, ...] = ()
    words: tuple[Word, ...] = ()
    temperature: float = 0.0
    avg_logprob: float = 0.0
    compression_ratio: float = 0.0
    no_speech_prob: float = 0.0


class SpeechToTextResult(TaskResult):
    """The whole transcript."""

    text: str
    language: str
    """ISO 639-1 code, spoken or detected."""
    duration_s: float
    """Length of the audio, silence included."""
    segments: tuple[Segment, ...]

    @property
    def usage(self) -> Usage:
        """Count what was heard."""
        return Usage(audio_s=self.duration_s)


class SpeechToTextRequest(TaskRequest[SpeechToTextResult]):
    """One audio file to transcribe, or to translate into English."""

    audio: MediaKey
    language: str | None = None
    """ISO 639-1 code; None detects it."""
    prompt: str | None = None
    """Text that the speech may continue: names and spellings to prefer."""
    temperature: float = Field(default=0.0, ge=0.0, le=1.0)
    translate: bool = False
    word_timestamps: bool = False
    voice_activity_detection: bool = True
    """Skip what is not speech, so that silence gives empty text."""


class SpeechToTextSummary(Record):
    """What is known of the audio as a whole when the last segment has been given."""

    language: str
    duration_s: float


SpeechToTextEvent: TypeAlias = Segment | SpeechToTextResult


@runtime_checkable
class SpeechToTextPipeline(Protocol):
    """A model that hears."""

    def speech_to_text(
        self, request: SpeechToTextRequest, workspace: Workspace
    ) -> Iterator[Segment | SpeechToTextSummary]:
        """Yield the segments in order of time, and one summary at the very end."""


def stream(
    pipeline: SpeechToTextPipeline, request: SpeechToTextRequest, workspace: Workspace
) -> Generator[SpeechToTextEvent, None, None]:
    """Yield each segment as it is heard, then the whole result."""
    segments: list[Segment] = []
    for event in pipeline.speech_to_text(request, workspace):
        workspace.check_cancelled()
        if isinstance(event, SpeechToTextSummary):
            yield SpeechToTextResult(
                text="".join(segment.text for segment in segments).strip(),
                language=event.language,
                duration_s=event.duration_s,
                segments=tuple(segments),
            )
        else:
            segments.append(event)
            yield event


def run(
    pipeline: SpeechToTextPipeline, request: SpeechToTextRequest, workspace: Workspace
) -> SpeechToTextResult:
    """Transcribe the whole file."""
    *_, result = stream(pipeline, request, workspace)
    assert isinstance(result, SpeechToTextResult)
    return result


NAME: Literal["speech-to-text"] = "speech-to-text"
SPEECH_TO_TEXT = Task(
    name=NAME,
    protocol=SpeechToTextPipeline,
    request=SpeechToTextRequest,
    result=SpeechToTextResult,
    run=run,
    stream=stream,
)
