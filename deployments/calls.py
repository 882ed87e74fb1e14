"""One call of one client: routed, timed, counted. Every wire format's routes end here."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from cluster.gate import Priority
from deployments.errors import RunTimedOut, problem_of
from deployments.gateway import Route
from deployments.runs import RunInfo
from deployments.services import Services
from pipelines.tasks.base import TaskRequest, TaskResult

T = TypeVar("T")
ResultT = TypeVar("ResultT", bound=TaskResult)


@dataclass(frozen=True)
class Served(Generic[ResultT]):
    """A result, and who gave it."""

    result: ResultT
    route: Route
    duration_s: float


@dataclass(frozen=True)
class Call:
    """A synchronous call on behalf of one API key."""

    services: Services
    info: RunInfo
    limit_s: float | None
    """Seconds until the result, or the first event of a stream; None waits for ever."""

    @classmethod
    def of(cls, services: Services, *, owner: str) -> "Call":
        """Make the call of a client that waits for its answer."""
        return cls(
            services, RunInfo(owner=owner, priority=Priority.SYNCHRONOUS), services.config.timeouts.request_s
        )

    async def run(self, task: str, request: TaskRequest[ResultT], route: Route) -> Served[ResultT]:
        """Do the work within the synchronous limit.

        Raises:
            ApiError: `Busy`, `ReplicaLost`, `RunTimedOut`.
            PipelineError: what the pipeline said of the input.
        """
        timer = _Timer(self.services, task, route)
        with timer:
            result = await self._in_time(route.backend.run(task, request, self.info))
        return Served(result, route, timer.seconds)

    async def stream(self, task: str, request: TaskRequest[Any], route: Route) -> AsyncGenerator[Any, None]:
        """Start the work and wait for its first event, so that a failure still becomes an HTTP error.

        Returns the whole stream, first event included. The synchronous limit holds until that
        first event; the rest may take as long as the work does.
        """
        timer = _Timer(self.services, task, route)
        events = route.backend.stream(task, request, self.info)
        with timer.unless_ok():
            first = await self._in_time(anext(events))
        return _counted(first, events, timer)

    async def _in_time(self, work: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout(self.limit_s) as deadline:
                return await work
        except TimeoutError as error:
            if not deadline.expired():
                raise  # the work's own
            raise RunTimedOut(
                f"The work did not end within {self.limit_s:g} s, the limit of a synchronous call; "
                "it was stopped. Send less at once, or ask for a stream where the API has one."
            ) from error


async def _counted(first: Any, rest: AsyncGenerator[Any, None], timer: "_Timer") -> AsyncGenerator[Any, None]:
    async with aclosing(rest):
        with timer:
            yield first
            async for event in rest:
                yield event


class _Timer:
    """Reports one call's outcome and time to the metrics when its block ends."""

    def __init__(self, services: Services, task: str, route: Route) -> None:
        self._metrics = services.metrics
        self._task = task
        self._model = route.id
        self._started = time.perf_counter()
        self._report_ok = True
        self.seconds = 0.0

    def unless_ok(self) -> "_Timer":
        """Report only a failure of the next block: more of this call is to come."""
        self._report_ok = False
        return self

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        self.seconds = time.perf_counter() - self._started
        if error is not None or self._report_ok:
            self._metrics.observe(
                task=self._task, model=self._model, outcome=_outcome(error), seconds=self.seconds
            )
        self._report_ok = True


def _outcome(error: BaseException | None) -> str:
    if error is None:
        return "ok"
    if isinstance(error, Exception):
        return problem_of(error).code
    return "disconnected"
