"""Is the server alive, and can its models work? Public, for load balancers and people."""

import asyncio
from collections.abc import Collection, Iterator
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse, PlainTextResponse
from pydantic import BaseModel

from deployments.dependencies import ServicesDep
from deployments.external_states import external_status
from deployments.gateway import Gateway
from deployments.runs import CandidateStatus, ModelState, ModelStatus, QueueState

router = APIRouter(tags=["Health"])


class ReadyModel(BaseModel):
    """One model."""

    id: str
    state: ModelState
    tasks: tuple[str, ...]
    detail: str
    replicas: int
    running: int
    waiting: int
    candidates: tuple[CandidateStatus, ...]
    """Where there is somebody beside our own replicas."""


class ReadyProvider(BaseModel):
    """Somebody's API that may serve models."""

    id: str
    state: str
    """One of ``ready unavailable off``; off: the detail says what to set."""
    detail: str


class ReadyQueue(BaseModel):
    """The queue."""

    state: str
    """One of ``ready paused unavailable``; paused: nothing new is begun, the detail says why."""
    detail: str
    running: int


class Ready(BaseModel):
    """The server as a whole."""

    status: str
    """One of ``ready degraded loading stalled unavailable``; degraded: some cannot work, the others do."""
    profile: str
    models: tuple[ReadyModel, ...]
    providers: tuple[ReadyProvider, ...]
    queue: ReadyQueue


_EXAMPLE: dict[str, Any] = {
    "status": "ready",
    "profile": "cpu",
    "models": [
        {
            "id": "whisper-base",
            "state": "ready",
            "tasks": ["speech-to-text"],
            "detail": "",
            "replicas": 1,
            "running": 0,
            "waiting": 0,
            "candidates": [],
        }
    ],
    "providers": [{"id": "openai", "state": "off", "detail": "set OPENAI_API_KEY"}],
    "queue": {"state": "ready", "detail": "", "running": 0},
}


async def up() -> PlainTextResponse:
    """Answer as soon as the HTTP front runs, whatever the models do.

    ```sh
    curl http://127.0.0.1:8000/up
    ```
    """
    return PlainTextResponse("Healthy")


async def ready(services: ServicesDep) -> JSONResponse:
    """Show the state of every configured model.

    200 when every model is ready or sleeping, or when some are unavailable and the others work;
    503 while one loads or makes no progress, and when none works.

    ```sh
    curl http://127.0.0.1:8000/ready
    ```
    """
    states, queue = await asyncio.gather(services.model_states(), services.queue_state())
    status = _status({state.state for state in states})
    if status == "ready" and not queue.is_open:
        status = "degraded"  # synchronous calls work
    body = Ready(
        status=status,
        profile=services.config.profile,
        models=tuple(_shown(state) for state in states),
        providers=tuple(_providers(services.gateway)),
        queue=_shown_queue(queue),
    )
    code = HTTPStatus.OK if status in ("ready", "degraded") else HTTPStatus.SERVICE_UNAVAILABLE
    return JSONResponse(body.model_dump(mode="json"), status_code=code)


def _status(states: Collection[ModelState]) -> str:
    for state in (ModelState.STALLED, ModelState.LOADING):
        if state in states:
            return state.value
    if ModelState.UNAVAILABLE not in states:
        return "ready"
    return "degraded" if len(states) > 1 else ModelState.UNAVAILABLE.value


def _shown_queue(queue: QueueState) -> ReadyQueue:
    state = "paused" if queue.paused_because else "ready"
    return ReadyQueue(
        state=state if queue.is_open else "unavailable",
        detail=queue.paused_because or ("" if queue.is_open else "the job store cannot be reached"),
        running=queue.running,
    )


def _providers(gateway: Gateway) -> Iterator[ReadyProvider]:
    for name, route in gateway.providers.items():
        status = external_status(route)
        state = "ready" if status.state == ModelState.READY else "unavailable"
        yield ReadyProvider(id=name, state=state, detail=status.detail)
    for name, remedy in gateway.off.items():
        yield ReadyProvider(id=name, state="off", detail=remedy)


def _shown(state: ModelStatus) -> ReadyModel:
    return ReadyModel.model_validate(vars(state))


router.add_api_route(
    "/up",
    up,
    methods=["GET"],
    operation_id="up",
    summary="Is the server alive?",
    response_class=PlainTextResponse,
    responses={200: {"content": {"text/plain": {"example": "Healthy"}}}},
)
router.add_api_route(
    "/ready",
    ready,
    methods=["GET"],
    operation_id="ready",
    summary="Can the models work?",
    response_model=Ready,
    responses={
        200: {"content": {"application/json": {"example": _EXAMPLE}}},
        503: {"model": Ready, "description": "A model is loading or makes no progress, or none works"},
    },
)
for _path, _probe in (("/up", up), ("/ready", ready)):
    router.add_api_route(_path, _probe, methods=["HEAD"], include_in_schema=False)
