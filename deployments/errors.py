"""The one table from an error's class to the HTTP answer; `routers` put it into the caller's wire format.

ApiError
├── BadRequest               400  names the field and the fix
├── Unauthorized             401
├── Forbidden                403
├── NotFound                 404
│   ├── ModelNotFound        404  lists the models that exist
│   └── TaskNotServed        405  as AI Server answers where nobody serves a task
├── NotSupported             405
├── BodyTooLarge             413
├── RangeNotSatisfiable      416
├── Busy                     429  with Retry-After
├── ReplicaLost              503
├── NobodyLeft               503  with Retry-After; 429 where all candidates had too much to do
├── BudgetSpent              429  of this API key, this month
├── RunTimedOut              504
│   └── HandedOver           504  the work goes on as a job
│       └── Accepted         202  the client had asked for that
├── RunTooLong               504
├── JobFailed                     the status that the fault itself would have had
└── JobCancelled             409
"""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from cluster.artifacts.store import ArtifactNotFound, StoreFull
from cluster.jobs.errors import JobConflict, JobNotFound, StoreUnavailable
from pipelines.errors import (
    Cancelled,
    ContentWithheld,
    EngineError,
    InputTooLarge,
    InvalidInput,
    ModelLoadError,
    ProviderBusy,
    ProviderDenied,
    ProviderFailed,
    ProviderLacks,
    ProviderOverloaded,
    ProviderRefused,
    UnsupportedMedia,
)


class ApiError(Exception):
    """Base of what the HTTP layer raises itself."""

    def __init__(self, message: str, field: str | None = None) -> None:
        """Keep the message for people and the request's field (as on the wire) that it is about."""
        super().__init__(message, field)
        self.message = message
        self.field = field

    def __str__(self) -> str:
        return self.message


class BadRequest(ApiError):
    """The request cannot be read or is not complete."""

    def __init__(self, message: str, field: str | None = None, code: str = "ArgumentException") -> None:
        """Keep AI Server's name for the fault too: ``NotEmpty``, ``ArgumentNullException`` …."""
        super().__init__(message, field)
        self.args = (message, field, code)
        self.code = code


class Unauthorized(ApiError):
    """No API key, or not a valid one."""


class Forbidden(ApiError):
    """The API key is valid, but this belongs to another one."""


class NotFound(ApiError):
    """There is nothing under this address."""


class ModelNotFound(NotFound):
    """No model of this name solves the task."""

    def __init__(self, model: str, task: str, existing: tuple[str, ...], hint: str = "") -> None:
        """List what exists, so that the caller can choose."""
        available = f"Available: {', '.join(existing)}"
        message = f"Model {model:.200} not found for {task}. {available}{'. ' if hint else ''}{hint}"
        super().__init__(message, "model")
        self.args = (model, task, existing, hint)


class TaskNotServed(NotFound):
    """Nobody is configured to do this."""

    def __init__(self, task: str) -> None:
        """Name the task and the remedy."""
        super().__init__(
            f"No model is configured for {task}. Add one to the models of the server's configuration."
        )
        self.args = (task,)


class NotSupported(ApiError):
    """The address asks for nothing that the server does."""


class BodyTooLarge(ApiError):
    """The body is over the cap."""


class RangeNotSatisfiable(ApiError):
    """The requested bytes lie outside the file."""

    def __init__(self, size_bytes: int) -> None:
        """Tell the caller the file's size, in the header that the RFC names."""
        super().__init__(f"The requested bytes lie outside the file, which has {size_bytes}.", "Range")
        self.args = (size_bytes,)
        self.headers = {"Content-Range": f"bytes */{size_bytes}"}


class Busy(ApiError):
    """Too many requests wait for this model."""

    def __init__(self) -> None:
        """Say so, always in the same words."""
        super().__init__("Too many requests wait for this model. Try again in a moment.")
        self.args = ()


class ReplicaLost(ApiError):
    """The process that did the work died."""


