"""Every answer says who served it: one of our models, or which provider."""

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADER = "X-Served-By"


class ServedByHeader:
    """Puts ``request.state.served_by`` into the answer's header, where a route has set it."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap `app`."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_name(message: Message) -> None:
            if message["type"] == "http.response.start" and (name := scope["state"].get("served_by")):
                MutableHeaders(scope=message)[HEADER] = name
            await send(message)

        await self._app(scope, receive, send_with_name)
