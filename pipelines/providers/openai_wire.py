"""What all tasks share that go to a server which speaks OpenAI's wire format."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, TypeVar

from pydantic import Field

from pipelines.providers.base import ProviderOptions
from pipelines.providers.faults import Fault
from pipelines.providers.http import ProviderHttp

T = TypeVar("T")

OpenAiTaskName: TypeAlias = Literal[
    "chat",
    "embedding",
    "image-to-image",
    "image-to-text",
    "image-with-mask",
    "speech-to-text",
    "text-to-image",
    "text-to-speech",
]
Patterns: TypeAlias = tuple[str, ...]
"""Of names of models, as `fnmatch` reads them."""

_THREE = ("1024x1024", "1536x1024", "1024x1536")


class OpenAiOptions(ProviderOptions):
    """How a server differs from OpenAI's own."""

    tasks: dict[OpenAiTaskName, Patterns] = Field(default={"chat": ("*",)})
    """Task -> patterns of the names of the models that do it; the first task that fits counts, and with it
    those of its kind (the three that draw; chat and image-to-text) that fit too."""
    fetches_images: bool = False
    """Whether it may be told the address of a picture. False for what stands in your own network: it would
    go wherever a caller sends it. The picture is fetched here then."""
    asks_for_usage: bool = True
    """Whether it knows ``stream_options``."""
    headers: dict[str, str] = Field(default_factory=dict)
    """Beside the key, e.g. OpenRouter's ``X-Title``."""
    image_sizes: dict[str, Patterns] = Field(
        default={
            "gpt-image-1*": _THREE,
            "chatgpt-image-*": _THREE,
            "dall-e-3": ("1024x1024", "1792x1024", "1024x1792"),
            "dall-e-2": ("256x256", "512x512", "1024x1024"),
        }
    )
    """Pattern of models -> the sizes that they draw; the first pattern that fits counts. Others draw any."""
    image_side_multiple: int = Field(default=16, ge=1)
    """What the sides of a picture must be a multiple of, for models that draw any size."""
    image_pixels: tuple[int, int] = (655_360, 8_294_400)
    """The fewest and the most pixels, for the same models."""
    gpt_image_models: Patterns = ("*gpt-image*",)
    """Models that know ``output_format`` and do not know ``response_format``."""
    single_image_models: Patterns = ("dall-e-3",)
    """Models that draw one picture a request."""
    image_patience_s: float = Field(default=240.0, gt=0)
    """Until a picture comes: OpenAI's take up to two minutes."""
    timestamp_models: Patterns = ("*whisper*",)
    """Models that know ``verbose_json``, which says when something was spoken."""
    voice: str = "alloy"
    """Who speaks where the request does not say."""


@dataclass(frozen=True)
class OpenAiApi:
    """One server, as the tasks use it."""

    http: ProviderHttp
    options: OpenAiOptions
    name: str
    """Of the provider, for sentences to people."""

    async def read(self, answer: bytes, what: str, reader: Callable[[Any], T]) -> T:
        """Read an answer's JSON in a thread: it may have many megabytes.

        Args:
            answer: of the server.
            what: it should be, with its article.
            reader: gets the object, and may fail as reading other objects fails.

        Raises:
            ProviderError: it says that something went wrong, or is something else.
        """
        try:
            body = await asyncio.to_thread(json.loads, answer)
            if isinstance(body, dict) and isinstance(error := body.get("error"), dict | str) and error:
                raise self.http.fault_error(fault_of(status_of(error), error))
            return await asyncio.to_thread(reader, body)
        except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            raise self.http.failed(f"answers with something else than {what}") from error


def read_fault(status: int, body: Any) -> Fault:
    """Read ``{"error": {...}}``; some servers write text there, or a list around it."""
    if isinstance(body, list) and body:
        body = body[0]
    error = body.get("error", body)
    return fault_of(status_of(error) if status == 200 else status, error)


def fault_of(status: int, error: Any) -> Fault:
    """Read what stands at ``error``."""
    if not isinstance(error, dict):
        return Fault(status, str(error))
    code = error.get("code") or error.get("type") or ""
    param = error.get("param")
    return Fault(
        status,
        str(error.get("message") or ""),
        code if isinstance(code, str) else "",
        param if isinstance(param, str) else None,
    )


def status_of(error: Any) -> int:
    """Give the status of an error that came after a good status line, as OpenRouter writes it in ``code``."""
    code = error.get("code") if isinstance(error, dict) else None
    return code if isinstance(code, int) and 400 <= code < 600 else 502
