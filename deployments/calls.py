"""One call of one client: routed, timed, counted, and a job where it must be. Every wire format ends here."""

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar, cast

from cluster.api_keys import ADMIN, ApiKey
from cluster.artifacts.store import StoreFull
from cluster.gate import Priority
from cluster.jobs.errors import JobConflict, JobStoreError
from cluster.jobs.job import Job, JobInput, JobState, NewJob, Submitted
from deployments.backend import ServedBy
from deployments.budgets import check_budget
from deployments.errors import (
    Accepted,
    Forbidden,
    HandedOver,
    JobCancelled,
    JobFailed,
    RunTimedOut,
)
from deployments.forms import Form
from deployments.gateway import Route
from deployments.preferences import NO_PREFERENCE, NO_WISH, JobWish, Preference
from deployments.runs import RunInfo
from deployments.services import Services
from deployments.timer import Timer
from deployments.works import result_of
from pipelines.tasks.base import TaskRequest, TaskResult

T = TypeVar("T")
ResultT = TypeVar("ResultT", bound=TaskResult)

STATUS_OPERATIONS = {
    "speech-to-text": "GetTextGenerationStatus",
    "image-to-text": "GetTextGenerationStatus",
    "chat": "GetOpenAiChatStatus",
}
"""AI Server has an operation of its own to ask for the state of these."""


@dataclass(frozen=True)
class Work(Generic[ResultT]):
    """What is to be done, and by whom."""

    task: str
    request: TaskRequest[ResultT]
    route: Route
    form: Form = field(default_factory=Form)
    """The files that the request names came with it."""
    wish: JobWish = NO_WISH
    """What the client says of the job that this is, or may become."""

    @property
    def asked(self) -> TaskRequest[ResultT]:
        """The request, with what only the name of the route says of it."""
        return self.route.addressed(self.request)

    @property
    def inputs(self) -> tuple[JobInput, ...]:
        """The files, as a job keeps them."""
        return tuple(JobInput(field=name, **vars(file)) for name, file in self.form.files.items())


@dataclass(frozen=True)
class Served(Generic[ResultT]):
    """A result, and who gave it."""

    result: ResultT
    provider: str
    duration_s: float


