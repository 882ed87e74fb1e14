"""Drawn pictures as OpenAI's clients read them: in one answer, or as events."""

import asyncio
import time
from base64 import b64encode
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from cluster.artifacts.store import ArtifactStore
from deployments.routers.openai.image_fields import ImageFields
from deployments.streaming import Event
from pipelines.tasks.drawing import DrawnImage, DrawResult, EncodedPreview, StreamEvent

# The events' schema wants these counts; nothing here is counted, nor billed, by token.
_NO_TOKENS = {
    "input_tokens": 0,
    "input_tokens_details": {"image_tokens": 0, "text_tokens": 0},
    "output_tokens": 0,
    "total_tokens": 0,
}
_QUALITIES = ("low", "medium", "high", "xhigh", "max")
"""What the schema lets an answer say of the quality."""


@dataclass(frozen=True)
class ImageAnswers:
    """Makes the answers of one request."""

    fields: ImageFields
    artifacts: ArtifactStore
    base_url: str
    """Where clients reach this server."""

    async def body(self, result: DrawResult) -> dict[str, Any]:
        """Give all pictures in one answer."""
        data = [{**await self._picture(image), "seed": image.seed} for image in result.images]
        common = self._common(result.images[0])
        if common["quality"] == "auto":  # only an event may say so
            del common["quality"]
        return {"created": int(time.time()), "data": data, **common, **self._notes(result)}

    async def events(
        self, name: str, drawn: AsyncGenerator[StreamEvent, None]
    ) -> AsyncGenerator[Event, None]:
        """Give the previews as they come, and each finished picture; always as base64.

        Args:
            name: how the events' types begin: ``image_generation``.
            drawn: what the task gives.
        """
        async with aclosing(drawn):
            async for event in drawn:
                if isinstance(event, EncodedPreview):
                    yield self._preview(name, event)
                    continue
                for image in event.images:
                    yield {**await self._completed(name, image), **self._notes(event)}

    def _preview(self, name: str, preview: EncodedPreview) -> dict[str, Any]:
        return {
            "type": f"{name}.partial_image",
            "b64_json": b64encode(preview.data).decode(),
            "partial_image_index": preview.number,
            "created_at": int(time.time()),
            **self._common(),
        }

    async def _completed(self, name: str, image: DrawnImage) -> dict[str, Any]:
        return {
            "type": f"{name}.completed",
            "b64_json": await self._base64(image),
            "created_at": int(time.time()),
            "usage": _NO_TOKENS,
            "seed": image.seed,
            **self._common(image),
        }

    def _common(self, image: DrawnImage | None = None) -> dict[str, Any]:
        """Say what every answer says; of a preview only the wish is known."""
        size = (image.width, image.height) if image else self.fields.size
        return {
            "background": "opaque",
            "output_format": self.fields.output_format.value,
            "quality": self.fields.quality if self.fields.quality in _QUALITIES else "auto",
            "size": f"{size[0]}x{size[1]}" if size else "auto",
        }

    def _notes(self, result: DrawResult) -> dict[str, list[str]]:
        notes = list(result.notes)
        size = (result.images[0].width, result.images[0].height)
        if self.fields.size and self.fields.size != size:
            notes.append(f"'size' was not heeded: the picture keeps its own, {size[0]}x{size[1]}.")
        return {"notes": notes} if notes else {}

    async def _picture(self, image: DrawnImage) -> dict[str, str]:
        if self.fields.wants_base64:
            return {"b64_json": await self._base64(image)}
        return {"url": f"{self.base_url}/artifacts/{image.image}"}

    async def _base64(self, image: DrawnImage) -> str:
        return await asyncio.to_thread(self._read, image)

    def _read(self, image: DrawnImage) -> str:
        return b64encode(self.artifacts.local_path(image.image).read_bytes()).decode()
