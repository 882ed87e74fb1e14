"""Which candidate of a model a request asks next, and when it stops asking."""

import asyncio
from collections.abc import Callable
from typing import Any

from configs.routing import FailoverConfig
from deployments.candidates import Candidate, Candidates
from deployments.errors import Busy, NobodyLeft
from pipelines.errors import BeyondModel, ProviderBusy, ProviderDenied, ProviderFailed, ProviderLacks
from pipelines.tasks.base import TaskRequest


class Search:
    """The way of one request through the candidates."""

    def __init__(
        self,
        candidates: Candidates,
        task: str,
        request: TaskRequest[Any],
        providers: tuple[str, ...] | None,
        config: FailoverConfig,
        max_waiting: int,
        chance: Callable[[], float],
    ) -> None:
        """Begin with all candidates, or with the one that the request pins.

        Raises:
            BadRequest: that one does not serve this model.
        """
        self._candidates = candidates
        self._config = config
        self._max_waiting = max_waiting
        self._chance = chance
        allowed = candidates.allowed(task, request.provider, providers)
        self._all = tuple(each.named(request.model) for each in allowed)
        self._left = list(self._all)
        self._failed: list[tuple[Candidate, Exception]] = []
        self._round = 1

    async def next(self) -> Candidate:
        """Give the best candidate that this request has not asked yet; wait for room where all are full.

        The caller must take it before anybody else runs.

        Raises:
            Exception: what the candidates said; `NobodyLeft` where that is of several, or nothing.
        """
        has_waited = False
        while True:
            candidate = self._candidates.best(self._left)
            if candidate is not None:
                self._left.remove(candidate)
                return candidate
            if able := [each for each in self._left if each.may_have_room]:
                await self._wait_for_room(able, has_waited)
                has_waited = True
            else:
                await self._next_round()

    def failed(self, candidate: Candidate, error: Exception) -> None:
        """Note that a candidate that was asked failed."""
        self._failed.append((candidate, error))

    async def _wait_for_room(self, wanted: list[Candidate], has_waited: bool) -> None:
        if not has_waited and self._candidates.waiting >= self._max_waiting:
            raise Busy()
        await self._candidates.room(wanted, first=has_waited)

    async def _next_round(self) -> None:
        """Pause, then begin again with those that may do better another time."""
        again = [candidate for candidate, error in self._failed if _may_heal(candidate, error)]
        if self._round >= self._config.rounds or not again:
            raise self._failure()
        pause_s = self._config.pause_s * 2 ** (self._round - 1) * (0.5 + self._chance() / 2)
        closed_s = min(each.breaker.opens_in_s for each in again)
        if max(pause_s, closed_s) > self._config.max_pause_s:
            raise self._failure()
        # Behind a `Retry-After`, not within it: all who were refused would come back at the same moment.
        await asyncio.sleep(closed_s + pause_s)
        self._round += 1
        self._left = again
        self._failed = [(each, error) for each, error in self._failed if each not in again]

    def _failure(self) -> Exception:
        """Give what the caller shall hear."""
        errors = [error for _, error in self._failed]
        if len(errors) == 1 and not self._left:
            return errors[0]
        unable = [error for error in errors if isinstance(error, BeyondModel)]
        if unable and len(unable) == len(errors) and not self._left:
            return unable[0]
        return NobodyLeft(
            " ".join([*map(str, errors), *(_left_alone(each) for each in self._left)]),
            min((each.breaker.opens_in_s for each in self._all), default=0.0),
            is_busy=bool(errors) and all(isinstance(error, (Busy, ProviderBusy)) for error in errors),
            was_asked=bool(errors),
        )


def _may_heal(candidate: Candidate, error: Exception) -> bool:
    # Our own replicas have a queue, and are asked a second time by their handle.
    lasting = (ProviderDenied, ProviderLacks)
    return candidate.is_external and isinstance(error, ProviderFailed) and not isinstance(error, lasting)


def _left_alone(candidate: Candidate) -> str:
    return f"{candidate.provider} is left alone for a while ({candidate.breaker.last_failure.rstrip('.')})."
