"""What the tasks yield as the events of OpenAI's streams."""

from base64 import b64encode
from collections.abc import AsyncGenerator
from contextlib import aclosing

from deployments.routers.openai.transcripts import usage
from deployments.streaming import Event
from pipelines.tasks.speech_to_text import SpeechToTextEvent, SpeechToTextResult
from pipelines.tasks.text_to_speech import TextToSpeechEvent

# The schema wants these counts; nothing here is counted, nor billed, by token.
_NO_TOKENS = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}


async def transcript_events(heard: AsyncGenerator[SpeechToTextEvent, None]) -> AsyncGenerator[Event, None]:
    """Give a delta per segment, then the whole text; the deltas together are that text."""
    begun = False
    async with aclosing(heard):
        async for event in heard:
            if isinstance(event, SpeechToTextResult):
                yield {"type": "transcript.text.done", "text": event.text, "usage": usage(event)}
            elif delta := event.text if begun else event.text.lstrip():
                begun = True
                yield {"type": "transcript.text.delta", "delta": delta}


async def speech_events(spoken: AsyncGenerator[TextToSpeechEvent, None]) -> AsyncGenerator[Event, None]:
    """Give the pieces of the file as base64, then the end."""
    async with aclosing(spoken):
        async for piece in spoken:
            yield {"type": "speech.audio.delta", "audio": b64encode(piece).decode()}
    yield {"type": "speech.audio.done", "usage": _NO_TOKENS}


async def audible(spoken: AsyncGenerator[TextToSpeechEvent, None]) -> AsyncGenerator[TextToSpeechEvent, None]:
    """Leave out the empty pieces of an encoder that holds samples back; an empty chunk can end a body."""
    async with aclosing(spoken):
        async for piece in spoken:
            if piece:
                yield piece
