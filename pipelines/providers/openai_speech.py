"""Text to speech by a server that speaks OpenAI's wire format."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from pipelines.providers import sound
from pipelines.providers.files import spooled
from pipelines.providers.openai_wire import OpenAiApi
from pipelines.tasks.base import Workspace
from pipelines.tasks.text_to_speech import TextToSpeechRequest, TextToSpeechResult


async def run(api: OpenAiApi, request: TextToSpeechRequest, workspace: Workspace) -> TextToSpeechResult:
    """Have the whole text spoken into a file."""
    async with spooled(stream(api, request, workspace)) as path:
        return await asyncio.to_thread(sound.store, path, request.response_format, workspace, api.http)


async def stream(
    api: OpenAiApi, request: TextToSpeechRequest, workspace: Workspace
) -> AsyncGenerator[bytes, None]:
    """Yield the bytes of the file as they come."""
    body = {
        "model": request.model,
        "input": request.text,
        "voice": request.speaker or api.options.voice,
        "response_format": request.response_format.value,
        "speed": request.speed,
    }
    async with aclosing(api.http.chunks("/audio/speech", body)) as chunks:
        async for chunk in chunks:
            yield chunk
