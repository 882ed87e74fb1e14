"""What the routes of chat share: from a body in any spelling to work, and from its events to a stream."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from deployments.calls import Call, Work
from deployments.chat_fields import check_chat
from deployments.chat_spelling import as_openai_spells
from deployments.errors import BadRequest
from deployments.forms import JSON_TYPE
from deployments.middleware.access_log import note_call
from deployments.routers.aiserver.wire import JobFields, bind
from deployments.routers.aiserver.wishes import wish_of
from deployments.streaming import EVENT_STREAM, StreamedResponse, data_line, told_error
from pipelines.tasks.chat import CHAT, ChatEvent, ChatRequest, ChatResult, UsageChunk

_OURS = ("ref_id", "tag", "reply_to")
_SCHEMAS = {"tools", "response_format"}
"""Fields that hold JSON Schemas."""
_DONE = data_line(b"[DONE]")


@dataclass(frozen=True)
class Chat:
    """A request to chat, checked."""

    work: Work[ChatResult]
    stream: bool
    include_usage: bool
    """Whether the stream shall end with the usage."""


async def read_chat(fields: dict[str, Any], call: Call, request: Request) -> Chat:
    """Read a body.

    Raises:
        BadRequest: names the field and the fix.
        ModelNotFound: there is no such model; lists what there is.
    """
    body = as_openai_spells(fields)
    if body.keys() & _SCHEMAS:
        await asyncio.to_thread(check_chat, body)  # a schema may take a while
    else:
        check_chat(body)
    ours = {name: body.pop(name) for name in _OURS if name in body}
    wish = await wish_of(call, bind(JobFields, ours)) if ours else call.wish
    pin = _pin(body)
    route = call.services.gateway.resolve(CHAT.name, body.pop("model", None), pin)
    note_call(request, CHAT.name, route)
    stream, options = bool(body.pop("stream", None)), body.get("stream_options") or {}
    body = await call.services.chat_images.prepared(body, inline=not route.fetches_images)
    work = Work(CHAT.name, ChatRequest(body=body, provider=pin or None), route, wish=wish)
    return Chat(work, stream, bool(options.get("include_usage")))


def _pin(body: dict[str, Any]) -> str | None:
    """Take the name of a provider out of a body; an object of that name is OpenRouter's, and stays."""
    pin = body.get("provider")
    if pin is not None and not isinstance(pin, str | dict):
        raise BadRequest(f"'provider' must be the name of one. Received: {pin!r:.100}", "provider")
    return body.pop("provider") if isinstance(pin, str) else None


async def answer_chat(chat: Chat, call: Call, request: Request) -> Response:
    """Do what was asked, and answer as it was asked for: whole, or while it is said."""
    if chat.stream:
        events = await call.stream(chat.work)
        told = chat_stream(events, request.scope, include_usage=chat.include_usage)
        return StreamedResponse(told, EVENT_STREAM)
    served = await call.run(chat.work)
    return Response(served.result.completion, media_type=JSON_TYPE)


async def chat_stream(
    events: AsyncGenerator[ChatEvent, None], scope: Scope, *, include_usage: bool
) -> AsyncGenerator[bytes, None]:
    """Encode the chunks as OpenAI does; an error in the middle is the last event, without an end mark."""
    async with aclosing(events):
        try:
            async for event in events:
                if not isinstance(event, UsageChunk):
                    yield data_line(event)
                elif include_usage:
                    yield data_line(event.data)
            yield _DONE
        except Exception as error:  # noqa: BLE001  # whatever it is, the client is told
            yield data_line(told_error(scope, error))
