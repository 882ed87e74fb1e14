"""Between rows of the database and records."""

from typing import Any

from sqlalchemy import Row

from cluster.jobs.job import Attempt, Job, JobInput, JobState, NewJob


def job_of(row: Row[*tuple[Any, ...]]) -> Job:
    """Read a whole row of the table `jobs`."""
    values = dict(row._mapping)
    return Job(
        **{
            **values,
            "state": JobState(values["state"]),
            "inputs": tuple(JobInput.model_validate(each) for each in values["inputs"]),
            "history": tuple(Attempt.model_validate(each) for each in values["history"]),
        }
    )


def values_of(job: NewJob, now: float) -> dict[str, Any]:
    """Give the columns of a job that was just submitted."""
    return {
        "owner": job.owner,
        "ref_id": job.ref_id,
        "idempotency_key": job.idempotency_key,
        "fingerprint": job.fingerprint,
        "task": job.task,
        "model": job.model,
        "priority": job.priority,
        "tag": job.tag,
        "client_state": job.client_state,
        "reply_to": job.reply_to,
        "request": job.request,
        "inputs": [each.model_dump() for each in job.inputs],
        "state": JobState.QUEUED.value,
        "attempts": 0,
        "fence": 0,
        "created_at": now,
        "progress": 0.0,
        "step": "",
        "dead": False,
        "history": [],
        "webhook_attempts": 0,
    }
