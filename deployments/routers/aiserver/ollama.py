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
from deployments.error_bodies import error_response
from deployments.error_log import log_error
from deployments.errors import problem_of
from deployments.forms import read_json_object
from deployments.routers.aiserver.chat import QueueChatFields, QueueChatResponse
from deployments.routers.aiserver.ollama_shapes import OllamaAnswer, OllamaFields, chat_body
from deployments.routers.aiserver.wire import bind
from deployments.routers.chat import Chat, read_chat
from deployments.routers.chat_documentation import (
    OLLAMA_ANSWERS,
    OLLAMA_BODY,
    QUEUE_ANSWERS,
    QUEUE_OLLAMA_BODY,
)
from deployments.streaming import StreamedResponse
from pipelines.tasks.chat import ChatEvent, UsageChunk

router = APIRouter(prefix="/api", tags=["AI Server"])

LINES = "application/x-ndjson"
_SAID = ("refId", "ref_id", "replyTo", "tag", "provider")


async def generate(request: Request, call: CallDep) -> Response:
    """Continue a prompt, as Ollama does; any model that chats can be asked."""
    body = await read_json_object(request)
    chat = await _read(body, call, request)
    answer = OllamaAnswer(bind(OllamaFields, body).model or chat.work.route.id)
    if chat.stream:
        return StreamedResponse(_lines(await call.stream(chat.work), answer, request.scope), LINES)
    served = await call.run(chat.work)
    choice = served.result.body()["choices"][0]
    answer.finish, answer.usage = choice.get("finish_reason") or "stop", served.result.usage
    return JSONResponse(answer.end(choice["message"].get("content") or ""))


async def queue_generation(request: Request, call: CallDep) -> JSONResponse:
    """Accept a request to generate; `GetOllamaGenerationStatus` tells how it goes."""
    body = await read_json_object(request)
    fields = bind(QueueChatFields, body)
    said = {name: value for name, value in body.items() if name not in ("request", "Request")}
    chat = await _read({**fields.request, **said, "stream": False}, call, request)
    (submitted,) = await call.submit([chat.work])
    ticket = call.ticket(chat.work.task, submitted)
    ticket["statusUrl"] = f"{call.base_url}/api/GetOllamaGenerationStatus?jobId={submitted.id}"
    answer = QueueChatResponse(id=submitted.id, **ticket)
    return JSONResponse(answer.model_dump(mode="json", by_alias=True))


async def _read(body: dict[str, Any], call: CallDep, request: Request) -> Chat:
    fields = bind(OllamaFields, body)
    said: dict[str, Any] = {
        name: body[name] for name in ("refId", "ref_id", "replyTo", "tag", "provider") if name in body
    }
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
            log_error(scope, error)
            told = json.loads(bytes(error_response(scope, problem_of(error)).body))
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
