"""OpenAI's API, as https://platform.openai.com/docs/api-reference documents it."""

import json
from typing import Any

from tests.vendors.openai_media import MEDIA
from tests.vendors.server import Asked, Vendor, event_stream

_HEAD = {"id": "chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT", "created": 1741569952, "model": "gpt-5.4-2026-03-05"}
_USAGE = {
    "prompt_tokens": 19,
    "completion_tokens": 10,
    "total_tokens": 29,
    "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
    "completion_tokens_details": {
        "reasoning_tokens": 0,
        "audio_tokens": 0,
        "accepted_prediction_tokens": 0,
        "rejected_prediction_tokens": 0,
    },
}
_ERRORS = {
    400: (
        "Invalid value for 'temperature': expected at most 2.",
        "invalid_request_error",
        "temperature",
        None,
    ),
    401: ("Incorrect API key provided: sk-fake***1234.", "invalid_request_error", None, "invalid_api_key"),
    404: ("The model `gpt-9` does not exist.", "invalid_request_error", None, "model_not_found"),
    429: ("Rate limit reached for requests", "requests", None, "rate_limit_exceeded"),
    500: ("The server had an error while processing your request.", "server_error", None, None),
    503: ("That model is currently overloaded with other requests.", "server_error", None, None),
}


class OpenAiVendor(Vendor):
    """Says ``Hello! How can I help?``, or calls the first tool that it is given."""

    words: tuple[str, ...] = ("Hello", "! ", "How ", "can ", "I help? ", "✓")

    async def answer(self, asked: Asked) -> Any:
        if asked.path.endswith("/models"):
            names = ("gpt-5.4", "gpt-image-1", "text-embedding-3-small")
            models = [
                {"id": name, "object": "model", "created": 1686935002, "owned_by": "openai"} for name in names
            ]
            return json.dumps({"object": "list", "data": models}).encode()
        for ending, answer in MEDIA.items():
            if asked.path.endswith(ending):
                return answer(asked)
        body = asked.json
        return self._chunks(body) if body.get("stream") else self._completion(body)

    def error_body(self, status: int) -> bytes:
        message, kind, param, code = _ERRORS.get(status, _ERRORS[500])
        return json.dumps(
            {"error": {"message": message, "type": kind, "param": param, "code": code}}
        ).encode()

    def _completion(self, body: dict[str, Any]) -> bytes:
        message: dict[str, Any] = {"role": "assistant", "content": "".join(self.words), "refusal": None}
        finish = "stop"
        if tools := body.get("tools"):
            call = {"id": "call_1", "type": "function", "function": _call(tools)}
            message |= {"content": None, "tool_calls": [call]}
            finish = "tool_calls"
        choices = [
            {"index": index, "message": message, "logprobs": None, "finish_reason": finish}
            for index in range(body.get("n") or 1)
        ]
        completion = {**_HEAD, "object": "chat.completion", "choices": choices, "usage": _USAGE}
        return json.dumps({**completion, "service_tier": "default", "system_fingerprint": "fp_1"}).encode()

    def _chunks(self, body: dict[str, Any]) -> list[bytes]:
        deltas: list[dict[str, Any]] = [{"role": "assistant", "content": "", "refusal": None}]
        finish = "stop"
        if tools := body.get("tools"):
            function = _call(tools)
            half = len(function["arguments"]) // 2
            head = {"name": function["name"], "arguments": ""}
            deltas[0] |= {
                "content": None,
                "tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": head}],
            }
            for piece in (function["arguments"][:half], function["arguments"][half:]):
                deltas.append({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]})
            finish = "tool_calls"
        else:
            deltas += [{"content": word} for word in self.words]
        asks_usage = (body.get("stream_options") or {}).get("include_usage")
        nothing = {"usage": None} if asks_usage else {}
        chunks = [_chunk(delta, None) | nothing for delta in deltas]
        chunks.append(_chunk({}, finish) | nothing)
        if asks_usage:
            chunks.append({**_HEAD, "object": "chat.completion.chunk", "choices": [], "usage": _USAGE})
        return event_stream(": ping\n\n", *chunks, "[DONE]")


def _call(tools: list[dict[str, Any]]) -> dict[str, str]:
    return {"name": tools[0]["function"]["name"], "arguments": '{"city": "Zürich"}'}


def _chunk(delta: dict[str, Any], finish: str | None) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    return {**_HEAD, "object": "chat.completion.chunk", "system_fingerprint": "fp_1", "choices": [choice]}
