"""Whatever a route raises becomes an answer in the caller's wire format, and never a traceback."""

import logging
from http import HTTPStatus

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deployments.error_bodies import error_response
from deployments.errors import problem_of

logger = logging.getLogger("ai_server.errors")


class ErrorAnswers:
    """Looks an exception up in the table of `deployments.errors` and answers it."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap `app`."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application; after the first byte of an answer an exception breaks the connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def send_watched(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, send_watched)
        except ClientDisconnect:
            logger.debug("The client left: %s", _where(scope))
        except Exception as error:
            if started:
                logger.exception("Broke off: %s", _where(scope))
                raise
            _log(scope, error)
            response = error_response(scope["path"], problem_of(error))
            await response(scope, receive, send)


def _log(scope: Scope, error: Exception) -> None:
    status = problem_of(error).status
    if status == HTTPStatus.INTERNAL_SERVER_ERROR:
        logger.error("Failed: %s", _where(scope), exc_info=error)
    elif status > HTTPStatus.INTERNAL_SERVER_ERROR:
        logger.warning("%s: %s", _where(scope), error)


def _where(scope: Scope) -> str:
    return f"{scope['method']} {scope['path']} (request {scope['state']['request_id']})"
