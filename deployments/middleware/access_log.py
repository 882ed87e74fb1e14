"""One JSON line per request, to the logger ``ai_server.access``; neither bodies nor query strings."""

import json
import logging
import time
from typing import Any

from starlette.datastructures import State
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deployments.gateway import Route

logger = logging.getLogger("ai_server.access")

PROBES = {"/up", "/ready"}
"""Asked every few seconds by machines; their lines would hide the rest."""

CLIENT_LEFT = 499
"""As nginx writes it: the client closed the connection before there was an answer."""


def note_call(request: Request, task: str, route: Route) -> None:
    """Let the log's line of this request name the task and the model."""
    request.state.task = task
    request.state.model = route.id if route.upstream is None else f"{route.id}/{route.upstream:.300}"


class AccessLog:
    """Counts bytes and time of each request and logs them at its end, however it ends."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap `app`."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application and log the request."""
        if scope["type"] != "http" or scope["path"] in PROBES:
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(receive, send)
        try:
            await self._app(scope, exchange.receive, exchange.send)
        finally:
            logger.info(json.dumps(exchange.facts(scope), ensure_ascii=False))


class _Exchange:
    """What went in and out of one request."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._started = time.perf_counter()
        self._status = CLIENT_LEFT
        self._bytes_in = 0
        self._bytes_out = 0
        self._complete = False

    async def receive(self) -> Message:
        message = await self._receive()
        self._bytes_in += len(message.get("body", b""))
        return message

    async def send(self, message: Message) -> None:
        await self._send(message)
        if message["type"] == "http.response.start":
            self._status = message["status"]
        elif message["type"] == "http.response.body":
            self._bytes_out += len(message.get("body", b""))
            self._complete = not message.get("more_body", False)

    def facts(self, scope: Scope) -> dict[str, Any]:
        state = State(scope["state"])
        return {
            "method": scope["method"],
            "path": scope["path"],
            "route": getattr(scope.get("route"), "path", None),
            "status": self._status,
            "complete": self._complete,
            "duration_ms": round((time.perf_counter() - self._started) * 1000, 1),
            "request_id": state.request_id,
            "api_key_id": getattr(state, "api_key_id", None),
            "task": getattr(state, "task", None),
            "model": getattr(state, "model", None),
            "bytes_in": self._bytes_in,
            "bytes_out": self._bytes_out,
            "client": (scope.get("client") or (None,))[0],
        }
