"""Chat with a server that speaks OpenAI's wire format: what it says is passed on as it is."""

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing

from pipelines.providers.http import ProviderHttp
from pipelines.providers.openai_wire import OpenAiApi, fault_of, status_of
from pipelines.providers.sse import ServerSentEvent
from pipelines.tasks.base import NO_USAGE, Workspace
from pipelines.tasks.chat import CHARACTERS_PER_TOKEN, ChatEvent, ChatRequest, ChatResult, UsageChunk
from pipelines.tasks.chat_shapes import json_bytes, usage_of


async def run(api: OpenAiApi, request: ChatRequest, workspace: Workspace) -> ChatResult:
    """Let the model say everything."""
    answer = await api.http.post("/chat/completions", {**request.body, "model": request.model})
    try:
        body = json.loads(answer)
        if error := body.get("error"):
            raise api.http.fault_error(fault_of(status_of(error), error))
        if not isinstance(body["choices"], list) or not body["choices"]:
            raise api.http.failed("answers without choices")
        completion = answer.decode()
        told = usage_of(body.get("usage"))
        usage = told if told != NO_USAGE else request.estimated_usage(len(completion) // CHARACTERS_PER_TOKEN)
        return ChatResult(completion=completion, tokens=usage)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise api.http.failed("answers with something else than a completion") from error


async def stream(
    api: OpenAiApi, request: ChatRequest, workspace: Workspace
) -> AsyncGenerator[ChatEvent, None]:
    """Yield the chunks, and the usage at the end."""
    options = request.body.get("stream_options") or {}
    usage = {"stream_options": {**options, "include_usage": True}} if api.options.asks_for_usage else {}
    body = {**request.body, "model": request.model, "stream": True, **usage}
    is_done = False
    async with aclosing(api.http.events("/chat/completions", body, is_last=_is_done)) as events:
        async for event in events:
            if is_done := _is_done(event):
                continue  # to the end, so that the connection is used again
            for chunk in _read_chunk(api.http, event.data):
                yield chunk
    if not is_done:
        raise api.http.failed("broke off in the middle of its answer")


def _is_done(event: ServerSentEvent) -> bool:
    return event.data == b"[DONE]"


def _read_chunk(http: ProviderHttp, data: bytes) -> tuple[ChatEvent, ...]:
    # Looking for words is a hundred times cheaper than reading the JSON of every chunk.
    if b'"usage":{' in data or b'"usage": {' in data or b'"error"' in data or data[:1] != b"{":
        return _read_special_chunk(http, data)
    return (data,)


def _read_special_chunk(http: ProviderHttp, data: bytes) -> tuple[ChatEvent, ...]:
    try:
        chunk = json.loads(data)
        choices, usage, error = chunk.get("choices"), chunk.get("usage"), chunk.get("error")
    except (ValueError, AttributeError, RecursionError) as fault:
        raise http.failed("sends a chunk that is no JSON object") from fault
    if error:  # also beside a choice, as OpenRouter ends a stream that broke off
        raise http.fault_error(fault_of(status_of(error), error))
    if not isinstance(usage, dict):
        return (data,)
    if not choices:
        return (UsageChunk(data, usage_of(usage)),)
    # Mistral and others tell the usage with the last words.
    return data, UsageChunk(json_bytes({**chunk, "choices": []}), usage_of(usage))
