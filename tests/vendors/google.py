"""Google's Gemini API, as https://ai.google.dev/api documents it.

What it is sent is checked as strictly as Google does, and answered with its 400.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from aiohttp import web

from tests.vendors.server import Asked, Vendor, event_stream

KEY = "AIzaSy-fake"
MODELS = {
    "models/gemini-3.5-flash": ["generateContent", "countTokens", "createCachedContent"],
    "models/gemini-embedding-001": ["embedContent", "countTextTokens"],
    "models/imagen-4.0": ["predict"],
}
USAGE = {
    "promptTokenCount": 19,
    "candidatesTokenCount": 6,
    "thoughtsTokenCount": 4,
    "cachedContentTokenCount": 5,
    "totalTokenCount": 29,
}
_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_FIELDS = {"contents", "systemInstruction", "tools", "toolConfig", "generationConfig"}
_GENERATION_FIELDS: dict[str, Any] = {
    "temperature": (int, float),
    "topP": (int, float),
    "presencePenalty": (int, float),
    "frequencyPenalty": (int, float),
    "candidateCount": int,
    "seed": int,
    "maxOutputTokens": int,
    "stopSequences": list,
    "responseMimeType": str,
    "responseJsonSchema": dict,
    "responseLogprobs": bool,
    "logprobs": int,
    "thinkingConfig": dict,
}
_PATH = re.compile(
    r"/v1beta/(models/[\w.-]+):(generateContent|streamGenerateContent\?alt=sse|batchEmbedContents)"
)


class GoogleVendor(Vendor):
    """Says ``Hello! How can I help? ✓``, calls every tool that it is given, or says what it is told to."""

    words = ("Hello", "! ", "How ", "can ", "I help? ", "✓")

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[dict[str, Any]] | None = None
        self.finish_reason: str | None = "STOP"
        self.block_reason: str | None = None
        self.error_in_stream: int | None = None
        self.logprobs: dict[str, Any] | None = None

    async def answer(self, asked: Asked) -> Any:
        if asked.headers.get("x-goog-api-key") != KEY:
            return _refusal(400, "API key not valid. Please pass a valid API key.", "API_KEY_INVALID")
        if asked.path.startswith("/v1beta/models?"):
            return self._models(asked.path)
        match = _PATH.fullmatch(asked.path)
        if match is None:
            return _refusal(404, "Not found")
        model, method = match[1], match[2]
        if method == "batchEmbedContents":
            return self._embed(asked.json, model)
        if complaint := next(_complaints(asked.json, model), ""):
            return _refusal(400, complaint)
        if method == "generateContent":
            return json.dumps(self._whole(asked.json, model)).encode()
        return self._stream_of(asked.json, model)

    def error_body(self, status: int) -> bytes:
        error = {
            "code": status,
            "message": f"{KEY} had a bad day",
            "status": _STATUSES.get(status, "UNKNOWN"),
        }
        details: list[dict[str, Any]] = [{"@type": "type.googleapis.com/google.rpc.Help", "links": []}]
        if status == 429:
            details.append({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.5s"})
        return json.dumps({"error": error | {"details": details}}).encode()

    def _models(self, path: str) -> bytes:
        """List one model a page, whatever the size says."""
        token = int(parse_qs(urlsplit(path).query).get("pageToken", ["0"])[0].removeprefix("page +"))
        names = list(MODELS)
        listed = {"name": names[token], "supportedGenerationMethods": MODELS[names[token]]}
        more = {"nextPageToken": f"page +{token + 1}"} if token + 1 < len(names) else {}
        return json.dumps({"models": [listed], **more}).encode()

    def _embed(self, body: dict[str, Any], model: str) -> Any:
        asked = body["requests"]
        if not 1 <= len(asked) <= 100 or any(one["model"] != model for one in asked):
            return _refusal(
                400, "* BatchEmbedContentsRequest.requests: at most 100 requests can be in one batch"
            )
        vectors = []
        for one in asked:
            (part,) = one["content"]["parts"]
            values = [float(len(part["text"])), 4.0, 0.0, 1.0][: one.get("outputDimensionality", 4)]
            vectors.append({"values": values})
        return json.dumps({"embeddings": vectors, "usageMetadata": {"promptTokenCount": 3}}).encode()

    def _parts_for(self, body: dict[str, Any]) -> list[dict[str, Any]]:
        if self.parts is not None:
            return self.parts
        mode = body.get("toolConfig", {}).get("functionCallingConfig", {}).get("mode")
        if not body.get("tools") or mode == "NONE":
            return [{"text": word} for word in self.words]
        arguments: tuple[dict[str, Any], ...] = (
            {"city": "Zürich"},
            {},
            {"deep": {"list": [1, None, "\u2028"]}},
        )
        parts: list[dict[str, Any]] = []
        for place, tool in enumerate(body["tools"][0]["functionDeclarations"]):
            call = {"name": tool["name"], "args": arguments[place % 3]}
            if not call["args"]:
                del call["args"]
            parts.append({"functionCall": call})
        parts[0] |= {"thoughtSignature": "c2lnbmVk"}
        return parts

    def _whole(self, body: dict[str, Any], model: str) -> dict[str, Any]:
        head = {"usageMetadata": USAGE, "modelVersion": model.removeprefix("models/"), "responseId": "r-1"}
        if self.block_reason:
            return {"promptFeedback": {"blockReason": self.block_reason}, **head}
        candidates = []
        for index in range(body.get("generationConfig", {}).get("candidateCount", 1)):
            candidate: dict[str, Any] = {"content": {"role": "model", "parts": self._parts_for(body)}}
            if index:
                candidate["index"] = index  # proto3 leaves zeros out
            if self.finish_reason:
                candidate["finishReason"] = self.finish_reason
            if self.logprobs:
                candidate["logprobsResult"] = self.logprobs
            candidates.append(candidate)
        return {"candidates": candidates, **head}

    def _stream_of(self, body: dict[str, Any], model: str) -> list[bytes]:
        events = list(self._chunks(self._whole(body, model)))
        if self.error_in_stream:
            events = [events[0], json.loads(self.error_body(self.error_in_stream))]
        # Google ends its lines with CR LF.
        return [event.replace(b"\n", b"\r\n") for event in event_stream(*events)]

    def _chunks(self, whole: dict[str, Any]) -> Iterator[Mapping[str, Any]]:
        """Cut an answer into one part a chunk; the end comes with an empty content."""
        head = {name: whole[name] for name in ("modelVersion", "responseId")}
        head["usageMetadata"] = {"promptTokenCount": 19, "totalTokenCount": 19}
        for candidate in whole.get("candidates", ()):
            for part in candidate["content"]["parts"]:
                content = {"role": "model", "parts": [part]}
                yield {"candidates": [{"content": content, "index": candidate.get("index", 0)}], **head}
        ends = [candidate | {"content": {"role": "model"}} for candidate in whole.get("candidates", ())]
        yield whole | ({"candidates": ends} if ends else {})


def _refusal(status: int, message: str, reason: str | None = None) -> web.Response:
    error: dict[str, Any] = {"code": status, "message": message, "status": _STATUSES[status]}
    if reason:
        error["details"] = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason}]
    return web.json_response({"error": error}, status=status)


def _complaints(body: dict[str, Any], model: str) -> Iterator[str]:
    """Say what is wrong with a request."""
    for unknown in body.keys() - _FIELDS:
        yield f'Invalid JSON payload received. Unknown name "{unknown}": Cannot find field.'
    for name, value in body.get("generationConfig", {}).items():
        if name not in _GENERATION_FIELDS or not isinstance(value, _GENERATION_FIELDS[name]):
            yield f'Invalid JSON payload received. Unknown name "{name}" at "generation_config".'
    system = body.get("systemInstruction", {"parts": [{"text": "x"}]})
    if not system["parts"] or not all(part["text"] for part in system["parts"]):
        yield "systemInstruction: must not be empty"
    if not body.get("contents"):
        yield "* GenerateContentRequest.contents: contents is not specified"
    for tool in body.get("tools", ()):
        yield from _tool_complaints(tool)
    yield from _thinking_complaints(body, model)
    yield from _contents_complaints(body["contents"], model)


def _tool_complaints(tool: dict[str, Any]) -> Iterator[str]:
    for declaration in tool["functionDeclarations"]:
        if not declaration.keys() <= {"name", "description", "parametersJsonSchema"}:
            yield "Unknown name at tools[0].function_declarations[0]: Cannot find field."


def _thinking_complaints(body: dict[str, Any], model: str) -> Iterator[str]:
    thinking = body.get("generationConfig", {}).get("thinkingConfig", {})
    if "thinkingLevel" in thinking and "gemini-2" in model:
        yield "Thinking level is not supported for this model."
    if "thinkingBudget" in thinking and "gemini-3" in model:
        yield "Thinking budget is not supported for this model."


def _contents_complaints(contents: list[dict[str, Any]], model: str) -> Iterator[str]:
    asked: list[tuple[str, str]] = []
    for place, content in enumerate(contents):
        if content["role"] not in ("user", "model") or not content["parts"]:
            yield "Please use a valid role: user, model. contents.parts must not be empty."
        if place and content["role"] == contents[place - 1]["role"]:
            yield "Please ensure that multiturn requests alternate between user and model."
        for part in content["parts"]:
            yield from _part_complaints(part)
        answered = [part["functionResponse"] for part in content["parts"] if "functionResponse" in part]
        if [(one["id"], one["name"]) for one in answered] != asked:
            yield (
                "Please ensure that the number of function response parts is equal to the number of function "
                "call parts of the function call turn."
            )
        calls = [part for part in content["parts"] if "functionCall" in part]
        if calls and "gemini-3" in model and "thoughtSignature" not in calls[0]:
            yield "Function call is missing a thought_signature in functionCall parts."
        asked = [(call["functionCall"]["id"], call["functionCall"]["name"]) for call in calls]


def _part_complaints(part: dict[str, Any]) -> Iterator[str]:
    match part:
        case {"text": str(text)} if text and len(part) == 1:
            return
        case {"inlineData": {"mimeType": str(), "data": str()}} if len(part) == 1:
            return
        case {"functionCall": {"name": str(), "args": dict()}}:
            return
        case {"functionResponse": {"name": str(), "response": dict()}} if len(part) == 1:
            return
    yield "contents.parts.data: required oneof field 'data' must have one initialized field"