@dataclass(frozen=True)
class Call:
    """A call on behalf of one API key."""

    services: Services
    info: RunInfo
    limit_s: float | None
    """Seconds until the result, or the first event of a stream; None waits for ever."""
    base_url: str = ""
    """How the client reaches this server, without a slash at the end."""
    wish: JobWish = NO_WISH
    """What the headers say of a job; the body may say more."""
    preference: Preference = NO_PREFERENCE
    key: ApiKey = ADMIN
    """What it may do, and what it may cost."""
    tell_server: Callable[[str], None] = lambda _: None
    """Hears who serves the call, before the answer begins."""

    @property
    def owner(self) -> str:
        """Id of the API key."""
        return self.info.owner

    async def run(self, work: Work[ResultT]) -> Served[ResultT]:
        """Do the work within the synchronous limit.

        Raises:
            ApiError: `Busy`, `ReplicaLost`; `HandedOver` if the limit came first, and `Accepted` if the
                client rather takes a job than waits.
            PipelineError: what the pipeline said of the input.
        """
        timer = Timer(self.services.metrics, work.task, work.route.id)
        with timer:
            await self._admit(work)
            result = await (self._job_result(work) if work.wish.idempotency_key else self._result(work))
        self.tell_server(result.provider)
        return Served(result, result.provider, timer.seconds)

    async def stream(self, work: Work[Any]) -> AsyncGenerator[Any, None]:
        """Start the work and wait for its first event, so that a failure still becomes an HTTP error.

        Returns the whole stream, first event included. The synchronous limit holds until that
        first event; the rest may take as long as the work does. Where the limit comes first, the
        work is begun anew as a job.
        """
        timer = Timer(self.services.metrics, work.task, work.route.id)
        with timer.unless_ok():
            await self._admit(work)
            if self._limit_s == 0:
                raise await self._as_job(work)
            events = work.route.backend.stream(work.task, work.asked, self.info)
            try:
                async with asyncio.timeout(self._limit_s) as deadline:
                    first = await anext(events)
                    if isinstance(first, ServedBy):
                        self.tell_server(first.provider)
                        first = await anext(events)
            except TimeoutError as error:
                if not deadline.expired():
                    raise  # the work's own
                raise await self._as_job(work) from error
        return _counted(first, events, timer)

    async def submit(
        self, works: Sequence[Work[Any]], priority: Priority = Priority.NORMAL
    ) -> list[Submitted]:
        """Queue the work, all of it or nothing; with `priority` where the client does not wish another."""
        for work in works:
            await self._admit(work)
        return await self._submit(works, priority)

    async def _submit(
        self, works: Sequence[Work[Any]], priority: Priority = Priority.NORMAL
    ) -> list[Submitted]:
        new = [await self._new_job(work, priority) for work in works]
        for work in works:
            # Before and not after: whatever happens to this request meanwhile, an accepted job has its files.
            work.form.keep_files(True)
        try:
            submitted = await self.services.jobs.submit(new)
        except (JobConflict, StoreFull):
            _keep_none(works)  # after any other error the jobs may be there all the same
            raise
        _keep_none([work for work, job in zip(works, submitted, strict=True) if not job.is_new])
        return submitted

    async def _admit(self, work: Work[Any]) -> None:
        """Refuse what the API key may not do; what is accepted now should not fail for that later.

        Raises:
            Forbidden: it may not use this model, or nobody who serves it.
            BadRequest: the provider that the request pins does not serve this model.
            BudgetSpent: it has cost as much as it may this month.
        """
        route, key = work.route, self.key
        if route.candidates is None:
            return  # the server's own operations cost nothing, and are no models
        if not key.may_use_model(route.all_names):
            allowed = ", ".join(key.models or ()) or "none"
            name = route.upstream or route.id
            raise Forbidden(
                f"This API key may not use the model {name:.200}. It may use: {allowed}.", "model"
            )
        route.candidates.allowed(work.task, work.request.provider, self.info.providers)
        await check_budget(key, self.services.ledger)

    @property
    def _limit_s(self) -> float | None:
        return self.preference.limit_s(self.limit_s)

    async def _result(self, work: Work[ResultT]) -> ResultT:
        if self._limit_s == 0:
            raise await self._as_job(work)
        started_at = time.time()
        info = replace(self.info, limit_s=self.services.config.timeouts.job_limit_s(work.task))
        run = asyncio.ensure_future(work.route.backend.run(work.task, work.asked, info))
        try:
            done, _ = await asyncio.wait({run}, timeout=self._limit_s)
            if done:
                return run.result()
            raise await self._adopted(work, run, started_at)
        except BaseException as error:
            if not isinstance(error, HandedOver):
                await _stop(run)
            raise

    async def _job_result(self, work: Work[ResultT]) -> ResultT:
        """Do the work as a job, so that sending the same request again finds it."""
        (submitted,) = await self._submit([work], Priority.HIGHEST)  # somebody waits
        job = await self.services.jobs.get(submitted.id, self.owner)
        job = await self.services.jobs.wait(job, self._limit_s)
        if not job.state.is_final:
            raise self._handed_over(work, Submitted(job.id, job.ref_id, job.state, is_new=False))
        return cast("ResultT", _result_of_job(job))

    async def _as_job(self, work: Work[Any]) -> HandedOver:
        (submitted,) = await self._submit([work])
        return self._handed_over(work, submitted)

    async def _adopted(
        self, work: Work[Any], run: Awaitable[Any], started_at: float
    ) -> HandedOver | RunTimedOut:
        new = await self._new_job(work)
        work.form.keep_files(True)
        try:
            try:
                submitted = await self.services.jobs.adopt(new, started_at, run)
            except JobConflict:
                # The client used its refId before. A synchronous call takes it as a mere wish.
                unnamed = replace(new, ref_id=uuid.uuid4().hex)
                submitted = await self.services.jobs.adopt(unnamed, started_at, run)
        except JobStoreError as error:
            work.form.keep_files(False)
            return RunTimedOut(
                f"The work did not end within {self._limit_s:g} s, the limit of a synchronous call. "
                f"It could not go on as a job, and was stopped: {error}"
            )
        return self._handed_over(work, submitted)

    def _handed_over(self, work: Work[Any], submitted: Submitted) -> HandedOver:
        answer = self.ticket(work.task, submitted)
        location = f"{self.base_url}/jobs/{submitted.id}"
        if self.preference.takes_job:
            applied = "respond-async" if self.preference.respond_async else f"wait={self._limit_s:g}"
            return Accepted("The work was queued.", answer, location, applied)
        return HandedOver(
            f"The work did not end within {self._limit_s:g} s, the limit of a synchronous call. It goes on "
            f"as job {submitted.id}: its result will be at {answer['statusUrl']}",
            answer,
            location,
        )

    def ticket(self, task: str, submitted: Submitted, operation: str | None = None) -> dict[str, Any]:
        """Tell the client of its job, as AI Server does; `operation` is asked how it goes, or its task's."""
        operation = operation or STATUS_OPERATIONS.get(task, "GetArtifactGenerationStatus")
        return {
            "jobId": submitted.id,
            "refId": submitted.ref_id,
            "jobState": submitted.state.value,
            "status": submitted.state.value,
            "statusUrl": f"{self.base_url}/api/{operation}?jobId={submitted.id}",
        }

    async def _new_job(self, work: Work[Any], priority: Priority = Priority.NORMAL) -> NewJob:
        wish, request = work.wish, work.asked.model_dump_json()
        parts = [work.task, work.route.id, request, repr(replace(wish, ref_id=None, idempotency_key=None))]
        jobs = self.services.jobs
        return NewJob(
            owner=self.owner,
            task=work.task,
            model=work.route.id,
            request=request,
            ref_id=wish.ref_id or uuid.uuid4().hex,
            fingerprint=await jobs.fingerprint(parts, work.inputs) if wish.is_repeatable else "",
            priority=priority if wish.priority is None else wish.priority,
            tag=wish.tag,
            client_state=wish.client_state,
            reply_to=wish.reply_to,
            idempotency_key=wish.idempotency_key,
            inputs=work.inputs,
        )


def _keep_none(works: Sequence[Work[Any]]) -> None:
    for work in works:
        work.form.keep_files(False)


def _result_of_job(job: Job) -> TaskResult:
    if job.state == JobState.COMPLETED and job.result is not None:
        return result_of(job.task, job.result)
    if job.state == JobState.CANCELLED:
        raise JobCancelled(f"Job {job.id} was cancelled.")
    raise JobFailed(job.error_message or "The job failed.", job.error_code or "", job.error_field)


async def _stop(run: asyncio.Future[Any]) -> None:
    run.cancel()
    await asyncio.gather(run, return_exceptions=True)


async def _counted(first: Any, rest: AsyncGenerator[Any, None], timer: Timer) -> AsyncGenerator[Any, None]:
    async with aclosing(rest):
        with timer:
            yield first
            async for event in rest:
                yield event
