"""A body over the cap is refused: before it is read where its length is declared, else while it comes."""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from configs.schema import LimitsConfig
from deployments.errors import BodyTooLarge
from deployments.forms import MULTIPART_TYPE

CHAT_PATHS = {
    "/v1/chat/completions",
    "/v1/embeddings",
    "/api/OpenAiChatCompletion",
    "/api/QueueOpenAiChatCompletion",
    "/api/ChatAiProvider",
    "/api/OllamaGeneration",
    "/api/QueueOllamaGeneration",
    "/api/generate",
}
"""Whose bodies may hold long texts, and pictures as base64."""


class BodyCap:
    """Raises `BodyTooLarge`; bodies with files may be larger than those without."""

    def __init__(self, app: ASGIApp, limits: LimitsConfig) -> None:
        """Wrap `app`."""
        self._app = app
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application on a body that stays within its limit."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        limit_bytes, refusal = self._limit(headers, scope)
        declared = headers.get("content-length", "")
        if declared.isdecimal() and int(declared) > limit_bytes:
            raise BodyTooLarge(f"The body has {declared} bytes. {refusal}")
        received_bytes = 0

        async def receive_capped() -> Message:
            nonlocal received_bytes
            message = await receive()
            received_bytes += len(message.get("body", b""))
            if received_bytes > limit_bytes:
                raise BodyTooLarge(refusal)
            return message

        await self._app(scope, receive_capped, send)

    def _limit(self, headers: Headers, scope: Scope) -> tuple[int, str]:
        content_type, _, _ = headers.get("content-type", "").partition(";")
        if content_type.strip().lower() == MULTIPART_TYPE:
            limit_bytes = self._limits.upload_bytes
            return limit_bytes, f"At most {limit_bytes} bytes are taken (limits.upload_bytes)."
        if scope["path"].removeprefix(scope.get("root_path", "")) in CHAT_PATHS:
            limit_bytes = self._limits.chat_bytes
            return limit_bytes, f"At most {limit_bytes} bytes are taken (limits.chat_bytes)."
        limit_bytes = self._limits.json_bytes
        return limit_bytes, (
            f"Without files at most {limit_bytes} bytes are taken (limits.json_bytes); "
            "files go into multipart/form-data."
        )
