"""Adds to the interactive documentation what a route may refuse, as its wire format says it."""

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from deployments.forms import JSON_TYPE

_DESCRIPTIONS = {
    HTTPStatus.BAD_REQUEST: "A field is missing or wrong, or a file cannot be used",
    HTTPStatus.UNAUTHORIZED: "No API key, or not a valid one",
    HTTPStatus.FORBIDDEN: "It belongs to another API key",
    HTTPStatus.NOT_FOUND: "There is no such thing, or no such model",
    HTTPStatus.METHOD_NOT_ALLOWED: "No model is configured for this",
    HTTPStatus.CONFLICT: "The refId is another request's, or the job's state forbids it",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body is larger than is allowed",
    HTTPStatus.TOO_MANY_REQUESTS: "Too many requests wait, or the key's budget is spent; see Retry-After",
    HTTPStatus.INTERNAL_SERVER_ERROR: "The server failed; its log says why",
    HTTPStatus.BAD_GATEWAY: "The provider failed",
    HTTPStatus.SERVICE_UNAVAILABLE: "Not at the moment; see Retry-After",
    HTTPStatus.GATEWAY_TIMEOUT: "It takes longer than a call may: it goes on as a job",
}
_PUBLIC = (HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND, HTTPStatus.SERVICE_UNAVAILABLE)
_KEYED = (HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND,
          HTTPStatus.SERVICE_UNAVAILABLE)  # fmt: skip
_TEXT = {"type": "string"}
_MAYBE_TEXT = {"type": ["string", "null"]}
_FAULT = {"errorCode": _TEXT, "fieldName": _TEXT, "message": _TEXT}
_STATUS = {
    "type": "object",
    "properties": {
        "errorCode": _TEXT,
        "message": _TEXT,
        "errors": {"type": "array", "items": {"type": "object", "properties": _FAULT}},
    },
    "required": ["errorCode", "message"],
}
_ERROR = {
    "type": "object",
    "properties": {"message": _TEXT, "type": _TEXT, "param": _MAYBE_TEXT, "code": _MAYBE_TEXT},
    "required": ["message", "type", "param", "code"],
}
_SCHEMAS = {
    "AiServerError": {
        "type": "object",
        "properties": {"responseStatus": _STATUS},
        "required": ["responseStatus"],
    },
    "OpenAiError": {"type": "object", "properties": {"error": _ERROR}, "required": ["error"]},
}
_FRAMEWORKS = ("HTTPValidationError", "ValidationError")
_FRAMEWORKS_STATUS = "422"


def with_errors(document: dict[str, Any]) -> dict[str, Any]:
    """Describe the refusals of every route that takes anything.

    Where the framework's validation would answer 422 with a body of its own, ours answers 400.
    """
    schemas = document["components"]["schemas"]
    schemas |= _SCHEMAS
    for name in _FRAMEWORKS:
        schemas.pop(name, None)
    for path, methods in document["paths"].items():
        for route in methods.values():
            _describe(route["responses"], _statuses(route), _content(path))
    return document


def _describe(responses: dict[str, Any], statuses: Iterator[HTTPStatus], content: dict[str, Any]) -> None:
    responses.pop(_FRAMEWORKS_STATUS, None)
    for status in statuses:
        responses.setdefault(str(status.value), {"description": _DESCRIPTIONS[status]})
    for number, answer in responses.items():
        if int(number) >= HTTPStatus.BAD_REQUEST:
            (media,) = answer.setdefault("content", {JSON_TYPE: {}}).values()
            media.setdefault("schema", content)


def _statuses(route: dict[str, Any]) -> Iterator[HTTPStatus]:
    if "requestBody" in route:
        yield from _DESCRIPTIONS
    elif "security" in route:
        yield from _KEYED
    elif "parameters" in route:
        yield from _PUBLIC


def _content(path: str) -> dict[str, Any]:
    name = "OpenAiError" if path.startswith("/v1/") else "AiServerError"
    return {"$ref": f"#/components/schemas/{name}"}
