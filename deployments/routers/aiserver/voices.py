"""The voices, as AI Server lists them; public there, so public here."""

from fastapi import APIRouter

from deployments.dependencies import ServicesDep
from deployments.routers.aiserver.responses import Answer
from pipelines.tasks.text_to_speech import TEXT_TO_SPEECH

router = APIRouter(prefix="/api", tags=["AI Server"])


class Voice(Answer):
    """A name that TextToSpeech takes, and the model that then speaks."""

    id: str
    model: str


class VoicesResponse(Answer):
    """All voices, the default one first."""

    results: tuple[Voice, ...]


@router.get(
    "/QueryTextToSpeechVoices",
    operation_id="QueryTextToSpeechVoices",
    summary="List the voices",
    responses={
        200: {"content": {"application/json": {"example": {"results": [{"id": "alloy", "model": "hibari"}]}}}}
    },
)
async def query_text_to_speech_voices(services: ServicesDep) -> VoicesResponse:
    """List every id and alias under which a voice can be asked for.

    ```sh
    curl http://127.0.0.1:8000/api/QueryTextToSpeechVoices
    ```
    """
    speaking = (route for route in services.gateway.routes if TEXT_TO_SPEECH.name in route.tasks)
    return VoicesResponse(
        results=tuple(Voice(id=name, model=route.id) for route in speaking for name in route.names)
    )
