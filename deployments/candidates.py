"""The candidates of a model: who may serve it, and which of them is the best choice now."""

import asyncio
import math
import random
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from configs.routing import PriceConfig, RoutingConfig
from deployments.backend import Backend
from deployments.breaker import Breaker, Circuit
from deployments.errors import BadRequest, Forbidden
from pipelines.tasks.base import OURSELVES, TaskRequest, Usage

NO_PRICE = PriceConfig()


MAX_NAMED = 1_000
"""Models of one provider that are told apart."""


@dataclass
class Room:
    """How many requests a candidate does at once."""

    in_flight: int = 0


@dataclass(eq=False)
class Candidate:
    """One who serves a model, and how busy and how well it is, as seen from this process."""

    provider: str
    """Its id, or `OURSELVES`."""
    backend: Backend
    breaker: Breaker
    model: str | None = None
    """What the model is called there; None stands for all of its models, each by the request's own word."""
    tasks: frozenset[str] | None = None
    """What it can do of what the model does; None is everything."""
    fetches_images: bool = False
    """Whether it takes the address of a picture."""
    routing: RoutingConfig = field(default_factory=RoutingConfig)
    price_of: Callable[[str], PriceConfig] = lambda _: NO_PRICE
    """Gives the price by the name of the model there."""
    room: Room = field(default_factory=Room)
    whole: "Candidate | None" = None
    """The one that stands for all models of its provider, where this stands for one of them."""
    _named: dict[str, "Candidate"] = field(default_factory=dict)

    def named(self, model: str | None) -> "Candidate":
        """Give the one that stands for `model` alone: its failures say nothing of the provider's others."""
        if self.model is not None or model is None or self.breaker.circuit != Circuit.CLOSED:
            return self
        one = self._named.pop(model, None) or replace(
            self, breaker=self.breaker.another(), whole=self, _named={}
        )
        self._named[model] = one  # the last one now
        if len(self._named) > MAX_NAMED:
            del self._named[next(iter(self._named))]
        return one

    @property
    def breakers(self) -> tuple[Breaker, ...]:
        """How well it is, for each of the models that it was asked for."""
        if self.breaker.circuit != Circuit.CLOSED:
            return (self.breaker,)
        return tuple(each.breaker for each in self._named.values()) or (self.breaker,)

    @property
    def circuit(self) -> Circuit:
        """Whether it is asked for any of its models."""
        circuits = {each.circuit for each in self.breakers}
        return next(each for each in Circuit if each in circuits)

    @property
    def last_failure(self) -> str:
        """What it said of the model that went wrong last, for people."""
        return next((each.last_failure for each in reversed(self.breakers) if each.last_failure), "")

    @property
    def in_flight(self) -> int:
        """How many requests it does now."""
        return self.room.in_flight

    @property
    def is_external(self) -> bool:
        """Whether it is somebody's API."""
        return self.provider != OURSELVES

    @property
    def has_room(self) -> bool:
        """Whether its limit lets one more request in."""
        return self.routing.concurrency is None or self.in_flight < self.routing.concurrency

    @property
    def places(self) -> float:
        """How many of those who wait shall look at it again: nobody can ask it while its circuit is open."""
        if self.breaker.circuit == Circuit.OPEN:
            return math.inf  # they look elsewhere
        if self.breaker.circuit == Circuit.HALF_OPEN:
            return 1
        return math.inf if self.routing.concurrency is None else self.routing.concurrency - self.in_flight

    @property
    def may_have_room(self) -> bool:
        """Whether it is worth while to wait for it: it is well, or is being tried."""
        return self.breaker.lets_pass or self.breaker.is_probing

    @property
    def load(self) -> float:
        """How full it is: by its limit, where it has one, and its weight."""
        return self.in_flight / ((self.routing.concurrency or 1) * self.routing.weight)

    def addressed(self, request: TaskRequest[Any]) -> TaskRequest[Any]:
        """Give the request with the name of the model there."""
        return request if self.model is None else request.model_copy(update={"model": self.model})

    def cost(self, model: str, usage: Usage) -> float:
        """Give what a run cost, in US dollars."""
        price = self.routing.price or self.price_of(model)
        return (
            price.request
            + (price.input * usage.prompt_tokens + price.output * usage.completion_tokens) / 1e6
            + price.image * usage.images
            + price.audio_minute * usage.audio_s / 60
        )


class Candidates:
    """Chooses among the candidates of one model."""

    def __init__(self, candidates: Sequence[Candidate], choose: Callable[[], float] = random.random) -> None:
        """Take all of them; `choose` gives a number from 0 to 1 by chance."""
        self.all = tuple(candidates)
        self._choose = choose
        self._waiting: deque[tuple[asyncio.Future[None], Collection[Candidate]]] = deque()

    @property
    def waiting(self) -> int:
        """How many requests wait for room."""
        return len(self._waiting)

    def allowed(
        self, task: str, pin: str | None, providers: Collection[str] | None = None
    ) -> tuple[Candidate, ...]:
        """Give those that a request may go to, which may name one of them.

        Args:
            task: what is to be done.
            pin: whom the request names.
            providers: whom the API key may use; None is everybody.

        Raises:
            BadRequest: the one that it names does not serve this model.
            Forbidden: nobody that the key may use does.
        """
        able = [each for each in self.all if each.tasks is None or task in each.tasks]
        if providers is not None:
            able = [each for each in able if each.provider in providers]
            if not able:
                known = ", ".join(providers) or "nobody"
                raise Forbidden(f"This API key may use {known}, who does not serve this model.", "model")
        wanted = tuple(each for each in able if pin is None or each.provider == pin.lower())
        if pin is not None and not wanted:
            serving = ", ".join(dict.fromkeys(each.provider for each in able))
            raise BadRequest(
                f"'{pin}' does not serve this model. Leave 'provider' out, or use: {serving}.", "provider"
            )
        return wanted

    def best(self, among: Collection[Candidate]) -> Candidate | None:
        """Give the best of those that are well and have room: by priority, then by load, then by chance."""
        ready = [each for each in among if each.breaker.lets_pass and each.has_room]
        return min(ready, key=self._rank, default=None)

    def _rank(self, each: Candidate) -> tuple[float, float, float]:
        # Weighted choice by chance (Efraimidis and Spirakis, 2006): the smallest of -u^(1/w).
        return (-each.routing.priority, each.load, -(self._choose() ** (1 / each.routing.weight)))

    @contextmanager
    def taken(self, candidate: Candidate) -> Iterator[None]:
        """Count a request of the candidate during the block."""
        candidate.room.in_flight += 1
        candidate.breaker.begin()
        try:
            yield
        finally:
            candidate.room.in_flight -= 1
            self._wake(candidate)

    async def room(self, wanted: Collection[Candidate], *, first: bool = False) -> None:
        """Wait until one of these may have room, in the order of arrival; who waited in vain is `first`."""
        future = asyncio.get_running_loop().create_future()
        waiter = (future, wanted)
        (self._waiting.appendleft if first else self._waiting.append)(waiter)
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                for each in wanted:
                    self._wake(each)  # it was this one's turn
            raise
        finally:
            if waiter in self._waiting:
                self._waiting.remove(waiter)

    def _wake(self, candidate: Candidate) -> None:
        """Wake as many of those who wait for a candidate as may ask it now; all of them where nobody may."""
        places = candidate.places
        for future, wanted in tuple(self._waiting):
            if places == 0:
                return
            if not future.done() and any(each.room is candidate.room for each in wanted):
                future.set_result(None)
                places -= 1
