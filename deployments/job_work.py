"""One run of a job: from the stored request to what is written of its end."""

import asyncio
import logging
import time
from collections.abc import Awaitable
from contextlib import suppress
from dataclasses import replace

from cluster.artifacts.store import StoreFull
from cluster.gate import Priority
from cluster.jobs.errors import StoreUnavailable
from cluster.jobs.job import Broken, ClaimedJob, Completed, Outcome
from cluster.jobs.retries import backoff_s
from cluster.jobs.texts import storable
from cluster.key_rights import KeyRights
from cluster.usage import UsageLedger
from configs.schema import TimeoutsConfig
from deployments.budgets import check_budget
from deployments.errors import Busy, NobodyLeft, ReplicaLost, problem_of
from deployments.gateway import Gateway
from deployments.runs import JobRun, RunInfo
from deployments.works import WORKS, request_of
from pipelines.errors import (
    Cancelled,
    ModelLoadError,
    OutOfMemory,
    ProviderBusy,
    ProviderDenied,
    ProviderFailed,
)
from pipelines.tasks.base import TaskResult

logger = logging.getLogger("ai_server.jobs")

_NOT_READY = (Busy, ModelLoadError, StoreFull, StoreUnavailable, ProviderBusy, ProviderDenied)
"""The server cannot do it now, whatever the job: it waits, and uses up no attempt."""
NOT_READY_PAUSE_S = 10.0
_HEALS = (ReplicaLost, Cancelled, ProviderFailed, NobodyLeft)
"""May go well another time, as it was. `Cancelled` comes here only if the replica had to go: a job that its
owner cancelled has no outcome."""


class JobWork:
    """Does what jobs ask for."""

    def __init__(
        self,
        gateway: Gateway,
        timeouts: TimeoutsConfig,
        runner: str,
        rights: KeyRights | None = None,
        ledger: UsageLedger | None = None,
    ) -> None:
        """Take who can do it, the limits, and the name of the Ray actor that wants to hear of progress.

        Args:
            gateway: finds who can do it.
            timeouts: the limits.
            runner: name of the Ray actor that wants to hear of progress.
            rights: knows what the owners of jobs may do; None limits nobody.
            ledger: knows what they spent; None limits nobody.
        """
        self._ledger = ledger
        self._rights = rights or KeyRights()
        self._gateway = gateway
        self._timeouts = timeouts
        self._runner = runner

    async def do(self, job: ClaimedJob) -> Outcome:
        """Run a job once; never raises but for cancellation."""
        return await outcome_of(self._run(job), job.attempt)

    async def _run(self, job: ClaimedJob) -> TaskResult:
        if job.task not in WORKS:
            raise UnknownTask(job.task)
        route = self._gateway.by_id(job.model, job.task)
        run = JobRun(job.id, job.fence, self._runner)
        key = await self._rights.of(job.owner)
        if self._ledger is not None and route.candidates is not None:
            # Between its acceptance and its turn others may have spent it. An unknown sum holds up no job.
            with suppress(StoreUnavailable):
                await check_budget(key, self._ledger)
        info = RunInfo(
            owner=job.owner,
            priority=Priority(job.priority),
            job=run,
            providers=key.providers,
            limit_s=self._timeouts.job_limit_s(job.task),
        )
        result: TaskResult = await route.backend.run(job.task, request_of(job.task, job.request), info)
        return result


class UnknownTask(Exception):
    """The job was stored by a version of this program that could do more."""


async def outcome_of(work: Awaitable[TaskResult], attempt: int) -> Outcome:
    """Await a run and say what is to be written of it."""
    started = time.perf_counter()
    try:
        result = await work
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        return _broken(Cancelled("The run was cancelled from within."), attempt)
    except Exception as error:  # noqa: BLE001  # whatever it is, the job must end
        return _broken(error, attempt)
    return Completed(result.model_dump_json(), time.perf_counter() - started)


def _broken(error: Exception, attempt: int) -> Broken:
    verdict = _verdict(error, attempt)
    field = problem_of(error).field
    return replace(
        verdict,
        code=storable(verdict.code, 64),
        message=storable(verdict.message, 2_000),
        field=None if field is None else storable(field, 255),
    )


def _verdict(error: Exception, attempt: int) -> Broken:
    if isinstance(error, UnknownTask):
        return Broken("NotSupportedException", f"This server cannot do {error} any more.")
    problem = problem_of(error)
    if isinstance(error, NobodyLeft) and (error.is_busy or not error.was_asked):
        pause_s = max(NOT_READY_PAUSE_S, error.retry_after_s)
        return Broken(problem.code, problem.message, pause_s, counts=False)
    if isinstance(error, _NOT_READY):
        return Broken(problem.code, problem.message, NOT_READY_PAUSE_S, counts=False)
    if problem.code == "InternalServerError":
        logger.error("A job failed for an unforeseen reason", exc_info=error)
        return Broken(problem.code, "The server failed on this job; its log has the reason.")
    heals = isinstance(error, _HEALS) or (isinstance(error, OutOfMemory) and attempt == 1)
    return Broken(problem.code, problem.message, backoff_s(attempt) if heals else None)
