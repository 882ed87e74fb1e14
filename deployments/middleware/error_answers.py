"""Whatever a route raises becomes an answer in the caller's wire format, and never a traceback."""

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deployments.error_bodies import error_response
from deployments.error_log import log_error, logger, where
from deployments.errors import problem_of


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
            logger.debug("The client left: %s", where(scope))
        except Exception as error:
            if started:
                logger.exception("Broke off: %s", where(scope))
                raise
            log_error(scope, error)
            response = error_response(scope, problem_of(error))
            await response(scope, receive, send)
