"""Reading server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""

from collections.abc import AsyncGenerator, AsyncIterable, Iterator
from dataclasses import dataclass

MAX_EVENT_BYTES = 64 * 1024 * 1024
"""One event may hold a whole picture as base64."""


class EventTooLarge(Exception):
    """The stream has an event above the limit, or is none."""


@dataclass(frozen=True)
class ServerSentEvent:
    """One event; comments (pings) are none."""

    data: bytes
    name: str = "message"


class EventReader:
    """Cuts a stream of bytes into events, wherever the network cuts it; keeps one event at most."""

    def __init__(self) -> None:
        """Begin before the first byte."""
        self._pieces: list[bytes] = []
        self._data: list[bytes] = []
        self._name = ""
        self._size_bytes = 0

    def feed(self, chunk: bytes) -> Iterator[ServerSentEvent]:
        """Yield the events that `chunk` completes.

        Raises:
            EventTooLarge: nothing ends for too long.
        """
        self._size_bytes += len(chunk)
        if b"\n" not in chunk:
            self._pieces.append(chunk)  # joined once, however many pieces a long line comes in
            lines = []
        else:
            *lines, rest = b"".join([*self._pieces, chunk]).split(b"\n")
            self._pieces = [rest] if rest else []
        for line in lines:
            if event := self._read(line):
                yield event
        if self._size_bytes > MAX_EVENT_BYTES:
            raise EventTooLarge(f"an event of more than {MAX_EVENT_BYTES} bytes")

    def _read(self, line: bytes) -> ServerSentEvent | None:
        line = line.removesuffix(b"\r")
        if not line:
            return self._take()
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
        elif name == b"event":
            self._name = value.decode("utf-8", "replace")
        return None

    def _take(self) -> ServerSentEvent | None:
        self._size_bytes = 0
        data, name = self._data, self._name
        self._data, self._name = [], ""
        return ServerSentEvent(b"\n".join(data), name or "message") if data else None


async def read_events(chunks: AsyncIterable[bytes]) -> AsyncGenerator[ServerSentEvent, None]:
    """Yield the events of a body that comes in chunks; one that its empty line does not end is dropped."""
    reader = EventReader()
    async for chunk in chunks:
        for event in reader.feed(chunk):
            yield event
