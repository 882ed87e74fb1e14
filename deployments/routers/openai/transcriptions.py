"""/v1/audio/transcriptions and /v1/audio/translations: speech to text in OpenAI's wire format."""

from contextlib import AsyncExitStack
from typing import Annotated, Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field

from deployments.calls import Call, Work
from deployments.dependencies import CallDep
from deployments.errors import BadRequest
from deployments.fields import field_names
from deployments.forms import Form, read_form
from deployments.middleware.access_log import note_call
from deployments.routers.openai.documentation import AUDIO_FIELDS, TRANSCRIPTION_FIELDS, audio_form
from deployments.routers.openai.events import transcript_events
from deployments.routers.openai.fields import given
from deployments.routers.openai.routing import pin_of, pinned
from deployments.routers.openai.transcripts import (
    Granularity,
    TranscriptFormat,
    as_srt,
    as_verbose_json,
    as_vtt,
    usage,
)
from deployments.streaming import EVENT_STREAM, StreamedResponse, server_sent_events
from pipelines.tasks.speech_to_text import SPEECH_TO_TEXT, SpeechToTextRequest, SpeechToTextResult

router = APIRouter(prefix="/v1/audio", tags=["OpenAI"])

_WIRE_NAMES = {"audio": "file", "translate": "model"}
_STREAMABLE = (TranscriptFormat.JSON, TranscriptFormat.TEXT)


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class TranslationFields(BaseModel):
    """The fields of a translation; others that OpenAI has are taken and ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    model: str | None = None
    language: str | None = None
    prompt: str | None = None
    response_format: TranscriptFormat = TranscriptFormat.JSON
    temperature: float = 0.0


class TranscriptionFields(TranslationFields):
    """The fields of a transcription."""

    stream: bool = False
    timestamp_granularities: Annotated[frozenset[Granularity], BeforeValidator(_as_list)] = Field(
        default=frozenset(),
        validation_alias=AliasChoices("timestamp_granularities[]", "timestamp_granularities"),
    )

    def check(self) -> None:
        """Raise `BadRequest` for fields that contradict one another."""
        if self.timestamp_granularities and self.response_format != TranscriptFormat.VERBOSE_JSON:
            raise BadRequest(
                "'response_format' must be 'verbose_json' where 'timestamp_granularities[]' is given.",
                "response_format",
            )
        if self.stream and self.response_format not in _STREAMABLE:
            raise BadRequest(
                "'response_format' must be 'json' or 'text' where 'stream' is true: the answer is a "
                "stream of events.",
                "response_format",
            )


@router.post(
    "/transcriptions",
    summary="Transcribe audio",
    openapi_extra=audio_form(AUDIO_FIELDS | TRANSCRIPTION_FIELDS),
)
async def transcribe(request: Request, call: CallDep) -> Response:
    """Write down what is said, in the language in which it is said.

    With `stream` the text comes as server-sent events while it is heard: `transcript.text.delta`
    for each phrase, at the end `transcript.text.done`.
    """
    async with AsyncExitStack() as uploads:
        form = await uploads.enter_async_context(read_form(request, call.services, call.info.owner))
        with field_names(_WIRE_NAMES):
            fields = TranscriptionFields.model_validate(given(form.fields))
            fields.check()
            work = _work(form, fields, word_timestamps=Granularity.WORD in fields.timestamp_granularities)
            if fields.stream:
                return await _streamed(
                    request, call, _routed(request, call, work, fields.model, form), uploads
                )
            result = (await call.run(_routed(request, call, work, fields.model, form))).result
    return _answer(result, fields.response_format, fields.timestamp_granularities, translated=False)


@router.post("/translations", summary="Translate audio into English", openapi_extra=audio_form(AUDIO_FIELDS))
async def translate(request: Request, call: CallDep) -> Response:
    """Write down in English what is said in any language."""
    async with read_form(request, call.services, call.info.owner) as form:
        with field_names(_WIRE_NAMES):
            fields = TranslationFields.model_validate(given(form.fields))
            work = _work(form, fields, translate=True)
            result = (await call.run(_routed(request, call, work, fields.model, form))).result
    return _answer(result, fields.response_format, frozenset(), translated=True)


def _work(form: Form, fields: TranslationFields, **options: bool) -> SpeechToTextRequest:
    if "file" not in form.files:
        raise BadRequest(
            "'file' must not be empty. Send the audio as the part 'file' of a multipart/form-data body.",
            "file",
            "NotEmpty",
        )
    return SpeechToTextRequest(
        audio=form.files["file"].key,
        language=fields.language,
        prompt=fields.prompt,
        temperature=fields.temperature,
        **options,
    )


def _routed(
    request: Request, call: Call, work: SpeechToTextRequest, model: str | None, form: Form
) -> Work[SpeechToTextResult]:
    route = call.services.gateway.resolve(SPEECH_TO_TEXT.name, model, pin_of(form))
    note_call(request, SPEECH_TO_TEXT.name, route)
    return Work(SPEECH_TO_TEXT.name, pinned(work, form), route, form, call.wish)


async def _streamed(
    request: Request, call: Call, work: Work[SpeechToTextResult], uploads: AsyncExitStack
) -> StreamedResponse:
    events = server_sent_events(transcript_events(await call.stream(work)), request.scope)
    return StreamedResponse(events, EVENT_STREAM, uploads.pop_all())


def _answer(
    result: SpeechToTextResult,
    response_format: TranscriptFormat,
    granularities: frozenset[Granularity],
    *,
    translated: bool,
) -> Response:
    match response_format:
        case TranscriptFormat.TEXT:
            return PlainTextResponse(f"{result.text}\n")
        case TranscriptFormat.SRT:
            return PlainTextResponse(as_srt(result))
        case TranscriptFormat.VTT:
            return PlainTextResponse(as_vtt(result))
        case TranscriptFormat.VERBOSE_JSON:
            wanted = granularities or frozenset({Granularity.SEGMENT})
            body = as_verbose_json(result, wanted, translated=translated)
        case TranscriptFormat.JSON:
            body = {"text": result.text}
    return JSONResponse(body if translated else {**body, "usage": usage(result)})