class NobodyLeft(ApiError):
    """Every candidate of the model failed, or is left alone because it has failed."""

    def __init__(
        self, message: str, retry_after_s: float, is_busy: bool = False, was_asked: bool = True
    ) -> None:
        """Keep when it is worth while to ask again, and what became of the request.

        Args:
            message: for people.
            retry_after_s: seconds.
            is_busy: whether all of them only had too much to do.
            was_asked: whether anybody was asked at all.
        """
        super().__init__(message)
        self.args = (message, retry_after_s, is_busy, was_asked)
        self.was_asked = was_asked
        self.retry_after_s = retry_after_s
        self.is_busy = is_busy
        self.status = HTTPStatus.TOO_MANY_REQUESTS if is_busy else HTTPStatus.SERVICE_UNAVAILABLE
        self.code = "TooManyRequests" if is_busy else "ServiceUnavailable"


class BudgetSpent(ApiError):
    """The API key has used up what it may cost this month."""

    def __init__(self, budget: float) -> None:
        """Say how much that is, in US dollars."""
        super().__init__(
            f"This API key has spent its budget of ${budget:,.2f} for this month. "
            "It opens again with the next month, or when the operator raises it."
        )
        self.args = (budget,)


class RunTimedOut(ApiError):
    """A synchronous call took longer than it may."""


class HandedOver(RunTimedOut):
    """A synchronous call reached its limit; its work goes on as a job."""

    def __init__(self, message: str, ticket: Mapping[str, Any], location: str) -> None:
        """Keep what the client needs to find the job."""
        super().__init__(message)
        self.args = (message, ticket, location)
        self.ticket = ticket
        self.headers = {"Location": location}


class Accepted(HandedOver):
    """The client rather took a job than waited (``Prefer``); no error, but the end of the call."""

    def __init__(self, message: str, ticket: Mapping[str, Any], location: str, applied: str) -> None:
        """Keep what the client needs to find the job, and which preference was heeded."""
        super().__init__(message, ticket, location)
        self.args = (message, ticket, location, applied)
        self.headers = {"Location": location, "Preference-Applied": applied}


class RunTooLong(ApiError):
    """A run took longer than a run of its task may."""


class JobFailed(ApiError):
    """The job that a call waited for has failed."""

    def __init__(self, message: str, code: str, field: str | None = None) -> None:
        """Keep the job's own error."""
        super().__init__(message, field)
        self.args = (message, code, field)
        self.code = code
        self.status = status_of(code)


class JobCancelled(ApiError):
    """The job that a call waited for was cancelled."""


@dataclass(frozen=True)
class Problem:
    """An error on its way out: everything that the wire formats need."""

    status: HTTPStatus
    code: str
    """AI Server's ``errorCode``."""
    message: str
    field: str | None = None
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    ticket: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Where the work goes on as a job: ``jobId refId jobState status statusUrl``."""


_RETRY = {"Retry-After": "2"}
_NO_RETRY = {"x-should-retry": "false"}
"""OpenAI's clients repeat every 5xx otherwise, and the same work would take as long again."""

