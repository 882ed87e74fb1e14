"""/jobs: one's own jobs. List, look at, follow, cancel, requeue; and their webhooks."""

import base64
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import JSONResponse

from cluster.api_keys import ADMIN_ID
from cluster.jobs.job import Job, JobFilter, JobState
from deployments.calls import Call
from deployments.dependencies import CallDep
from deployments.errors import BadRequest, Forbidden
from deployments.routers.aiserver.wire import StoredText
from deployments.routers.job_views import JobDetails, JobPage, JobView, WebhookSecret, details_of, view_of
from deployments.streaming import EVENT_STREAM, Event, StreamedResponse, server_sent_events

router = APIRouter(prefix="/jobs", tags=["Jobs"])

MAX_PAGE = 200
LOOK_AGAIN_S = 2.0
"""A waiting job changes its place in the queue without changing itself."""

JobNumber = Annotated[int, Path(alias="job_id", description="The job's id", examples=[7])]
_JOB: dict[str, Any] = {
    "jobId": 7,
    "refId": "0c5f6a1d9e3b4c7f8a2d1e0f9b8c7a6d",
    "apiKeyId": "0",
    "task": "speech-to-text",
    "model": "whisper-base",
    "state": "Started",
    "priority": 0,
    "attempts": 1,
    "deadLetter": False,
    "progress": 0.4,
    "estimatedSecondsLeft": 3.2,
    "createdDate": "2026-11-24T18:58:12.132Z",
    "startedDate": "2026-11-24T18:58:12.161Z",
}


def _example(body: Any, kind: str = "application/json") -> dict[int | str, dict[str, Any]]:
    return {200: {"content": {kind: {"example": body}}}}


_SHOWN = _example({**_JOB, "history": [], "deliveries": []})
_NOT_FOUND: dict[int | str, dict[str, Any]] = {404: {"description": "You have no such job"}}
_CONFLICT: dict[int | str, dict[str, Any]] = {409: {"description": "The job's state forbids it"}}


def _who(call: Call) -> str | None:
    """Give whose jobs the caller may touch: his own; the admin everybody's."""
    return None if call.owner == ADMIN_ID else call.owner


async def _job(call: Call, job_id: int) -> Job:
    return await call.services.jobs.get(job_id, _who(call))


