"""/v1/models: what this server is configured to serve."""

import time
from collections.abc import Iterator
from typing import Any

from fastapi import APIRouter, Depends

from deployments.dependencies import KeyDep, ServicesDep, valid_key
from deployments.errors import ModelNotFound
from deployments.gateway import Gateway, Route
from pipelines.tasks import TASKS

router = APIRouter(prefix="/v1", tags=["OpenAI"], dependencies=[Depends(valid_key)])

_STARTED = int(time.time())
_EXAMPLE = {
    "id": "whisper-base",
    "object": "model",
    "created": 1795392000,
    "owned_by": "ai-server",
    "tasks": ["speech-to-text"],
    "aliases": ["whisper-1"],
}


def _example(value: dict[str, Any]) -> dict[int | str, dict[str, Any]]:
    return {200: {"content": {"application/json": {"example": value}}}}


@router.get(
    "/models",
    summary="List the models",
    responses=_example({"object": "list", "data": [_EXAMPLE]}),
)
async def list_models(services: ServicesDep, key: KeyDep) -> dict[str, Any]:
    """List every configured model with its tasks and the other names, then what the providers list.

    What your API key may not use is left out.
    """
    shown = (*map(_model, _models(services.gateway)), *_listed(services.gateway))
    data = [model for model in shown if key.may_use_model((model["id"], *model["aliases"]))]
    return {"object": "list", "data": data}


@router.get("/models/{model_id:path}", summary="Describe a model", responses=_example(_EXAMPLE))
async def get_model(model_id: str, services: ServicesDep) -> dict[str, Any]:
    """Describe one model, found by its id or an alias, without regard to case."""
    models = _models(services.gateway)
    for route in models:
        if route.answers_to(model_id):
            return _model(route)
    for listed in _listed(services.gateway):
        if model_id in (listed["id"], *listed["aliases"]):
            return listed
    raise ModelNotFound(model_id, "any task", tuple(route.id for route in models))


def _models(gateway: Gateway) -> list[Route]:
    """Leave out the route of the transforms, which work without a model."""
    return [route for route in gateway.routes if TASKS.keys() & set(route.tasks)]


def _listed(gateway: Gateway) -> Iterator[dict[str, Any]]:
    """Describe what providers list, under the name that always leads to them."""
    for provider in gateway.providers:
        for model in gateway.catalogue.listed(provider):
            if model.tasks:
                yield _described(f"{provider}/{model.name}", provider, model.tasks, (model.name,))


def _model(route: Route) -> dict[str, Any]:
    return _described(route.id, route.owner, route.tasks, route.aliases)


def _described(name: str, owner: str, tasks: tuple[str, ...], aliases: tuple[str, ...]) -> dict[str, Any]:
    return {
        "id": name,
        "object": "model",
        "created": _STARTED,
        "owned_by": owner,
        "tasks": tasks,
        "aliases": aliases,
    }
