"""How a job is, as the clients of AI Server ask for it."""

from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import Field

from cluster.jobs.job import Job, JobState
from deployments.calls import Call
from deployments.dependencies import CallDep
from deployments.errors import BadRequest
from deployments.fields import pascal_words
from deployments.forms import read_form
from deployments.routers.aiserver.job_outputs import status_of
from deployments.routers.aiserver.ollama_shapes import ollama_answer
from deployments.routers.aiserver.responses import StatusResponse
from deployments.routers.aiserver.wire import StoredText, Wire, bind
from deployments.routers.documentation import query_parameters

router = APIRouter(prefix="/api", tags=["Jobs"])


class WhichJob(Wire):
    """Which job; in the query string or the body, as all operations read their fields."""

    job_id: int | None = Field(default=None, description="The server's id of the job")
    ref_id: StoredText = Field(default=None, description="Your own id of the job; wins over `jobId`")


_VERBS = ["POST", "PUT", "PATCH", "DELETE"]
_EXAMPLE: dict[str, Any] = {
    "jobId": 7,
    "refId": "0c5f6a1d9e3b4c7f8a2d1e0f9b8c7a6d",
    "jobState": "Completed",
    "status": "Completed",
    "results": [{"url": "http://127.0.0.1:8000/artifacts/…", "fileName": "….png", "provider": "ai-server"}],
    "duration": "PT7.02S",
}
_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/json": {"example": _EXAMPLE}}},
    404: {"description": "There is no such job"},
    500: {"description": "The job failed: the responseStatus says why"},
}
_PARAMETERS = query_parameters(WhichJob.model_json_schema(by_alias=True))


async def _found(request: Request, call: Call) -> Job:
    async with read_form(request, call.services, call.owner) as form:
        which = bind(WhichJob, form.fields)
    return await find_job(call, which.job_id, which.ref_id, "jobId")


async def find_job(call: Call, job_id: int | None, ref_id: str | None, name: str) -> Job:
    """Find a job of the caller by one of its ids; `name` is what the field of the server's own is called."""
    if ref_id is not None:
        return await call.services.jobs.find(ref_id, call.owner)
    if job_id is None:
        raise BadRequest(f"'{pascal_words(name)}' must not be empty. Send {name} or refId.", name, "NotEmpty")
    return await call.services.jobs.get(job_id, call.owner)


async def generation_status(request: Request, call: CallDep) -> JSONResponse:
    r"""Say how a job is, with its results when it has been completed. A failed job answers 500.

    ```sh
    curl -H "Authorization: Bearer $AI_SERVER_API_KEY" \
      "http://127.0.0.1:8000/api/GetArtifactGenerationStatus?jobId=7"
    ```
    """
    job = await _found(request, call)
    failed = job.state == JobState.FAILED
    return _answer(call, job, HTTPStatus.INTERNAL_SERVER_ERROR if failed else HTTPStatus.OK)


async def job_status(request: Request, call: CallDep) -> JSONResponse:
    r"""Say how a job of any kind is; a failed one answers 200 and tells in its `responseStatus` why.

    ```sh
    curl -H "Authorization: Bearer $AI_SERVER_API_KEY" "http://127.0.0.1:8000/api/GetJobStatus?refId=mine"
    ```
    """
    return _answer(call, await _found(request, call), HTTPStatus.OK)


async def ollama_status(request: Request, call: CallDep) -> JSONResponse:
    r"""Say how a job of `QueueOllamaGeneration` is, with its result as Ollama writes it.

    ```sh
    curl -H "Authorization: Bearer $AI_SERVER_API_KEY" \
      "http://127.0.0.1:8000/api/GetOllamaGenerationStatus?jobId=7"
    ```
    """
    job = await _found(request, call)
    body = status_of(job, str)
    if body.result is not None:
        result = ollama_answer(body.result, body.result.get("model") or "", job.duration_s or 0.0)
        body = body.model_copy(update={"result": result, "chat_response": None})
    return JSONResponse(body.model_dump(mode="json", by_alias=True, exclude_none=True))


def _answer(call: Call, job: Job, status: HTTPStatus) -> JSONResponse:
    body = status_of(job, lambda key: f"{call.base_url}/artifacts/{key}")
    return JSONResponse(body.model_dump(mode="json", by_alias=True, exclude_none=True), status)


for _name, _endpoint in (
    ("GetArtifactGenerationStatus", generation_status),
    ("GetTextGenerationStatus", generation_status),
    ("GetOpenAiChatStatus", job_status),
    ("GetOllamaGenerationStatus", ollama_status),
    ("GetJobStatus", job_status),
):
    router.add_api_route(
        f"/{_name}",
        _endpoint,
        methods=["GET"],
        operation_id=_name,
        summary="How is a job?",
        response_model=StatusResponse,
        responses=_RESPONSES,
        openapi_extra=_PARAMETERS,
    )
    router.add_api_route(f"/{_name}", _endpoint, methods=_VERBS, include_in_schema=False)
