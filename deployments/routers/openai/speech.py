"""/v1/audio/speech: text to speech in OpenAI's wire format, sent while it is spoken."""

from enum import StrEnum
from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, BeforeValidator, ConfigDict

from deployments.calls import Work
from deployments.dependencies import CallDep
from deployments.errors import BadRequest, ModelNotFound
from deployments.fields import field_names
from deployments.forms import read_form
from deployments.gateway import Gateway, Route
from deployments.middleware.access_log import note_call
from deployments.routers.openai.documentation import SPEECH_ROUTE
from deployments.routers.openai.events import audible, speech_events
from deployments.routers.openai.fields import given
from deployments.routers.openai.routing import find_model, pin_of, pinned
from deployments.streaming import EVENT_STREAM, StreamedResponse, server_sent_events
from pipelines.audio import AudioFormat
from pipelines.tasks.text_to_speech import TEXT_TO_SPEECH, TextToSpeechRequest

router = APIRouter(prefix="/v1/audio", tags=["OpenAI"])

_TASK = TEXT_TO_SPEECH.name
_WIRE_NAMES = {"text": "input"}
_OPENAI_MODELS = ("tts-1", "gpt-4o-mini-tts")
"""How the names of OpenAI's own models begin."""


class StreamFormat(StrEnum):
    """How the audio travels."""

    AUDIO = "audio"
    SSE = "sse"


def _voice_id(value: Any) -> Any:
    return value.get("id") if isinstance(value, dict) else value


class SpeechFields(BaseModel):
    """The fields of a request to speak; `instructions` and others that OpenAI has are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    input: str = ""
    model: str | None = None
    voice: Annotated[str | None, BeforeValidator(_voice_id)] = None
    response_format: AudioFormat = AudioFormat.MP3
    speed: float = 1.0
    stream_format: StreamFormat = StreamFormat.AUDIO
    speaker: str | None = None
    """Ours, for voices with several speakers."""


@router.post("/speech", summary="Speak a text", openapi_extra=SPEECH_ROUTE, response_class=Response)
async def speak(request: Request, call: CallDep) -> StreamedResponse:
    """Speak a text; the audio begins to arrive when the first sentence is spoken.

    `voice` chooses who speaks: the id or an alias of a configured voice, OpenAI's names (`alloy`,
    `nova`, ...) among them. `model` chooses where `voice` is left out. `instructions` is accepted
    and ignored. A stream that breaks off in the middle was cut by an error; with
    `stream_format=sse` an `error` event tells it.
    """
    async with read_form(request, call.services, call.info.owner) as form:
        with field_names(_WIRE_NAMES):
            fields = SpeechFields.model_validate(given(form.fields))
            route = find_voice(call.services.gateway, fields.model, fields.voice, pin_of(form))
            work = TextToSpeechRequest(
                text=fields.input.strip(),
                speed=fields.speed,
                speaker=fields.speaker or (None if route.upstream is None else fields.voice),
                response_format=fields.response_format,
            )
            note_call(request, _TASK, route)
            spoken = audible(await call.stream(Work(_TASK, pinned(work, form), route, form, call.wish)))
    if fields.stream_format == StreamFormat.SSE:
        return StreamedResponse(server_sent_events(speech_events(spoken), request.scope), EVENT_STREAM)
    return StreamedResponse(spoken, fields.response_format.media_type)


def find_voice(gateway: Gateway, model: str | None, voice: str | None, pin: str | None = None) -> Route:
    """Find who speaks.

    OpenAI tells a model from its voices; here each voice is a model. `voice` decides wherever it
    is given, unless `model` is a provider's, whose voice it is then; else `model`, if it names a voice;
    else the default speaks. A `model` that is neither OpenAI's nor configured is refused in every case,
    because it is a slip.

    Raises:
        ModelNotFound: there is no such model.
        BadRequest: there is no such voice; the message lists those that there are.
    """
    by_model = find_model(gateway, _TASK, model, _OPENAI_MODELS, pin)
    if not voice or by_model.upstream is not None:
        return by_model
    try:
        return gateway.resolve(_TASK, voice)
    except ModelNotFound as error:
        names = (name for route in gateway.routes if _TASK in route.tasks for name in route.names)
        raise BadRequest(f"Voice {voice} not found. Available: {', '.join(names)}", "voice") from error
