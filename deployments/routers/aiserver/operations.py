"""The routes of AI Server's operations: each one synchronous, queued, and both in batches."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from deployments.calls import Call, Work
from deployments.dependencies import CallDep, KeyDep, ServicesDep
from deployments.errors import ApiError, BadRequest
from deployments.fields import field_names, pascal_words
from deployments.forms import Form, read_form, read_json
from deployments.middleware.access_log import note_call
from deployments.preferences import NO_PREFERENCE
from deployments.routers.aiserver import openapi
from deployments.routers.aiserver.operation import AnyOperation
from deployments.routers.aiserver.responses import Answer, QueueResponse
from deployments.routers.aiserver.table import OPERATIONS
from deployments.routers.aiserver.wire import JobFields, Wire, bind, pick_files
from deployments.routers.aiserver.wishes import wish_of
from pipelines.transforms import TRANSFORMS

MAX_BATCH = 100
MAX_QUEUED_BATCH = 1_000
_OTHER_VERBS = ["GET", "PUT", "PATCH", "DELETE"]

Endpoint = Callable[..., Awaitable[Response]]


async def _work(operation: AnyOperation, form: Form, call: Call, request: Request) -> Work[Any]:
    """Turn a form into what is to be done, and what its fields say of the job."""
    job_fields = bind(JobFields, form.fields)
    wish = await wish_of(call, job_fields)
    wire = bind(operation.wire, form.fields)
    files = pick_files(form, operation.files)
    model_field, model = _model_choice(operation, wire)
    with field_names({**operation.field_names, "model": model_field}, label=pascal_words):
        pin = {"provider": job_fields.provider}
        task_request = operation.to_request(wire, files).model_copy(update=pin)
        if operation.task in TRANSFORMS:
            TRANSFORMS[operation.task].check(task_request)
        route = call.services.gateway.resolve(operation.task, model, job_fields.provider)
    note_call(request, operation.task, route)
    # Under the operation's own names: clients spell them in any case.
    return Work(operation.task, task_request, route, replace(form, files=files), wish)


def _model_choice(operation: AnyOperation, wire: Wire) -> tuple[str, str | None]:
    for name in operation.model_fields:
        if model := getattr(wire, name):
            return name, model
    return "model", None


async def _perform(operation: AnyOperation, form: Form, call: Call, request: Request) -> Answer:
    """Do what the form asks for and make the answer."""
    work = await _work(operation, form, call, request)
    model_field, _ = _model_choice(operation, bind(operation.wire, form.fields))
    with field_names({**operation.field_names, "model": model_field}, label=pascal_words):
        served = await call.run(work)
    files = pick_files(form, operation.files)
    answer: Answer = operation.outputs.respond(served, files, lambda key: f"{call.base_url}/artifacts/{key}")
    return answer


async def _enqueue(operation: AnyOperation, works: Sequence[Work[Any]], call: Call) -> list[QueueResponse]:
    """Queue the works, all or nothing."""
    submitted = await call.submit(works)
    return [QueueResponse.model_validate(call.ticket(operation.task, each)) for each in submitted]


def _endpoint(operation: AnyOperation) -> Endpoint:
    async def endpoint(request: Request, services: ServicesDep, key: KeyDep, call: CallDep) -> Response:
        async with read_form(request, services, key.id) as form:
            answer = await _perform(operation, form, call, request)
        return _json(answer)

    return endpoint


def _queue_endpoint(operation: AnyOperation) -> Endpoint:
    async def endpoint(request: Request, services: ServicesDep, key: KeyDep, call: CallDep) -> Response:
        async with read_form(request, services, key.id) as form:
            (answer,) = await _enqueue(operation, [await _work(operation, form, call, request)], call)
        return _json(answer)

    return endpoint


def _batch_endpoint(operation: AnyOperation) -> Endpoint:
    async def endpoint(request: Request, call: CallDep) -> Response:
        forms = _batch(await read_json(request), MAX_BATCH)
        answers = [
            await _perform(operation, form, _in_batch(call, place), request)
            for place, form in enumerate(forms)
        ]
        return _json_list(answers)

    return endpoint


async def _item(operation: AnyOperation, form: Form, call: Call, request: Request, place: int) -> Work[Any]:
    """Prepare an item of a batch; an error says which one it is about."""
    try:
        return await _work(operation, form, call, request)
    except ApiError as error:
        error.message = f"Item {place} of the batch: {error.message}"
        raise


def _queue_batch_endpoint(operation: AnyOperation) -> Endpoint:
    async def endpoint(request: Request, call: CallDep) -> Response:
        forms = _batch(await read_json(request), MAX_QUEUED_BATCH)
        works = [await _item(operation, form, _in_batch(call, n), request, n) for n, form in enumerate(forms)]
        return _json_list(await _enqueue(operation, works, call) if works else [])

    return endpoint


def _json(answer: Answer) -> JSONResponse:
    return JSONResponse(answer.model_dump(mode="json", by_alias=True, exclude_none=True))


def _json_list(answers: Sequence[Answer]) -> JSONResponse:
    return JSONResponse(
        [answer.model_dump(mode="json", by_alias=True, exclude_none=True) for answer in answers]
    )


def _batch(body: Any, limit: int) -> list[Form]:
    if not isinstance(body, list) or not all(isinstance(item, dict) for item in body):
        raise BadRequest("The body of a batch must be a JSON array of objects.")
    if len(body) > limit:
        raise BadRequest(f"A batch may have at most {limit} requests. This one has {len(body)}.")
    return [Form(fields) for fields in body]


def _in_batch(call: Call, place: int) -> Call:
    """Give the call of one request: its key stands for the whole batch, for which no single job could."""
    key = call.wish.idempotency_key
    wish = replace(call.wish, idempotency_key=f"{key}:{place}" if key else None)
    return replace(call, wish=wish, preference=NO_PREFERENCE)


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
    _add_queue_route(router, operation)
    if not operation.files:
        for name, batch in (
            (operation.name, _batch_endpoint(operation)),
            (f"Queue{operation.name}", _queue_batch_endpoint(operation)),
        ):
            router.add_api_route(f"/{name}[]", batch, methods=["POST"], include_in_schema=False)


def _add_queue_route(router: APIRouter, operation: AnyOperation) -> None:
    name, endpoint = f"Queue{operation.name}", _queue_endpoint(operation)
    router.add_api_route(
        f"/{name}",
        endpoint,
        methods=["POST"],
        name=name,
        operation_id=name,
        summary=f"{operation.summary}: queued",
        description=openapi.curl(operation, name),
        response_model=QueueResponse,
        responses=openapi.queue_responses(operation),
        openapi_extra=openapi.request_body(operation),
    )
    if not operation.post_only:
        router.add_api_route(f"/{name}", endpoint, methods=_OTHER_VERBS, include_in_schema=False)


def _router() -> APIRouter:
    router = APIRouter(prefix="/api", tags=["AI Server"])
    for operation in OPERATIONS:
        _add_routes(router, operation)
    return router


router = _router()
