"""Chat in AI Server's words: queued, waited for, and straight to one provider."""

import json
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import Field

from cluster.jobs.job import Job
from deployments.calls import Call
from deployments.dependencies import CallDep
from deployments.errors import BadRequest
from deployments.forms import read_form, read_json_object
from deployments.routers.aiserver.job_outputs import fault_of, outputs_of
from deployments.routers.aiserver.job_status import find_job
from deployments.routers.aiserver.responses import Answer
from deployments.routers.aiserver.wire import StoredText, Wire, bind
from deployments.routers.chat import Chat, answer_chat, read_chat
from deployments.routers.chat_documentation import (
    CHAT_ANSWERS,
    JOB_ANSWERS,
    PROVIDER_BODY,
    QUEUE_ANSWERS,
    QUEUE_BODY,
)
from deployments.routers.documentation import query_parameters
from deployments.routers.job_views import date_of
from deployments.works import request_of
from pipelines.tasks.chat import CHAT

router = APIRouter(prefix="/api", tags=["AI Server"])

WAIT_S = 120.0
"""As AI Server has it; longer than most proxies, so a client should be ready to ask again."""
_OF_STREAMS = ("stream_options", "streamOptions")
"""Fields that mean nothing where nothing is streamed."""
PROMPT_TOKENS = 512
"""What AI Server lets a bare prompt be answered with."""


class QueueChatFields(Wire):
    """A request to chat, and what is said of its job."""

    request: dict[str, Any] = Field(description="As `/v1/chat/completions` takes it")
    provider: str | None = None


class ChatAiProviderFields(Wire):
    """A request for one provider."""

    provider: str | None = None
    model: str | None = None
    request: dict[str, Any] | None = None
    prompt: str | None = None


class QueueChatResponse(Answer):
    """A job was queued; AI Server itself calls its number `id`."""

    id: int
    job_id: int
    ref_id: str
    job_state: str
    status: str
    status_url: str


def queued_fields(body: Mapping[str, Any]) -> dict[str, Any]:
    """Give the request that shall be queued, with what is said of its job beside it.

    Raises:
        BadRequest: there is none.
    """
    asked = bind(QueueChatFields, body).request
    said = {name: value for name, value in body.items() if name not in ("request", "Request")}
    whole = {name: value for name, value in asked.items() if name not in _OF_STREAMS}
    return {**whole, **said, "stream": False}


async def answer_queued(chat: Chat, call: Call, operation: str) -> JSONResponse:
    """Queue a chat; `operation` is what tells how it goes."""
    (submitted,) = await call.submit([chat.work])
    answer = QueueChatResponse(id=submitted.id, **call.ticket(chat.work.task, submitted, operation))
    return JSONResponse(answer.model_dump(mode="json", by_alias=True))


class WhichChat(Wire):
    """Which job."""

    id: int | None = Field(default=None, description="The server's id of the job")
    ref_id: StoredText = Field(default=None, description="Your own id of the job; wins over `id`")


_WHICH_CHAT = query_parameters(WhichChat.model_json_schema(by_alias=True))


@router.post(
    "/QueueOpenAiChatCompletion",
    operation_id="QueueOpenAiChatCompletion",
    summary="Chat: queued",
    response_model=QueueChatResponse,
    openapi_extra=QUEUE_BODY,
    responses=QUEUE_ANSWERS,
)
async def queue_chat(request: Request, call: CallDep) -> JSONResponse:
    """Accept a request to chat; `GetOpenAiChatStatus` tells how it goes, `WaitForOpenAiChat` waits for it."""
    chat = await read_chat(queued_fields(await read_json_object(request)), call, request)
    return await answer_queued(chat, call, "GetOpenAiChatStatus")


@router.post(
    "/ChatAiProvider",
    operation_id="ChatAiProvider",
    summary="Chat with one provider",
    openapi_extra=PROVIDER_BODY,
    responses=CHAT_ANSWERS,
)
async def chat_with_provider(request: Request, call: CallDep) -> Response:
    """Chat with the provider that is named, and nobody else; a `prompt` alone will do as a request."""
    fields = bind(ChatAiProviderFields, await read_json_object(request))
    if fields.request is None and not fields.prompt:
        raise BadRequest("'Request' must not be empty. Send 'request', or a 'prompt'.", "request", "NotEmpty")
    asked = fields.request or {
        "messages": [{"role": "user", "content": fields.prompt}],
        "max_tokens": PROMPT_TOKENS,
    }
    chosen = {name: value for name in ("provider", "model") if (value := getattr(fields, name))}
    return await answer_chat(await read_chat({**asked, **chosen}, call, request), call, request)


@router.get(
    "/GetOpenAiChat",
    operation_id="GetOpenAiChat",
    summary="A chat's job",
    openapi_extra=_WHICH_CHAT,
    responses=JOB_ANSWERS,
)
async def get_chat(request: Request, call: CallDep) -> JSONResponse:
    """Show the job of a chat, with what was asked and answered."""
    return _shown(await _found(request, call))


@router.get(
    "/WaitForOpenAiChat",
    operation_id="WaitForOpenAiChat",
    summary="Wait for a chat's job",
    openapi_extra=_WHICH_CHAT,
    responses=JOB_ANSWERS,
)
async def wait_for_chat(request: Request, call: CallDep) -> JSONResponse:
    """Show the job of a chat when it has ended; after 120 s as it is then."""
    job = await _found(request, call)
    return _shown(await call.services.jobs.wait(job, WAIT_S))


async def _found(request: Request, call: Call) -> Job:
    async with read_form(request, call.services, call.owner) as form:
        which = bind(WhichChat, form.fields)
    return await find_job(call, which.id, which.ref_id, "id")


def _shown(job: Job) -> JSONResponse:
    """Write a job as AI Server's job rows are written, as far as there is such a thing here."""
    outputs: Any = outputs_of(job, str)
    asked: Any = request_of(job.task, job.request) if job.task == CHAT.name else None
    fault = fault_of(job)
    row = {
        "id": job.id,
        "refId": job.ref_id,
        "tag": job.tag,
        "worker": job.model,
        "requestType": "API",
        "command": "QueueOpenAiChatCompletion",
        "request": "OpenAiChatCompletion",
        "requestBody": json.dumps(asked.body, ensure_ascii=False) if asked else None,
        "response": "OpenAiChatResponse" if outputs else None,
        "responseBody": outputs.text if outputs else None,
        "state": job.state.value,
        "status": job.step or None,
        "createdDate": date_of(job.created_at),
        "startedDate": date_of(job.started_at),
        "completedDate": date_of(job.finished_at),
        "attempts": job.attempts,
        "durationMs": round((job.duration_s or 0.0) * 1000),
        "progress": job.progress,
        "replyTo": job.reply_to,
        "errorCode": fault["errorCode"] if fault else None,
        "error": fault,
    }
    shown = {name: value for name, value in row.items() if value is not None}
    return JSONResponse({"result": shown})
