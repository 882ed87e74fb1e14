"""The one thread that draws, as models are not thread-safe; requests that agree are drawn together."""

import threading
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import TypeAlias

from PIL import Image

from pipelines.tasks.base import Workspace
from pipelines.tasks.drawing import Preview

POLL_S = 0.1
"""How long a cancelled request may go unnoticed."""


@dataclass(frozen=True)
class Step:
    """A step was done."""

    done: int
    of: int


@dataclass(frozen=True)
class Finished:
    """All pictures of a drawing, in the order of its seeds."""

    images: tuple[Image.Image, ...]


Event: TypeAlias = Step | Preview | Finished | Exception


@dataclass(eq=False)
class Drawing:
    """What one request wants drawn."""

    plan: Hashable
    """Everything but prompt, pictures and seeds; drawings of one plan can share a batch."""
    prompt: str
    negative_prompt: str
    seeds: tuple[int, ...]
    image: Image.Image | None = None
    mask: Image.Image | None = None
    previews: int = 0
    mergeable: bool = False
    """Whether its pictures may differ in the last bit, as they do in a batch with others'."""
    events: SimpleQueue[Event] = field(default_factory=SimpleQueue)
    abandoned: bool = False
    """Nobody waits for it any more."""


class DrawingThread:
    """Draws what is submitted, in the order in which it came."""

    def __init__(self, draw: Callable[[Sequence[Drawing]], None], max_batch: int) -> None:
        """Take what draws; it is called in one thread, and puts what happens into each drawing's events."""
        self._draw = draw
        self._max_batch = max_batch
        self._waiting: deque[Drawing] = deque()
        self._changed = threading.Condition()
        threading.Thread(target=self._work, name="drawing", daemon=True).start()

    def run(self, drawing: Drawing, workspace: Workspace) -> Iterator[Step | Preview | Finished]:
        """Yield what happens to a drawing, until it is finished.

        Raises:
            Cancelled: the run should stop; the drawing does, after its current step.
            Exception: what the engine raised.
        """
        with self._changed:
            self._waiting.append(drawing)
            self._changed.notify()
        try:
            while True:
                workspace.check_cancelled()
                try:
                    event = drawing.events.get(timeout=POLL_S)
                except Empty:
                    continue
                if isinstance(event, Exception):
                    raise event
                yield event
                if isinstance(event, Finished):
                    return
        finally:
            drawing.abandoned = True

    def _work(self) -> None:
        while True:
            batch = self._next()
            try:
                self._draw(batch)
            except Exception as error:  # noqa: BLE001 - whoever waits gets it, and the thread lives on
                for drawing in batch:
                    drawing.events.put(error)

    def _next(self) -> list[Drawing]:
        with self._changed:
            while True:
                while self._waiting and self._waiting[0].abandoned:
                    self._waiting.popleft()
                if self._waiting:
                    break
                self._changed.wait()
            first = self._waiting.popleft()
            batch = [first]
            if first.mergeable:
                for other in list(self._waiting):
                    if self._fits(batch, other):
                        self._waiting.remove(other)
                        batch.append(other)
            return batch

    def _fits(self, batch: Sequence[Drawing], other: Drawing) -> bool:
        room = self._max_batch - sum(len(each.seeds) for each in batch)
        agrees = other.mergeable and other.plan == batch[0].plan
        return agrees and not other.abandoned and len(other.seeds) <= room


def abandoned(batch: Sequence[Drawing]) -> bool:
    """Whether nobody waits for any of them."""
    return all(drawing.abandoned for drawing in batch)