_TABLE: tuple[tuple[type[Exception], HTTPStatus, str, Mapping[str, str]], ...] = (
    # The most specific class of a family stands first.
    (Unauthorized, HTTPStatus.UNAUTHORIZED, "Unauthorized", {"WWW-Authenticate": "Bearer"}),
    (Forbidden, HTTPStatus.FORBIDDEN, "Forbidden", {}),
    (TaskNotServed, HTTPStatus.METHOD_NOT_ALLOWED, "NotSupportedException", {}),
    (NotFound, HTTPStatus.NOT_FOUND, "NotFound", {}),
    (ArtifactNotFound, HTTPStatus.NOT_FOUND, "NotFound", {}),
    (NotSupported, HTTPStatus.METHOD_NOT_ALLOWED, "NotSupportedException", {}),
    (BodyTooLarge, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "RequestEntityTooLarge", {"Connection": "close"}),
    (RangeNotSatisfiable, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, "RangeNotSatisfiable", {}),
    (BadRequest, HTTPStatus.BAD_REQUEST, "ArgumentException", {}),
    (Busy, HTTPStatus.TOO_MANY_REQUESTS, "TooManyRequests", _RETRY),
    (ReplicaLost, HTTPStatus.SERVICE_UNAVAILABLE, "ServiceUnavailable", _RETRY),
    (NobodyLeft, HTTPStatus.SERVICE_UNAVAILABLE, "ServiceUnavailable", {}),
    (BudgetSpent, HTTPStatus.TOO_MANY_REQUESTS, "BudgetSpent", _NO_RETRY),
    (Accepted, HTTPStatus.ACCEPTED, "Accepted", {}),
    (JobFailed, HTTPStatus.INTERNAL_SERVER_ERROR, "Exception", {}),
    (JobCancelled, HTTPStatus.CONFLICT, "OperationCanceledException", _NO_RETRY),
    (JobNotFound, HTTPStatus.NOT_FOUND, "NotFound", {}),
    (JobConflict, HTTPStatus.CONFLICT, "Conflict", _NO_RETRY),
    (StoreUnavailable, HTTPStatus.SERVICE_UNAVAILABLE, "ServiceUnavailable", {"Retry-After": "5"}),
    (RunTooLong, HTTPStatus.GATEWAY_TIMEOUT, "TimeoutException", _NO_RETRY),
    (RunTimedOut, HTTPStatus.GATEWAY_TIMEOUT, "TimeoutException", _NO_RETRY),
    (UnsupportedMedia, HTTPStatus.BAD_REQUEST, "UnsupportedMedia", {}),
    (InputTooLarge, HTTPStatus.BAD_REQUEST, "InputTooLarge", {}),
    (ContentWithheld, HTTPStatus.BAD_REQUEST, "ContentWithheld", {}),
    (InvalidInput, HTTPStatus.BAD_REQUEST, "ArgumentException", {}),
    (ModelLoadError, HTTPStatus.SERVICE_UNAVAILABLE, "ModelUnavailable", {}),
    (Cancelled, HTTPStatus.SERVICE_UNAVAILABLE, "OperationCanceledException", _RETRY),
    (EngineError, HTTPStatus.INTERNAL_SERVER_ERROR, "EngineError", {}),
    (ProviderOverloaded, HTTPStatus.SERVICE_UNAVAILABLE, "ServiceUnavailable", _RETRY),
    (ProviderBusy, HTTPStatus.TOO_MANY_REQUESTS, "TooManyRequests", _RETRY),
    (ProviderDenied, HTTPStatus.BAD_GATEWAY, "ProviderDenied", _NO_RETRY),
    (ProviderLacks, HTTPStatus.NOT_FOUND, "NotFound", {}),
    (ProviderFailed, HTTPStatus.BAD_GATEWAY, "BadGateway", {}),
    (ProviderRefused, HTTPStatus.BAD_REQUEST, "ProviderRefused", {}),
    (StoreFull, HTTPStatus.SERVICE_UNAVAILABLE, "InsufficientStorage", {"Retry-After": "30"}),
)


def _retry_after(error: Exception) -> Mapping[str, str]:
    seconds = getattr(error, "retry_after_s", None)
    return {} if seconds is None else {"Retry-After": str(max(1, math.ceil(seconds)))}


def status_of(code: str) -> HTTPStatus:
    """Give the status of an error that is only known by its code, as a job keeps it."""
    known = (status for _, status, each, _ in _TABLE if each == code)
    return next(known, HTTPStatus.INTERNAL_SERVER_ERROR)


def problem_of(error: Exception) -> Problem:
    """Look an error up; what is not in the table is our fault: 500, and its text stays in the log."""
    for kind, status, code, headers in _TABLE:
        if isinstance(error, kind):
            return Problem(
                status=getattr(error, "status", status),
                code=getattr(error, "code", code),
                message=str(error),
                field=getattr(error, "field", None),
                headers={**headers, **_retry_after(error), **getattr(error, "headers", {})},
                ticket=getattr(error, "ticket", {}),
            )
    return Problem(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "InternalServerError",
        "The server failed on this request; its log has the reason under the X-Request-Id of this answer.",
    )
