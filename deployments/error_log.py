"""What the operator reads of an error: what the caller is told to look up by its request id."""

import logging
from http import HTTPStatus

from starlette.types import Scope

from deployments.errors import problem_of

logger = logging.getLogger("ai_server.errors")


def log_error(scope: Scope, error: Exception) -> None:
    """Log an error with its traceback if it is our fault, in a line if the caller should try again."""
    status = problem_of(error).status
    if status == HTTPStatus.INTERNAL_SERVER_ERROR:
        logger.error("Failed: %s", where(scope), exc_info=error)
    elif status > HTTPStatus.INTERNAL_SERVER_ERROR:
        logger.warning("%s: %s", where(scope), error)


def where(scope: Scope) -> str:
    """Name a request."""
    return f"{scope['method']} {scope['path']} (request {scope['state']['request_id']})"
