"""All operations of AI Server's format, and their routes; a new one is an entry in a table beside this."""

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from deployments.calls import Call
from deployments.dependencies import CallDep, KeyDep, ServicesDep
from deployments.errors import BadRequest
from deployments.fields import field_names, pascal_words
from deployments.forms import Form, read_form, read_json
from deployments.middleware.access_log import note_call
from deployments.routers.aiserver import openapi
from deployments.routers.aiserver.operation import AnyOperation
from deployments.routers.aiserver.responses import Answer
from deployments.routers.aiserver.speech import SPEECH
from deployments.routers.aiserver.transforms import TRANSFORM_OPERATIONS
from deployments.routers.aiserver.wire import Wire, bind, pick_files
from deployments.services import Services

OPERATIONS: tuple[AnyOperation, ...] = (*SPEECH, *TRANSFORM_OPERATIONS)
MAX_BATCH = 100
_OTHER_VERBS = ["GET", "PUT", "PATCH", "DELETE"]

Endpoint = Callable[..., Awaitable[Response]]


async def perform(operation: AnyOperation, form: Form, call: Call, request: Request) -> Answer:
    """Do what the form asks for and make the answer."""
    wire = bind(operation.wire, form.fields)
    files = pick_files(form, operation.files)
    model_field, model = _model_choice(operation, wire)
    with field_names({**operation.field_names, "model": model_field}, label=pascal_words):
        task_request = operation.to_request(wire, files)
        route = call.services.gateway.resolve(operation.task, model)
        note_call(request, operation.task, route)
        served = await call.run(operation.task, task_request, route)
    return operation.outputs.respond(served, files, lambda key: artifact_url(request, call.services, key))


def artifact_url(request: Request, services: Services, key: str) -> str:
    """Give the absolute address of a result."""
    base = services.config.ingress.public_url or str(request.base_url)
    return f"{base.rstrip('/')}/artifacts/{key}"


def _model_choice(operation: AnyOperation, wire: Wire) -> tuple[str, str | None]:
    for name in operation.model_fields:
        if model := getattr(wire, name):
            return name, model
    return "model", None


def _endpoint(operation: AnyOperation) -> Endpoint:
    async def endpoint(request: Request, services: ServicesDep, key: KeyDep, call: CallDep) -> Response:
        async with read_form(request, services, key.id) as form:
            answer = await perform(operation, form, call, request)
        return JSONResponse(answer.model_dump(mode="json", by_alias=True))

    return endpoint


def _batch_endpoint(operation: AnyOperation) -> Endpoint:
    async def endpoint(request: Request, call: CallDep) -> Response:
        answers = [
            await perform(operation, Form(fields), call, request)
            for fields in _batch(await read_json(request))
        ]
        return JSONResponse([answer.model_dump(mode="json", by_alias=True) for answer in answers])

    return endpoint


def _batch(body: Any) -> list[dict[str, Any]]:
    if not isinstance(body, list) or not all(isinstance(item, dict) for item in body):
        raise BadRequest("The body of a batch must be a JSON array of objects.")
    if len(body) > MAX_BATCH:
        raise BadRequest(f"A batch may have at most {MAX_BATCH} requests. This one has {len(body)}.")
    return body


def _add_routes(router: APIRouter, operation: AnyOperation) -> None:
    endpoint = _endpoint(operation)
    router.add_api_route(
        f"/{operation.name}",
        endpoint,
        methods=["POST"],
        name=operation.name,
        operation_id=operation.name,
        summary=operation.summary,
        description=openapi.curl(operation),
        response_model=operation.outputs.response,
        responses=openapi.responses(operation),
        openapi_extra=openapi.request_body(operation),
    )
    if not operation.post_only:
        router.add_api_route(f"/{operation.name}", endpoint, methods=_OTHER_VERBS, include_in_schema=False)
    if not operation.files:
        router.add_api_route(
            f"/{operation.name}[]", _batch_endpoint(operation), methods=["POST"], include_in_schema=False
        )


def _router() -> APIRouter:
    router = APIRouter(prefix="/api", tags=["AI Server"])
    for operation in OPERATIONS:
        _add_routes(router, operation)
    return router


router = _router()
