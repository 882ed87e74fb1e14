"""The results of a job in AI Server's words, for its status and its webhook."""

import logging
from collections.abc import Callable
from typing import Any

from pydantic import ValidationError

from cluster.artifacts.media_types import media_type_of
from cluster.jobs.job import Job, JobState
from deployments.calls import Served
from deployments.fields import pascal_case
from deployments.routers.aiserver.operation import Objects
from deployments.routers.aiserver.responses import Answer, ObjectResponse, StatusResponse
from deployments.routers.aiserver.table import OPERATION_OF
from deployments.routers.embedding_answers import embedding_list
from deployments.uploads import UploadedFile
from deployments.works import result_of
from pipelines.tasks.base import MediaKey
from pipelines.tasks.chat import ChatResult
from pipelines.transforms import TRANSFORMS

logger = logging.getLogger("ai_server.jobs")

_OUTPUTS: dict[str, Any] = {task: operation.outputs for task, operation in OPERATION_OF.items()} | {
    "chat": Objects(ChatResult.body),
    "embedding": Objects(embedding_list),
}
"""What each task gives, in the words of its own wire format."""


def outputs_of(job: Job, url_of: Callable[[MediaKey], str]) -> Answer | None:
    """Give what the synchronous operation would have answered; None while there is no result."""
    if job.state != JobState.COMPLETED or job.result is None:
        return None
    try:
        return _outputs(job, job.result, url_of)
    except (KeyError, ValidationError):
        # Stored by another version of this program; it must not spoil the whole list.
        logger.exception("the result of job %d cannot be read", job.id)
        return None


def _outputs(job: Job, result: str, url_of: Callable[[MediaKey], str]) -> Answer:
    found = result_of(job.task, result)
    served = Served(found, found.provider, job.duration_s or 0.0)
    files = {
        each.field: UploadedFile(each.key, each.file_name, each.content_type, each.size_bytes)
        for each in job.inputs
    }
    answer: Answer = _OUTPUTS[job.task].respond(served, files, url_of)
    return answer


def fault_of(job: Job) -> dict[str, Any] | None:
    """Give the ``responseStatus`` of a job that failed or was cancelled."""
    if job.state == JobState.FAILED:
        return _fault(job.error_code or "Exception", job.error_message, _wire_name(job))
    if job.state == JobState.CANCELLED:
        return {"errorCode": "OperationCanceledException", "message": "Job was cancelled"}
    return None


def _wire_name(job: Job) -> str | None:
    """Give the field that an error is about, as the operation calls it."""
    operation = OPERATION_OF.get(job.task)
    names = operation.field_names if operation else {}
    return None if job.error_field is None else names.get(job.error_field, job.error_field)


def _fault(code: str, message: str | None, field: str | None) -> dict[str, Any]:
    fault: dict[str, Any] = {"errorCode": code, "message": f"Job failed: {message}"}
    if field is not None:
        fault["errors"] = [{"errorCode": code, "fieldName": pascal_case(field), "message": message}]
    return fault


def status_of(job: Job, url_of: Callable[[MediaKey], str]) -> StatusResponse:
    """Say how a job is."""
    outputs = outputs_of(job, url_of)
    return StatusResponse(
        job_id=job.id,
        ref_id=job.ref_id,
        job_state=job.state.value,
        status=(job.step if job.state == JobState.STARTED else "") or job.state.value,
        response_status=fault_of(job),
        **(dict(outputs) if outputs else {}),
    )


def webhook_body(job: Job) -> dict[str, Any]:
    """Give what `replyTo` hears of an ended job; URLs are relative, as AI Server's are."""
    outputs = outputs_of(job, lambda key: f"/artifacts/{key}")
    if isinstance(outputs, ObjectResponse):
        return outputs.result  # a chat's webhook is the completion itself, as AI Server sends it
    shown = outputs.model_dump(mode="json", by_alias=True, exclude_none=True) if outputs else {}
    body = {
        "state": job.client_state,
        "refId": job.ref_id,
        "jobId": job.id,
        "jobState": job.state.value,
        "outputs": [_file(item, job.task) for item in shown["outputs"]] if "outputs" in shown else None,
        "textOutputs": shown.get("textOutputs"),
        "notes": shown.get("notes"),
        "responseStatus": fault_of(job),
    }
    return {name: value for name, value in body.items() if value is not None}


def _file(item: dict[str, Any], task: str) -> dict[str, Any]:
    told = {name: value for name, value in item.items() if name != "provider"}
    if task not in TRANSFORMS:
        return told
    family = media_type_of(item["url"].rpartition(".")[2]).partition("/")[0]
    return {**told, "outputFormat": family.capitalize()}
