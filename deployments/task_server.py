"""What every replica that does work shares: the gate, the threads, and a sign of life."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TypeAlias, TypeVar

from cluster.artifacts.store import ArtifactStore, StoreFull
from cluster.gate import PriorityGate
from configs.schema import ServerConfig
from deployments.errors import Busy, RunTooLong
from deployments.progress import ProgressReporter
from deployments.provider_backend import run_limits
from deployments.runs import Activity, RunInfo
from deployments.workspace import RunWorkspace
from pipelines.errors import OutOfMemory, PipelineError

T = TypeVar("T")
ReplicaError: TypeAlias = PipelineError | Busy | RunTooLong | StoreFull
"""What a replica gives as a value."""

_EXPECTED = (PipelineError, StoreFull, MemoryError)
"""What work may raise without being broken."""


class _End:
    """Stands where an iterator has no more; StopIteration cannot cross a future."""


class ReplicaStalled(RuntimeError):
    """A run shows no progress; Serve replaces the replica when its health check raises this."""


class TaskServer:
    """Runs blocking work in threads, as many at once as the engine takes, the urgent first.

    A permit is held until its thread has really ended, also when the caller has gone: two runs
    never meet in an engine that takes one.
    """

    def __init__(self, artifacts: ArtifactStore, config: ServerConfig, concurrency: int) -> None:
        """Prepare `concurrency` permits and as many threads."""
        self._artifacts = artifacts
        self._limits = run_limits(config)
        self._stall_s = config.timeouts.stall_s
        self._queue_limit = config.limits.queued_requests
        self._gate = PriorityGate(concurrency)
        self._threads = ThreadPoolExecutor(concurrency, thread_name_prefix="run")
        self._running: set[RunWorkspace] = set()

    async def activity(self) -> Activity:
        """Tell what is under way and how long the quietest run has been silent."""
        silent_s = max((run.silent_s for run in self._running), default=0.0)
        return Activity(len(self._running), self._gate.waiting, silent_s)

    async def check_health(self) -> None:
        """Raise `ReplicaStalled` when a run has been silent for too long (Serve calls this)."""
        activity = await self.activity()
        if activity.silent_s > self._stall_s:
            raise ReplicaStalled(f"a run has shown no progress for {activity.silent_s:.0f} s")

    async def _run(self, info: RunInfo, work: Callable[[RunWorkspace], T]) -> T | ReplicaError:
        """Give the work's result, or the error that it raised on purpose.

        Such an error is a value and not raised, because Serve logs whatever a replica raises with
        its traceback, and a caller's bad input is no incident.
        """
        if self._is_full:
            return Busy()
        async with self._workspace(info) as workspace:
            try:
                async with asyncio.timeout(info.limit_s) as limit:
                    return await self._in_thread(workspace, lambda: work(workspace))
            except TimeoutError:
                if not limit.expired():
                    raise  # the work's own
                return RunTooLong(f"The run did not end within {info.limit_s:g} s, its time limit.")
            except _EXPECTED as error:
                return _as_value(error)

    async def _stream(
        self, info: RunInfo, work: Callable[[RunWorkspace], Generator[T, None, None]]
    ) -> AsyncGenerator[T | ReplicaError, None]:
        """Give the work's events, and as the last one the error that it raised on purpose, if it did."""
        if self._is_full:
            yield Busy()
            return
        async with self._workspace(info) as workspace:
            events = work(workspace)
            try:
                while True:
                    event = await self._in_thread(workspace, lambda: next(events, _End()))
                    if isinstance(event, _End):
                        return
                    yield event
            except _EXPECTED as error:
                yield _as_value(error)
            finally:
                await self._in_thread(workspace, events.close)

    @property
    def _is_full(self) -> bool:
        return self._gate.waiting >= self._queue_limit

    @asynccontextmanager
    async def _workspace(self, info: RunInfo) -> AsyncIterator[RunWorkspace]:
        async with self._gate.permit(info.priority):
            workspace = self._new_workspace(info)
            self._running.add(workspace)
            try:
                yield workspace
            finally:
                self._running.discard(workspace)

    def _new_workspace(self, info: RunInfo) -> RunWorkspace:
        settings = (self._artifacts, info.owner, self._limits, info.priority)
        if info.job is None:
            return RunWorkspace(*settings)
        return RunWorkspace(*settings, on_progress=ProgressReporter(info.job))

    async def demand(self, seconds: float) -> None:
        """Do nothing for a while: the autoscaler counts this call, so waiting jobs make it add replicas."""
        await asyncio.sleep(seconds)

    async def _in_thread(self, workspace: RunWorkspace, work: Callable[[], T]) -> T:
        future = asyncio.get_running_loop().run_in_executor(self._threads, work)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            workspace.cancel()
            await asyncio.wait([future])
            future.exception()  # looked at, so that asyncio does not log the Cancelled that we asked for
            raise


def _as_value(error: PipelineError | StoreFull | MemoryError) -> ReplicaError:
    if isinstance(error, MemoryError):
        return OutOfMemory("The run needs more memory than there is. Send less at once.")
    return error
