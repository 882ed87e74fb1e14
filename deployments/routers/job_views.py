"""A job as /jobs shows it."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from cluster.jobs.deliveries import Delivery
from cluster.jobs.estimates import Estimate
from cluster.jobs.job import Attempt, Job
from deployments.routers.aiserver.job_outputs import fault_of, outputs_of
from deployments.routers.aiserver.responses import Answer, ArtifactItem, TextItem


class AttemptView(Answer):
    """A run that did not finish the job."""

    attempt: int
    started_date: str | None
    ended_date: str
    error_code: str
    message: str


class DeliveryView(Answer):
    """An attempt to deliver the webhook."""

    message_id: str
    url: str
    attempt: int
    sent_date: str
    duration_ms: int
    status: int | None
    error: str


class JobView(Answer):
    """A job in short."""

    job_id: int
    ref_id: str
    api_key_id: str
    task: str
    model: str
    state: str
    priority: int
    tag: str | None = None
    attempts: int
    dead_letter: bool
    progress: float
    step: str | None = None
    queue_position: int | None = None
    """Jobs that will start before this one; 1000 means that many or more."""
    estimated_seconds_left: float | None = None
    """From the measured times of earlier runs."""
    created_date: str
    started_date: str | None = None
    completed_date: str | None = None
    duration_ms: int | None = None
    """Of the run that gave the result."""
    results: tuple[ArtifactItem | TextItem, ...] | None = None
    notes: tuple[str, ...] | None = None
    """What was done otherwise than asked."""
    response_status: dict[str, Any] | None = None


class JobDetails(JobView):
    """Everything about a job."""

    reply_to: str | None = None
    client_state: str | None = None
    next_attempt_date: str | None = None
    history: tuple[AttemptView, ...]
    deliveries: tuple[DeliveryView, ...]
    next_delivery_date: str | None = None


class JobPage(Answer):
    """Some jobs, the newest first."""

    jobs: tuple[JobView, ...]
    next: str | None = None
    """The `cursor` of the next page."""


class WebhookSecret(Answer):
    """What signs the webhooks of an API key."""

    secret: str


def view_of(job: Job, base_url: str, estimate: Estimate | None = None) -> JobView:
    """Show a job in short."""
    return JobView(**_fields(job, base_url, estimate))


def details_of(job: Job, base_url: str, estimate: Estimate, deliveries: Sequence[Delivery]) -> JobDetails:
    """Show everything about a job."""
    return JobDetails(
        **_fields(job, base_url, estimate),
        reply_to=job.reply_to,
        client_state=job.client_state,
        next_attempt_date=date_of(job.run_after),
        history=tuple(_attempt(each) for each in job.history),
        deliveries=tuple(_delivery(each) for each in deliveries),
        next_delivery_date=date_of(job.webhook_due),
    )


def _fields(job: Job, base_url: str, estimate: Estimate | None) -> dict[str, Any]:
    outputs: Any = outputs_of(job, lambda key: f"{base_url}/artifacts/{key}")
    left_s = estimate.seconds_left if estimate else None
    return {
        "job_id": job.id,
        "ref_id": job.ref_id,
        "api_key_id": job.owner,
        "task": job.task,
        "model": job.model,
        "state": job.state.value,
        "priority": job.priority,
        "tag": job.tag,
        "attempts": job.attempts,
        "dead_letter": job.dead,
        "progress": round(job.progress, 4),
        "step": job.step or None,
        "queue_position": estimate.queue_position if estimate else None,
        "estimated_seconds_left": None if left_s is None else round(left_s, 1),
        "created_date": date_of(job.created_at),
        "started_date": date_of(job.started_at),
        "completed_date": date_of(job.finished_at),
        "duration_ms": None if job.duration_s is None else round(job.duration_s * 1000),
        # What is an object, as a chat's answer, is shown by the status of its operation.
        "results": getattr(outputs, "results", None),
        "notes": getattr(outputs, "notes", None),
        "response_status": fault_of(job),
    }


def _attempt(attempt: Attempt) -> AttemptView:
    return AttemptView(
        attempt=attempt.attempt,
        started_date=date_of(attempt.started_at),
        ended_date=date_of(attempt.ended_at) or "",
        error_code=attempt.error_code,
        message=attempt.message,
    )


def _delivery(delivery: Delivery) -> DeliveryView:
    return DeliveryView(
        message_id=delivery.message_id,
        url=delivery.url,
        attempt=delivery.attempt,
        sent_date=date_of(delivery.sent_at) or "",
        duration_ms=round(delivery.duration_s * 1000),
        status=delivery.status,
        error=delivery.error,
    )


def date_of(seconds: float | None) -> str | None:
    """Write a moment in ISO 8601, UTC, with milliseconds."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
