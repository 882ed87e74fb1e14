"""Chat with a server that speaks OpenAI's wire format: what it says is passed on as it is."""

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing

from pipelines.providers.http import ProviderHttp
from pipelines.providers.openai_wire import OpenAiApi, fault_of, status_of
from pipelines.tasks.base import Workspace
from pipelines.tasks.chat import ChatEvent, ChatRequest, ChatResult, UsageChunk
from pipelines.tasks.chat_shapes import usage_of

_DONE = b"[DONE]"


async def run(api: OpenAiApi, request: ChatRequest, workspace: Workspace) -> ChatResult:
    """Let the model say everything."""
    answer = await api.http.post("/chat/completions", {**request.body, "model": request.model})
    try:
        body = json.loads(answer)
        if body.get("choices") is None and (error := body.get("error")):
            raise api.http.fault_error(fault_of(status_of(error), error))
        usage = usage_of(body.get("usage"))
        if not isinstance(body["choices"], list):
            raise api.http.failed("answers without choices")
        return ChatResult(completion=answer.decode(), tokens=usage)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise api.http.failed("answers with something else than a completion") from error


async def stream(
    api: OpenAiApi, request: ChatRequest, workspace: Workspace
) -> AsyncGenerator[ChatEvent, None]:
    """Yield the chunks, and the usage at the end."""
    options = request.body.get("stream_options") or {}
    usage = {"stream_options": {**options, "include_usage": True}} if api.options.asks_for_usage else {}
    body = {**request.body, "model": request.model, "stream": True, **usage}
    async with aclosing(api.http.events("/chat/completions", body)) as events:
        async for event in events:
            if event.data == _DONE:
                return
            if chunk := _read_chunk(api.http, event.data):
                yield chunk
    raise api.http.failed("broke off in the middle of its answer")


def _read_chunk(http: ProviderHttp, data: bytes) -> ChatEvent | None:
    # Looking for words is a hundred times cheaper than reading the JSON of every chunk.
    if b'"usage":{' in data or b'"usage": {' in data or b'"error"' in data or data[:1] != b"{":
        return _read_special_chunk(http, data)
    return data


def _read_special_chunk(http: ProviderHttp, data: bytes) -> ChatEvent | None:
    try:
        chunk = json.loads(data)
        choices, usage, error = chunk.get("choices"), chunk.get("usage"), chunk.get("error")
    except (ValueError, AttributeError) as fault:
        raise http.failed("sends a chunk that is no JSON object") from fault
    if error and not choices:
        raise http.fault_error(fault_of(status_of(error), error))
    if usage and not choices:
        return UsageChunk(data, usage_of(usage))
    return data
