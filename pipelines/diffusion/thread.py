"""The one thread that draws, as models are not thread-safe; requests that agree are drawn together."""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import TypeAlias

from PIL import Image

from pipelines.diffusion.plan import Plan
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
    """All pictures of an order, in the order of its seeds."""

    images: tuple[Image.Image, ...]


Event: TypeAlias = Step | Preview | Finished | Exception


@dataclass(eq=False)
class Order:
    """What one request wants drawn."""

    plan: Plan
    """Everything but prompt, pictures and seeds; orders of one plan can share a batch."""
    prompt: str
    negative_prompt: str
    seeds: tuple[int, ...]
    image: Image.Image | None = None
    mask: Image.Image | None = None
    previews: int = 0
    mergeable: bool = False
    """Whether its pictures may differ in the last bit, as they do in a batch with others'."""
    events: SimpleQueue[Event] = field(default_factory=SimpleQueue)
    waits: bool = True
    """Its turn has not come."""
    abandoned: bool = False
    """Nobody waits for it any more."""


class DrawingThread:
    """Draws what is ordered: the urgent first, else in the sequence in which it came."""

    def __init__(self, draw: Callable[[Sequence[Order]], None], max_batch: int) -> None:
        """Take what draws; it is called in one thread, and puts what happens into each order's events."""
        self._draw = draw
        self._max_batch = max_batch
        self._waiting: list[tuple[int, Order]] = []
        self._changed = threading.Condition()
        threading.Thread(target=self._work, name="drawing", daemon=True).start()

    def run(self, order: Order, workspace: Workspace) -> Iterator[Step | Preview | Finished]:
        """Yield what happens to an order, until it is finished.

        Raises:
            Cancelled: the run should stop; the drawing does, after its current step.
            Exception: what the engine raised.
        """
        with self._changed:
            self._waiting.append((workspace.priority, order))
            self._waiting.sort(key=lambda entry: -entry[0])  # stable
            self._changed.notify()
        try:
            workspace.check_cancelled()
            while True:
                event = _next_event(order, workspace)
                if isinstance(event, Exception):
                    raise event
                yield event
                if isinstance(event, Finished):
                    return
        finally:
            order.abandoned = True

    def _work(self) -> None:
        while True:
            batch = self._next()
            try:
                self._draw(batch)
            except Exception as error:  # noqa: BLE001 - whoever waits gets it, and the thread lives on
                for order in batch:
                    order.events.put(error)

    def _next(self) -> list[Order]:
        with self._changed:
            while True:
                waiting = [order for _, order in self._waiting if not order.abandoned]
                if waiting:
                    break
                self._waiting.clear()
                self._changed.wait()
            batch = waiting[:1]
            for other in waiting[1:]:
                if batch[0].mergeable and self._fits(batch, other):
                    batch.append(other)
            self._waiting = [
                entry for entry in self._waiting if entry[1] not in batch and not entry[1].abandoned
            ]
        for order in batch:
            order.waits = False
        return batch

    def _fits(self, batch: Sequence[Order], other: Order) -> bool:
        room = self._max_batch - sum(len(each.seeds) for each in batch)
        return other.mergeable and other.plan == batch[0].plan and len(other.seeds) <= room


def _next_event(order: Order, workspace: Workspace) -> Event:
    """Wait for what happens. To wait for one's turn is a sign of life; in it, only what happens is one."""
    while True:
        if order.waits or workspace.is_cancelled:
            workspace.check_cancelled()
        try:
            event = order.events.get(timeout=POLL_S)
        except Empty:
            continue
        workspace.check_cancelled()
        return event
