"""Chat: messages in; what the model says next out. Both in OpenAI's shape, which every vendor's maps to.

The request and the completion are kept as OpenAI's clients write and read them, not as records of ours:
what we do not know of must pass through untouched.
"""

import json
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

from pipelines.tasks.base import Task, TaskRequest, TaskResult, Usage, Workspace
from pipelines.tasks.chat_shapes import ChatDelta, ChunkWriter, Collector, json_bytes

CHARACTERS_PER_TOKEN = 4
PICTURE_TOKENS = 1_000


class ChatResult(TaskResult):
    """The whole completion."""

    completion: str
    """JSON: an object ``chat.completion`` of OpenAI's, as the provider wrote it."""
    tokens: Usage = Usage()

    @property
    def usage(self) -> Usage:
        """Tell the tokens."""
        return self.tokens

    def body(self) -> dict[str, Any]:
        """Read the completion."""
        body: dict[str, Any] = json.loads(self.completion)
        return body


class ChatRequest(TaskRequest[ChatResult]):
    """The body of a request to ``/v1/chat/completions``."""

    body: dict[str, Any]
    """Without ``model`` and ``stream``: whoever sends it on sets them. ``messages`` is a list that is not
    empty; addresses of pictures in it have passed the address guard."""

    def estimated_usage(self, events: int) -> Usage:
        """Count a token for each event, and one for every four characters of the messages.

        Four is OpenAI's rule of thumb for English. A picture counts as `PICTURE_TOKENS`, whatever its size.
        """
        characters, pictures = 0, 0
        for message in self.body["messages"]:
            content = message.get("content")
            parts = content if isinstance(content, list) else [{"text": content}]
            characters += sum(len(str(part.get("text") or "")) for part in parts)
            pictures += sum("image_url" in part for part in parts)
        return Usage(
            prompt_tokens=characters // CHARACTERS_PER_TOKEN + pictures * PICTURE_TOKENS + 1,
            completion_tokens=events,
        )


@dataclass(frozen=True)
class UsageChunk:
    """The last event of every stream whose usage is known: a chunk without choices.

    Clients see it if they asked for it (``stream_options.include_usage``).
    """

    data: bytes
    usage: Usage


ChatEvent: TypeAlias = bytes | UsageChunk
"""An object ``chat.completion.chunk`` as JSON in one line, or the usage at the end."""


@runtime_checkable
class ChatPipeline(Protocol):
    """A model that chats."""

    def chat(self, request: ChatRequest, workspace: Workspace) -> Iterator[ChatDelta | Usage]:
        """Yield what is said piece by piece, of ``n`` choices in any order, and the usage at the very end."""


@contextmanager
def _closing(events: Iterator[ChatDelta | Usage]) -> Iterator[Iterator[ChatDelta | Usage]]:
    """Close a generator with the block: what it holds is not to wait for the end of a traceback."""
    try:
        yield events
    finally:
        if isinstance(events, Generator):
            events.close()


def stream(
    pipeline: ChatPipeline, request: ChatRequest, workspace: Workspace
) -> Generator[ChatEvent, None, None]:
    """Yield the chunks, and the usage at the end."""
    writer = ChunkWriter(request.model or "")
    with _closing(pipeline.chat(request, workspace)) as events:
        for event in events:
            workspace.check_cancelled()
            if isinstance(event, Usage):
                yield UsageChunk(writer.usage_chunk(event), event)
            else:
                yield writer.chunk(event)


def run(pipeline: ChatPipeline, request: ChatRequest, workspace: Workspace) -> ChatResult:
    """Let the model say everything."""
    collector = Collector()
    usage = Usage()
    with _closing(pipeline.chat(request, workspace)) as events:
        for event in events:
            workspace.check_cancelled()
            if isinstance(event, Usage):
                usage = event
            else:
                collector.add(event)
    completion = ChunkWriter(request.model or "").completion(collector.choices(), usage)
    return ChatResult(completion=json_bytes(completion).decode(), tokens=usage)


NAME: Literal["chat"] = "chat"
CHAT = Task(name=NAME, protocol=ChatPipeline, request=ChatRequest, result=ChatResult, run=run, stream=stream)
