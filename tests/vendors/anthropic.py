"""Anthropic's messages and models, as https://platform.claude.com/docs/en/api/messages documents them.

What it is sent is checked as strictly as Anthropic does, and answered with its 400.
"""

import json
import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

from aiohttp import web

from tests.vendors.anthropic_rules import complaints
from tests.vendors.server import Asked, Vendor, event_stream

KEY = "sk-ant-api03-fake"
MODELS = ("claude-opus-5-5", "claude-sonnet-5-5", "claude-haiku-4-5-20251001")
USAGE = {
    "input_tokens": 19,
    "cache_creation_input_tokens": 100,
    "cache_read_input_tokens": 1000,
    "output_tokens": 10,
    "output_tokens_details": {"thinking_tokens": 4},
    "service_tier": "standard",
}
_HEAD = {"id": "msg_013Zva2CMHLNnXjNJJKqJ2EF", "type": "message", "role": "assistant"}
_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}


class AnthropicVendor(Vendor):
    """Says ``Hello! How can I help? ✓``, calls every tool that it is given, or says what it is told to."""

    words = ("Hello", "! ", "How ", "can ", "I help? ", "✓")

    def __init__(self) -> None:
        super().__init__()
        self.content: list[dict[str, Any]] | None = None
        self.stop_reason = "end_turn"
        self.stop_details: dict[str, str] | None = None
        self.error_in_stream: str | None = None
        """The type of an error event that comes instead of the answer's end."""

    async def answer(self, asked: Asked) -> Any:
        if asked.headers.get("anthropic-version") != "2023-06-01" or asked.headers.get("x-api-key") != KEY:
            return web.Response(body=self.error_body(401), status=401, content_type="application/json")
        if asked.path.startswith("/v1/models"):
            return self._models(asked.path)
        body = asked.json
        if asked.path != "/v1/messages" or (complaint := next(complaints(body), "")):
            status = 404 if asked.path != "/v1/messages" else 400
            text = self._error(_TYPES[status], complaint if status == 400 else "Not found")
            return web.Response(body=text, status=status, content_type="application/json")
        return self._events(body) if body.get("stream") else json.dumps(self._message(body)).encode()

    def error_body(self, status: int) -> bytes:
        return self._error(_TYPES.get(status, "api_error"), f"{KEY} had a bad day")

    def _error(self, kind: str, message: str) -> bytes:
        error = {"type": kind, "message": message}
        return json.dumps({"type": "error", "error": error, "request_id": "req_011CSHoEeqs5"}).encode()

    def _models(self, path: str) -> bytes:
        """List two models a page, whatever the limit says."""
        after = parse_qs(urlsplit(path).query).get("after_id", [""])[0]
        first = MODELS.index(after) + 1 if after else 0
        page = MODELS[first : first + 2]
        data = [
            {
                "id": name,
                "type": "model",
                "display_name": name.title(),
                "created_at": "2026-02-19T00:00:00Z",
                "lifecycle": "active",
            }
            for name in page
        ]
        more = first + 2 < len(MODELS)
        return json.dumps({"data": data, "has_more": more, "first_id": page[0], "last_id": page[-1]}).encode()

    def _message(self, body: dict[str, Any]) -> dict[str, Any]:
        content, reason = self.content, self.stop_reason
        if content is None and body.get("tools") and body.get("tool_choice") != {"type": "none"}:
            inputs: tuple[dict[str, Any], ...] = (
                {"city": "Zürich"},
                {},
                {"deep": {"list": [1, None, "\u2028"]}},
            )
            content = [
                {"type": "tool_use", "id": f"toolu_{place}", "name": tool["name"], "input": inputs[place % 3]}
                for place, tool in enumerate(body["tools"])
            ]
            reason = "tool_use"
        return {
            **_HEAD,
            "model": f"{body['model']}-20261101",
            "content": [{"type": "text", "text": "".join(self.words)}] if content is None else content,
            "stop_reason": reason,
            "stop_sequence": None,
            "stop_details": self.stop_details,
            "usage": USAGE,
        }

    def _events(self, body: dict[str, Any]) -> list[bytes]:
        message = self._message(body)
        beginning = message | {
            "content": [],
            "stop_reason": None,
            "stop_details": None,
            "usage": USAGE | {"output_tokens": 1, "output_tokens_details": None},
        }
        events: list[dict[str, Any]] = [{"type": "message_start", "message": beginning}, {"type": "ping"}]
        for index, block in enumerate(message["content"]):
            start, deltas = _split(block)
            events.append({"type": "content_block_start", "index": index, "content_block": start})
            events += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
            events.append({"type": "content_block_stop", "index": index})
        if self.error_in_stream:
            error = {"type": self.error_in_stream, "message": "Overloaded"}
            return event_stream(*events, {"type": "error", "error": error}, names=True)
        delta = {
            "stop_reason": message["stop_reason"],
            "stop_sequence": None,
            "stop_details": self.stop_details,
        }
        usage = {"output_tokens": 10, "output_tokens_details": {"thinking_tokens": 4}}
        events.append({"type": "message_delta", "delta": delta, "usage": usage})
        return event_stream(*events, {"type": "of_the_future"}, {"type": "message_stop"}, names=True)


def _split(block: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Cut a block into its start and deltas, in the middle of words and of JSON."""
    match block["type"]:
        case "text":
            pieces = re.findall(r".{1,5}", block["text"], re.DOTALL)
            return block | {"text": ""}, [{"type": "text_delta", "text": piece} for piece in pieces]
        case "tool_use":
            # Nothing at all comes for an empty object.
            text = json.dumps(block["input"], ensure_ascii=False) if block["input"] else ""
            pieces = ["", *re.findall(r".{1,7}", text, re.DOTALL)]
            return block | {"input": {}}, [
                {"type": "input_json_delta", "partial_json": piece} for piece in pieces
            ]
        case "thinking":
            pieces = re.findall(r".{1,5}", block["thinking"], re.DOTALL)
            deltas = [{"type": "thinking_delta", "thinking": piece} for piece in pieces]
            deltas.append({"type": "signature_delta", "signature": block["signature"]})
            return block | {"thinking": "", "signature": ""}, deltas
    return block, []
