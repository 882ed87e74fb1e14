"""/api/generate: Ollama's completion of a prompt, by whichever model the name leads to.

After https://github.com/ollama/ollama/blob/main/docs/api.md#generate-a-completion. Unlike Ollama's own
server, and like AI Server, it streams only where `stream` is true.
"""

import json
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from deployments.dependencies import CallDep
from deployments.forms import read_json_object
from deployments.routers.aiserver.chat import QueueChatResponse, answer_queued, queued_fields
from deployments.routers.aiserver.ollama_shapes import OllamaAnswer, OllamaFields, chat_body, ollama_answer
from deployments.routers.aiserver.wire import bind
from deployments.routers.chat import Chat, read_chat
from deployments.routers.chat_documentation import (
    OLLAMA_ANSWERS,
    OLLAMA_BODY,
    QUEUE_ANSWERS,
    QUEUE_OLLAMA_BODY,
)
from deployments.streaming import StreamedResponse, told_error
from pipelines.tasks.chat import ChatEvent, UsageChunk

router = APIRouter(prefix="/api", tags=["AI Server"])

LINES = "application/x-ndjson"
_SAID = ("refId", "ref_id", "replyTo", "tag", "provider")


async def generate(request: Request, call: CallDep) -> Response:
    """Continue a prompt, as Ollama does; any model that chats can be asked."""
    body = await read_json_object(request)
    fields = bind(OllamaFields, body)
    chat = await _read(body, fields, call, request)
    model = fields.model or chat.work.route.id
    if chat.stream:
        answer = OllamaAnswer(model)
        return StreamedResponse(_lines(await call.stream(chat.work), answer, request.scope), LINES)
    served = await call.run(chat.work)
    return JSONResponse(ollama_answer(served.result.body(), model, served.duration_s))


async def queue_generation(request: Request, call: CallDep) -> JSONResponse:
    """Accept a request to generate; `GetOllamaGenerationStatus` tells how it goes."""
    body = queued_fields(await read_json_object(request))
    chat = await _read(body, bind(OllamaFields, body), call, request)
    return await answer_queued(chat, call, "GetOllamaGenerationStatus")


async def _read(body: dict[str, Any], fields: OllamaFields, call: CallDep, request: Request) -> Chat:
    said: dict[str, Any] = {name: body[name] for name in _SAID if name in body}
    return await read_chat({**said, **chat_body(fields)}, call, request)


async def _lines(
    events: AsyncGenerator[ChatEvent, None], answer: OllamaAnswer, scope: Any
) -> AsyncGenerator[bytes, None]:
    async with aclosing(events):
        try:
            async for event in events:
                answer.first = answer.first or time.perf_counter()
                if isinstance(event, UsageChunk):
                    answer.usage = event.usage
                    continue
                for choice in json.loads(event).get("choices") or ():
                    answer.finish = choice.get("finish_reason") or answer.finish
                    if text := (choice.get("delta") or {}).get("content"):
                        yield _line(answer.piece(text))
            yield _line(answer.end(""))
        except Exception as error:  # noqa: BLE001  # whatever it is, the client is told
            told = json.loads(told_error(scope, error))
            yield _line({"error": told["responseStatus"]["message"], **told})


def _line(value: dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode() + b"\n"


for _name in ("OllamaGeneration", "generate"):
    router.add_api_route(
        f"/{_name}",
        generate,
        methods=["POST"],
        operation_id=_name,
        summary="Continue a prompt, as Ollama does",
        openapi_extra=OLLAMA_BODY,
        responses=OLLAMA_ANSWERS,
    )
router.add_api_route(
    "/QueueOllamaGeneration",
    queue_generation,
    methods=["POST"],
    operation_id="QueueOllamaGeneration",
    summary="Continue a prompt: queued",
    response_model=QueueChatResponse,
    openapi_extra=QUEUE_OLLAMA_BODY,
    responses=QUEUE_ANSWERS,
)
