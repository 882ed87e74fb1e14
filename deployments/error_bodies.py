"""The body of an error in the caller's wire format: OpenAI's under /v1, AI Server's everywhere else."""

import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Scope

from deployments.errors import ApiError, BadRequest, NotFound, Problem, problem_of
from deployments.fields import pascal_case, wrong_fields

_OPENAI_TYPES: dict[int, str] = {
    HTTPStatus.FORBIDDEN: "permission_error",
    HTTPStatus.TOO_MANY_REQUESTS: "rate_limit_error",
    HTTPStatus.GATEWAY_TIMEOUT: "timeout_error",
}
_OPENAI_CODES: dict[str, str] = {
    "Unauthorized": "invalid_api_key",
    "TooManyRequests": "rate_limit_exceeded",
    "ArgumentException": "invalid_value",
    "NotEmpty": "missing_required_parameter",
    "TimeoutException": "timeout",
    "NotSupportedException": "task_not_served",
    "ContentWithheld": "moderation_blocked",
}


def error_response(scope: Scope, problem: Problem) -> JSONResponse:
    """Answer a problem in the wire format that belongs to the path behind the application's prefix."""
    path = scope["path"].removeprefix(scope.get("root_path", ""))
    is_openai = path.startswith("/v1/")
    body = _openai_body(problem) if is_openai else _aiserver_body(problem)
    if problem.status == HTTPStatus.ACCEPTED:
        body = {}
    body.update(problem.ticket)
    return JSONResponse(body, status_code=problem.status, headers=dict(problem.headers))


def _aiserver_body(problem: Problem) -> dict[str, Any]:
    status: dict[str, Any] = {"errorCode": problem.code, "message": problem.message}
    if problem.field:
        status["errors"] = [
            {
                "errorCode": problem.code,
                "fieldName": pascal_case(problem.field),
                "message": problem.message,
            }
        ]
    return {"responseStatus": status}


def _openai_body(problem: Problem) -> dict[str, Any]:
    default = "invalid_request_error" if problem.status < HTTPStatus.INTERNAL_SERVER_ERROR else "server_error"
    return {
        "error": {
            "message": problem.message,
            "type": _OPENAI_TYPES.get(problem.status, default),
            "param": problem.field,
            "code": _openai_code(problem),
        }
    }


def _openai_code(problem: Problem) -> str:
    if problem.status == HTTPStatus.NOT_FOUND and problem.field == "model":
        return "model_not_found"
    snake_case = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", problem.code).lower()
    return _OPENAI_CODES.get(problem.code, snake_case)


async def answer_http_exception(request: Request, error: Exception) -> JSONResponse:
    """Answer what the framework raises itself: no such route, wrong method, unreadable body."""
    assert isinstance(error, HTTPException)
    if isinstance(error.__cause__, ApiError):
        # The framework wraps whatever reading the body raised, our own 413 included.
        return error_response(request.scope, problem_of(error.__cause__))
    return error_response(request.scope, _problem_of_http(request, error))


def _problem_of_http(request: Request, error: HTTPException) -> Problem:
    status = HTTPStatus(error.status_code)
    headers = dict(error.headers or {})
    at = f"{request.method} {request.url.path}"
    if status == HTTPStatus.NOT_FOUND:
        return problem_of(NotFound(f"There is nothing at {at}. /docs shows what there is."))
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        message = f"{at} is not supported. Use {headers.get('allow') or headers.get('Allow', 'POST')}."
        return Problem(status, "MethodNotAllowed", message, headers=headers)
    code = "".join(word.capitalize() for word in status.phrase.split())
    return Problem(status, code, str(error.detail), headers=headers)


async def answer_validation_error(request: Request, error: Exception) -> JSONResponse:
    """Answer what the framework's own validation of parameters and bodies found."""
    assert isinstance(error, RequestValidationError)
    return error_response(request.scope, problem_of(_bad_request_of(error.errors())))


def _bad_request_of(errors: Sequence[Any]) -> BadRequest:
    first = errors[0]
    if first["type"] == "json_invalid":
        return BadRequest(
            f"The body is not valid JSON: {first['ctx']['error']} at character {first['loc'][-1]}."
        )
    return wrong_fields(errors)
