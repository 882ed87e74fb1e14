"""One request, several candidates: the best is asked, and where it fails the next, until somebody does it."""

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

from configs.routing import FailoverConfig
from deployments.backend import ServedBy
from deployments.candidates import Candidate, Candidates
from deployments.errors import ApiError, Busy, ReplicaLost, problem_of
from deployments.runs import RunInfo
from deployments.search import Search
from pipelines.errors import (
    BeyondModel,
    EngineError,
    ModelLoadError,
    PipelineError,
    ProviderDenied,
    ProviderFailed,
    ProviderLacks,
)
from pipelines.tasks.base import NO_USAGE, TaskRequest, TaskResult, Usage

ResultT = TypeVar("ResultT", bound=TaskResult)

_FAULTS = (ProviderFailed, Busy, ReplicaLost, ModelLoadError, EngineError)
"""The candidate's own."""
_MOVES_ON = (*_FAULTS, BeyondModel)
"""The next candidate may do better."""
_HARMLESS = (BeyondModel, ProviderLacks)
"""Say nothing of how well the candidate is."""


@dataclass(frozen=True)
class Attempt:
    """One candidate was asked, and how that ended."""

    owner: str
    task: str
    model: str
    """Its id in the configuration; its name there, of a provider that takes any."""
    provider: str
    outcome: str
    """``ok``, ``cancelled`` or an error code."""
    seconds: float
    usage: Usage = NO_USAGE
    cost: float = 0.0
    """US dollars."""


Observer: TypeAlias = Callable[[Attempt], object]
"""Hears of every attempt, as metrics and the ledger of usage do; must not wait."""


@dataclass
class _Run:
    """What is learnt of a run while it goes on."""

    usage: Usage = NO_USAGE
    outcome: str = "ok"
    events: int = 0
    """What a stream has said; a whole answer is one."""
    started: float = field(default_factory=time.perf_counter)


class Failover:
    """The backend of a model with one candidate or more."""

    def __init__(
        self,
        model: str,
        candidates: Candidates,
        config: FailoverConfig,
        observe: Observer,
        max_waiting: int,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """Take the candidates.

        Args:
            model: id of the model.
            candidates: who may serve it.
            config: rounds and pauses.
            observe: hears of every attempt.
            max_waiting: requests that may wait for room.
            chance: gives a number from 0 to 1.
        """
        self.model = model
        self.candidates = candidates
        self._config = config
        self._observe = observe
        self._max_waiting = max_waiting
        self._chance = chance

    async def run(self, task: str, request: TaskRequest[ResultT], info: RunInfo) -> ResultT:
        """Do the work and give its result, which says who did it.

        Raises:
            BadRequest: it names a provider that does not serve this model.
            NobodyLeft: all candidates failed, or are left alone for a while.
            PipelineError, ApiError: of the only candidate, or what is the request's own fault.
        """
        search = self._search(task, request, info)
        while True:
            candidate = await search.next()
            try:
                return await self._run_once(candidate, task, request, info)
            except _MOVES_ON as error:
                search.failed(candidate, error)

    async def stream(self, task: str, request: TaskRequest[Any], info: RunInfo) -> AsyncGenerator[Any, None]:
        """Do the work and give its events, after one that says who does it.

        The first event is held back until it is known to be good; what fails later is for the caller to see.
        """
        search = self._search(task, request, info)
        while True:
            candidate = await search.next()
            events = self._stream_once(candidate, task, request, info)
            try:
                first = await anext(events)
            except _MOVES_ON as error:
                search.failed(candidate, error)
                continue
            async with aclosing(events):
                yield ServedBy(candidate.provider)
                yield first
                async for event in events:
                    yield event
            return

    def _search(self, task: str, request: TaskRequest[Any], info: RunInfo) -> Search:
        return Search(
            self.candidates,
            task,
            request,
            info.providers,
            self._config,
            self._max_waiting,
            self._chance,
        )

    async def _run_once(
        self, candidate: Candidate, task: str, request: TaskRequest[ResultT], info: RunInfo
    ) -> ResultT:
        with self.candidates.taken(candidate), self._observed(candidate, task, request, info) as run:
            result: ResultT = await candidate.backend.run(task, candidate.addressed(request), info)
            run.usage = result.usage
            run.events = 1
        if result.provider == candidate.provider:
            return result
        return result.model_copy(update={"provider": candidate.provider})

    async def _stream_once(
        self, candidate: Candidate, task: str, request: TaskRequest[Any], info: RunInfo
    ) -> AsyncGenerator[Any, None]:
        with self.candidates.taken(candidate), self._observed(candidate, task, request, info) as run:
            async with aclosing(candidate.backend.stream(task, candidate.addressed(request), info)) as events:
                async for event in events:
                    run.events += 1
                    run.usage = getattr(event, "usage", run.usage)
                    yield event
            if not run.events:
                raise ProviderFailed(f"{candidate.provider} answered with nothing.")

    @contextmanager
    def _observed(
        self, candidate: Candidate, task: str, request: TaskRequest[Any], info: RunInfo
    ) -> Iterator[_Run]:
        run = _Run()
        try:
            yield run
        except (asyncio.CancelledError, GeneratorExit):
            run.outcome = "cancelled"
            candidate.breaker.give_up()
            raise
        except Exception as error:
            run.outcome = problem_of(error).code
            _judge(candidate, error)
            raise
        else:
            candidate.breaker.succeed()
        finally:
            self._note(candidate, task, request, info, run)

    def _note(
        self, candidate: Candidate, task: str, request: TaskRequest[Any], info: RunInfo, run: _Run
    ) -> None:
        # Who leaves a stream, or whose provider tells nothing, shall not chat for nothing.
        usage = run.usage if run.usage != NO_USAGE or not run.events else request.estimated_usage(run.events)
        named = candidate.model or request.model or self.model
        self._observe(
            Attempt(
                owner=info.owner,
                task=task,
                # Of a provider that takes any name, only those that it answered to: others are made up.
                model=named if candidate.model is None and run.events else self.model,
                provider=candidate.provider,
                outcome=run.outcome,
                seconds=time.perf_counter() - run.started,
                usage=usage,
                cost=candidate.cost(named, usage) if run.events or usage != NO_USAGE else 0.0,
            )
        )


def _judge(candidate: Candidate, error: Exception) -> None:
    """Tell the candidate's breaker what an error says of it."""
    if isinstance(error, _HARMLESS):
        candidate.breaker.give_up()
    elif isinstance(error, ProviderDenied):
        # Of all models of the provider: it is the key, or the account, that is not accepted.
        for each in (candidate, candidate.whole or candidate):
            each.breaker.fail(str(error), pause_s=error.retry_after_s, at_once=True)
    elif isinstance(error, _FAULTS):
        candidate.breaker.fail(str(error), pause_s=getattr(error, "retry_after_s", None))
    elif isinstance(error, (PipelineError, ApiError)):
        candidate.breaker.succeed()  # it is well enough to refuse
    else:
        candidate.breaker.give_up()
