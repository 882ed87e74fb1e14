"""The operations on speech."""

import json
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from deployments.routers.aiserver.operation import (
    AnyOperation,
    Artifacts,
    Files,
    MadeFile,
    Operation,
    Texts,
    artifact_example,
    text_example,
)
from deployments.routers.aiserver.wire import ZERO_IS_ABSENT, Wire, any_spelling
from pipelines.audio import AudioFormat
from pipelines.tasks.speech_to_text import SPEECH_TO_TEXT, SpeechToTextRequest, SpeechToTextResult
from pipelines.tasks.text_to_speech import TEXT_TO_SPEECH, TextToSpeechRequest, TextToSpeechResult


class SpeechToText(Wire):
    """The fields beside the file ``audio``; AI Server itself knows none of them."""

    model: str | None = Field(default=None, description="Model id or alias; empty takes the default")
    language: str | None = Field(default=None, description="ISO 639-1 code; empty detects it")
    prompt: str | None = Field(default=None, description="Names and spellings to prefer")
    temperature: float | None = Field(default=None, description="0 to 1")
    task: Annotated[Literal["transcribe", "translate"] | None, any_spelling(("transcribe", "translate"))] = (
        Field(default=None, description="`translate` gives English text")
    )


class TextToSpeech(Wire):
    """The text, and how to speak it; what comes after `seed` AI Server itself does not know."""

    other_names: ClassVar[dict[str, str]] = {"text": "input"}

    input: str = Field(description="The text to speak; `text` is accepted too")
    model: str | None = Field(default=None, description="Voice id or alias; empty takes the default")
    seed: Annotated[int | None, ZERO_IS_ABSENT] = Field(default=None, description="Repeats a voice's chance")
    voice: str | None = Field(default=None, description="The same as `model`, and wins over it")
    speed: float | None = Field(default=None, description="0.25 to 4, where 1 is the voice's own pace")
    speaker: str | None = Field(default=None, description="For voices that have several")
    response_format: Annotated[AudioFormat | None, any_spelling(AudioFormat)] = Field(
        default=None, description="`wav` unless asked otherwise"
    )


def _hear(wire: SpeechToText, files: Files) -> SpeechToTextRequest:
    return SpeechToTextRequest(
        audio=files["audio"].key,
        translate=wire.task == "translate",
        **wire.given("language", "prompt", "temperature"),
    )


def _speak(wire: TextToSpeech, files: Files) -> TextToSpeechRequest:
    return TextToSpeechRequest(text=wire.input, **wire.given("seed", "speed", "speaker", "response_format"))


def _transcripts(result: SpeechToTextResult) -> tuple[str, str]:
    """Give the plain text, then the timed phrases as AI Server writes them: a JSON list, whole seconds."""
    phrases = [
        {"text": segment.text.strip(), "start": round(segment.start_s), "end": round(segment.end_s)}
        for segment in result.segments
    ]
    return result.text, json.dumps(phrases, ensure_ascii=False)


def _audio(result: TextToSpeechResult) -> tuple[MadeFile]:
    return (MadeFile(result.audio),)


SPEECH: tuple[AnyOperation, ...] = (
    Operation(
        name="SpeechToText",
        task=SPEECH_TO_TEXT.name,
        summary="Write down what is said in an audio or video file",
        wire=SpeechToText,
        files=("audio",),
        model_fields=("model",),
        field_names={"translate": "task"},
        to_request=_hear,
        outputs=Texts(_transcripts),
        example={"audio": "speech.wav", "language": "en"},
        example_response=text_example(
            "Hello from Ray.", '[{"text": "Hello from Ray.", "start": 0, "end": 2}]'
        ),
    ),
    Operation(
        name="TextToSpeech",
        task=TEXT_TO_SPEECH.name,
        summary="Speak a text",
        wire=TextToSpeech,
        model_fields=("voice", "model"),
        field_names={"text": "input"},
        to_request=_speak,
        outputs=Artifacts(_audio),
        example={"input": "Hello from Ray."},
        example_response=artifact_example("speech.wav"),
    ),
)
