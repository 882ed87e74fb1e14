"""A Serve deployment as a backend of the gateway: Ray's errors come out as ours."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, TypeVar, cast

from ray.exceptions import ActorDiedError, ActorUnavailableError, RayTaskError, WorkerCrashedError
from ray.serve.exceptions import (
    BackPressureError,
    DeploymentUnavailableError,
    ReplicaUnavailableError,
    RequestCancelledError,
)
from ray.serve.handle import DeploymentHandle, DeploymentResponse, DeploymentResponseGenerator

from cluster.artifacts.store import StoreFull
from cluster.jobs.errors import JobStoreError
from deployments.errors import ApiError, Busy, ReplicaLost
from deployments.runs import RunInfo
from pipelines.errors import Cancelled, ModelLoadError, PipelineError
from pipelines.tasks.base import TaskRequest, TaskResult

T = TypeVar("T")
ResultT = TypeVar("ResultT", bound=TaskResult)

_LOST = (ActorDiedError, ActorUnavailableError, ReplicaUnavailableError, WorkerCrashedError)
RAY_ERRORS = (
    RayTaskError,
    BackPressureError,
    DeploymentUnavailableError,
    RequestCancelledError,
    *_LOST,
)
"""What a handle raises instead of a replica's answer."""


class HandleBackend:
    """Calls the replicas of one deployment."""

    def __init__(self, handle: DeploymentHandle[Any], *, repeats: bool = True) -> None:
        """Take the deployment's handle.

        Args:
            handle: the deployment's.
            repeats: whether to do the work once more if the replica dies. A run changes nothing that a
                second one breaks; but whoever counts attempts repeats by himself.
        """
        self._handle = handle
        self._repeats = repeats
        self._streaming = handle.options(stream=True)

    async def run(self, task: str, request: TaskRequest[ResultT], info: RunInfo) -> ResultT:
        """Do the work and give its result; a caller that is cancelled stops the work."""
        try:
            return await self._run_once(task, request, info)
        except ReplicaLost:
            if not self._repeats:
                raise
            return await self._run_once(task, request, info)

    async def stream(self, task: str, request: TaskRequest[Any], info: RunInfo) -> AsyncGenerator[Any, None]:
        """Do the work and give its events; a caller that stops listening stops the work."""
        is_first = True
        try:
            async with aclosing(self._stream_once(task, request, info)) as events:
                async for event in events:
                    is_first = False
                    yield event
        except ReplicaLost:
            if not is_first:
                raise
            async with aclosing(self._stream_once(task, request, info)) as events:
                async for event in events:
                    yield event

    # remote() is annotated with both kinds of response; stream=True chooses.

    async def _run_once(self, task: str, request: TaskRequest[ResultT], info: RunInfo) -> ResultT:
        response = cast("DeploymentResponse[Any]", self._handle.run.remote(task, request, info))
        try:
            answer: ResultT | PipelineError | ApiError | StoreFull = await response
        except asyncio.CancelledError:
            response.cancel()  # Ray goes on with what nobody awaits any more
            raise
        except RAY_ERRORS as error:
            raise unwrapped(error) from error
        return value_of(answer)

    async def _stream_once(
        self, task: str, request: TaskRequest[Any], info: RunInfo
    ) -> AsyncGenerator[Any, None]:
        response = cast(
            "DeploymentResponseGenerator[Any]", self._streaming.stream.remote(task, request, info)
        )
        try:
            async for event in response:
                yield value_of(event)
        except RAY_ERRORS as error:
            raise unwrapped(error) from error
        finally:
            response.cancel()


def value_of(answer: T | PipelineError | ApiError | StoreFull | JobStoreError) -> T:
    """Give a replica's answer; raise it if it is an error that the replica gave as a value."""
    if isinstance(answer, (PipelineError, ApiError, StoreFull, JobStoreError)):
        raise answer
    return answer


def unwrapped(error: Exception) -> Exception:
    """Give the error that a replica raised, or ours for what Ray says of the replica itself."""
    if isinstance(error, RayTaskError):
        cause = error.cause
        return cause if isinstance(cause, Exception) else error
    if isinstance(error, BackPressureError):
        return Busy()
    if isinstance(error, _LOST):
        return ReplicaLost("The replica that did this work died; try again.")
    if isinstance(error, DeploymentUnavailableError):
        return ModelLoadError("The model's process could not be started; the server's log has the reason.")
    return Cancelled("The run was cancelled.")


async def within(seconds: float, awaitable: Any, default: Any) -> Any:
    """Await a question to a replica, or give `default` if it does not answer in time."""
    try:
        async with asyncio.timeout(seconds):
            return await awaitable
    except (TimeoutError, *RAY_ERRORS):
        return default
