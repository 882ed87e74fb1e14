"""Every request gets an id, the client's own if it sends a sane one; every answer carries it."""

import re
import uuid

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADER = "X-Request-Id"
_SANE = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")


class RequestId:
    """Puts the id into ``request.state.request_id`` and into the answer's header."""

    def __init__(self, app: ASGIApp, *, echo: bool) -> None:
        """Wrap `app`; without `echo` somebody in front of it writes the answer's header."""
        self._app = app
        self._echo = echo

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application with an id."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(Headers(scope=scope))
        # A copy, because servers may share one state between requests.
        scope["state"] = {**scope.get("state", {}), "request_id": request_id}

        async def send_with_id(message: Message) -> None:
            if self._echo and message["type"] == "http.response.start":
                MutableHeaders(scope=message)[HEADER] = request_id
            await send(message)

        await self._app(scope, receive, send_with_id)


def _request_id(headers: Headers) -> str:
    presented = headers.get(HEADER, "")
    return presented if _SANE.fullmatch(presented) else uuid.uuid4().hex