@router.get(
    "",
    operation_id="list_jobs",
    summary="List jobs",
    response_model=JobPage,
    responses=_example({"jobs": [_JOB], "next": "YmVmb3JlOjc"}),
)
async def list_jobs(
    call: CallDep,
    state: Annotated[JobState | None, Query(description="Only in this state")] = None,
    task: Annotated[StoredText, Query(description="Only of this task, e.g. `speech-to-text`")] = None,
    tag: Annotated[StoredText, Query(description="Only with this tag")] = None,
    created_from: Annotated[datetime | None, Query(alias="from", description="ISO 8601")] = None,
    created_to: Annotated[datetime | None, Query(alias="to", description="ISO 8601, exclusive")] = None,
    dead_letter: Annotated[
        bool | None, Query(alias="deadLetter", description="Only (or none of) those out of attempts")
    ] = None,
    everybody: Annotated[bool, Query(alias="all", description="Every key's; for the admin key")] = False,
    cursor: Annotated[str | None, Query(description="`next` of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 50,
) -> JSONResponse:
    """Show the newest jobs first.

    ```sh
    curl -H "Authorization: Bearer $AI_SERVER_API_KEY" "http://127.0.0.1:8000/jobs?state=Failed&limit=10"
    ```
    """
    if everybody and call.owner != ADMIN_ID:
        raise Forbidden("Only the admin key sees everybody's jobs. Leave 'all' out.", "all")
    wanted = JobFilter(
        owner=None if everybody else call.owner,
        state=state,
        task=task,
        tag=tag,
        created_from=_seconds(created_from),
        created_to=_seconds(created_to),
        dead=dead_letter,
        before_id=_id_of(cursor) if cursor else None,
    )
    found = await call.services.jobs.some(wanted, limit + 1)
    page = JobPage(
        jobs=tuple(view_of(job, call.base_url) for job in found[:limit]),
        next=_cursor(found[limit - 1].id) if len(found) > limit else None,
    )
    return _answer(page)


@router.get(
    "/webhook-secret",
    operation_id="webhook_secret",
    summary="What signs your webhooks",
    response_model=WebhookSecret,
    responses=_example({"secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}),
)
async def webhook_secret(call: CallDep) -> JSONResponse:
    """Give the secret with which your webhooks can be verified, after the Standard Webhooks specification.

    ```sh
    curl -H "Authorization: Bearer $AI_SERVER_API_KEY" http://127.0.0.1:8000/jobs/webhook-secret
    ```
    """
    return _answer(WebhookSecret(secret=await call.services.jobs.webhook_secret(call.owner)))


@router.get(
    "/{job_id}",
    operation_id="get_job",
    summary="Look at a job",
    response_model=JobDetails,
    responses={**_SHOWN, **_NOT_FOUND},
)
async def get_job(job_id: JobNumber, call: CallDep) -> JSONResponse:
    """Show everything about a job: place in the queue, progress, results, failed attempts, webhooks.

    ```sh
    curl -H "Authorization: Bearer $AI_SERVER_API_KEY" http://127.0.0.1:8000/jobs/7
    ```
    """
    return _answer(await _details(call, await _job(call, job_id)))


@router.delete(
    "/{job_id}",
    operation_id="cancel_job",
    summary="Cancel a job",
    response_model=JobDetails,
    responses={**_SHOWN, **_NOT_FOUND, **_CONFLICT},
)
async def cancel_job(job_id: JobNumber, call: CallDep) -> JSONResponse:
    """End a job: a waiting one at once, a running one at its next step; its result never appears.

    ```sh
    curl -X DELETE -H "Authorization: Bearer $AI_SERVER_API_KEY" http://127.0.0.1:8000/jobs/7
    ```
    """
    job = await _job(call, job_id)
    await call.services.jobs.cancel(job.id, job.owner)
    return _answer(await _details(call, await _job(call, job_id)))


@router.post(
    "/{job_id}/requeue",
    operation_id="requeue_job",
    summary="Queue a failed or cancelled job again",
    response_model=JobDetails,
    responses={**_SHOWN, **_NOT_FOUND, **_CONFLICT},
)
async def requeue_job(job_id: JobNumber, call: CallDep) -> JSONResponse:
    """Give a job that failed or was cancelled its attempts back; its history stays.

    ```sh
    curl -X POST -H "Authorization: Bearer $AI_SERVER_API_KEY" http://127.0.0.1:8000/jobs/7/requeue
    ```
    """
    job = await _job(call, job_id)
    await call.services.jobs.requeue(job.id, job.owner)
    return _answer(await _details(call, await _job(call, job_id)))


@router.post(
    "/{job_id}/webhook",
    operation_id="replay_webhook",
    summary="Deliver a job's webhook again",
    response_model=JobDetails,
    responses={**_SHOWN, **_NOT_FOUND, **_CONFLICT},
)
async def replay_webhook(job_id: JobNumber, call: CallDep) -> JSONResponse:
    """Send the webhook of an ended job once more, with all its attempts.

    ```sh
    curl -X POST -H "Authorization: Bearer $AI_SERVER_API_KEY" http://127.0.0.1:8000/jobs/7/webhook
    ```
    """
    job = await _job(call, job_id)
    await call.services.jobs.replay_webhook(job)
    return _answer(await _details(call, await _job(call, job_id)))


@router.get(
    "/{job_id}/events",
    operation_id="job_events",
    summary="Follow a job",
    response_class=Response,
    responses={**_example("data: {…}", EVENT_STREAM), **_NOT_FOUND},
)
async def job_events(job_id: JobNumber, request: Request, call: CallDep) -> StreamedResponse:
    """Send a job's state as server-sent events, until it has ended; the last one has the results.

    ```sh
    curl -N -H "Authorization: Bearer $AI_SERVER_API_KEY" http://127.0.0.1:8000/jobs/7/events
    ```
    """
    job = await _job(call, job_id)
    return StreamedResponse(server_sent_events(_events(call, job), request.scope), EVENT_STREAM)


async def _events(call: Call, job: Job) -> AsyncGenerator[Event, None]:
    last: Event = {}
    async with aclosing(call.services.jobs.changes(job, LOOK_AGAIN_S)) as changes:
        async for latest in changes:
            view = view_of(latest, call.base_url, await call.services.jobs.estimate(latest))
            event = view.model_dump(mode="json", by_alias=True, exclude_none=True)
            if event != last:
                yield event
                last = event


async def _details(call: Call, job: Job) -> JobDetails:
    jobs = call.services.jobs
    return details_of(job, call.base_url, await jobs.estimate(job), await jobs.deliveries(job))


def _answer(view: JobPage | JobView | WebhookSecret) -> JSONResponse:
    body = view.model_dump(mode="json", by_alias=True, exclude_none=True)
    return JSONResponse(body, HTTPStatus.OK)


def _seconds(moment: datetime | None) -> float | None:
    if moment is None:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _cursor(job_id: int) -> str:
    return base64.urlsafe_b64encode(f"before:{job_id}".encode()).decode().rstrip("=")


def _id_of(cursor: str) -> int:
    try:
        word, _, number = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode().partition(":")
        if word == "before" and number.isdecimal():
            return int(number)
    except ValueError:
        pass
    raise BadRequest("'cursor' is not one that this server gave. Begin without it.", "cursor")
