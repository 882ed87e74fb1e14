"""The documentation of an operation, made from its entry in the table."""

import json
from shlex import quote
from typing import Any

from deployments.forms import FORM_TYPE, JSON_TYPE, MULTIPART_TYPE
from deployments.routers.aiserver.operation import AnyOperation
from deployments.routers.aiserver.wire import JobFields

_ADDRESS = "http://127.0.0.1:8000"


def request_body(operation: AnyOperation) -> dict[str, Any]:
    """Describe the body: multipart where there are files, else JSON or form."""
    content = {"schema": _schema(operation), "example": dict(operation.example)}
    kinds = (MULTIPART_TYPE,) if operation.files else (JSON_TYPE, FORM_TYPE)
    return {"requestBody": {"required": True, "content": dict.fromkeys(kinds, content)}}


def responses(operation: AnyOperation) -> dict[int | str, dict[str, Any]]:
    """Describe the answers: the good one, and what every operation may refuse."""
    subject = operation.files[0] if operation.files else "input"
    field = subject[0].upper() + subject[1:]
    return {
        200: _example("Done", operation.example_response),
        400: _example(
            "A field is missing or wrong", _refusal("NotEmpty", f"'{field}' must not be empty.", field)
        ),
        401: _example("No API key, or not a valid one", _refusal("Unauthorized", "Invalid API Key")),
    }


def queue_responses(operation: AnyOperation) -> dict[int | str, dict[str, Any]]:
    """Describe the answers of an operation's queued twin."""
    ticket = {
        "jobId": 7,
        "refId": "0c5f6a1d9e3b4c7f8a2d1e0f9b8c7a6d",
        "jobState": "Queued",
        "status": "Queued",
        "statusUrl": f"{_ADDRESS}/api/GetArtifactGenerationStatus?jobId=7",
    }
    conflict = "refId 42 belongs to job 6, which asks for something else. Use another one."
    return {
        **responses(operation),
        200: _example("Queued", ticket),
        409: _example("The refId belongs to another request", _refusal("Conflict", conflict, "RefId")),
        503: _example(
            "The job store is away; see Retry-After",
            _refusal("ServiceUnavailable", "The job store cannot be used at the moment. Try again soon."),
        ),
    }


def curl(operation: AnyOperation, name: str | None = None) -> str:
    """Give a command that can be pasted."""
    url = f"{_ADDRESS}/api/{name or operation.name}"
    if operation.files:
        parts = (
            f"{name}={'@' if name in operation.files else ''}{value}"
            for name, value in operation.example.items()
        )
        body = " ".join(f"-F {quote(part)}" for part in parts)
    else:
        body = f"-H 'Content-Type: {JSON_TYPE}' -d '{json.dumps(dict(operation.example))}'"
    return f'```sh\ncurl {url} -H "Authorization: Bearer $AI_SERVER_API_KEY" {body}\n```'


def _example(description: str, body: Any) -> dict[str, Any]:
    return {"description": description, "content": {JSON_TYPE: {"example": body}}}


def _refusal(code: str, message: str, field: str | None = None) -> dict[str, Any]:
    status: dict[str, Any] = {"errorCode": code, "message": message}
    if field:
        status["errors"] = [{"errorCode": code, "fieldName": field, "message": message}]
    return {"responseStatus": status}


def _schema(operation: AnyOperation) -> dict[str, Any]:
    schema = operation.wire.model_json_schema(by_alias=True)
    schema = {
        name: _inlined(value, schema.get("$defs", {})) for name, value in schema.items() if name != "$defs"
    }
    files = {name: {"type": "string", "format": "binary"} for name in operation.files}
    of_job = JobFields.model_json_schema(by_alias=True)["properties"]
    schema["properties"] = {**files, **schema["properties"], **of_job}
    if required := [*operation.files, *schema.get("required", [])]:
        schema["required"] = required
    return schema


def _inlined(value: Any, definitions: dict[str, Any]) -> Any:
    """Put definitions where they are used: a reference into this schema means nothing in the whole page."""
    if isinstance(value, list):
        return [_inlined(item, definitions) for item in value]
    if not isinstance(value, dict):
        return value
    if "$ref" in value:
        return _inlined(definitions[value["$ref"].rpartition("/")[2]], definitions)
    return {name: _inlined(item, definitions) for name, item in value.items()}
