"""Deleting many files at once, as AI Server does it."""

import asyncio
from collections.abc import Iterable
from typing import Annotated

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import BeforeValidator

from cluster.artifacts.store import ArtifactStore
from deployments.dependencies import KeyDep, ServicesDep
from deployments.forms import FORM_TYPE, JSON_TYPE, listed, read_form
from deployments.routers.aiserver.responses import Answer
from deployments.routers.aiserver.wire import Wire, bind
from deployments.routers.artifacts import is_owned, stored_key

router = APIRouter(prefix="/api", tags=["AI Server"])

_EXAMPLE_PATH = f"/artifacts/2026/11/23/0/{'ab' * 32}.webp"
_BODY = {
    "schema": {
        "type": "object",
        "required": ["paths"],
        "properties": {"paths": {"type": "array", "items": {"type": "string"}}},
    },
    "example": {"paths": [_EXAMPLE_PATH]},
}


class DeleteFiles(Wire):
    """Which files."""

    paths: Annotated[tuple[str, ...], BeforeValidator(listed)]


class DeleteFilesResponse(Answer):
    """What became of each path, as the request spelt it."""

    deleted: tuple[str, ...]
    missing: tuple[str, ...]
    failed: tuple[str, ...]
    """They belong to another API key."""


@router.post(
    "/DeleteFiles",
    operation_id="DeleteFiles",
    summary="Delete stored files",
    response_model=DeleteFilesResponse,
    responses={
        200: {
            "content": {
                JSON_TYPE: {"example": {"deleted": [_EXAMPLE_PATH], "missing": [], "failed": []}},
            }
        }
    },
    openapi_extra={
        "requestBody": {"required": True, "content": dict.fromkeys((JSON_TYPE, FORM_TYPE), _BODY)}
    },
)
async def delete_files(request: Request, services: ServicesDep, key: KeyDep) -> JSONResponse:
    r"""Remove files of your own, and their variants; URLs, paths and bare keys are understood.

    ```sh
    curl http://127.0.0.1:8000/api/DeleteFiles -H "Authorization: Bearer $AI_SERVER_API_KEY" \
      -H 'Content-Type: application/json' -d '{"paths": ["/artifacts/2026/11/23/0/….webp"]}'
    ```
    """
    async with read_form(request, services, key.id) as form:
        paths = bind(DeleteFiles, form.fields).paths
    answer = await asyncio.to_thread(_delete_all, services.artifacts, paths, key.id)
    return JSONResponse(answer.model_dump(mode="json", by_alias=True))


def _delete_all(store: ArtifactStore, paths: Iterable[str], owner: str) -> DeleteFilesResponse:
    deleted, missing, failed = [], [], []
    for path in paths:
        key = stored_key(path)
        if not is_owned(key, owner):
            failed.append(path)
        elif store.delete(key):
            deleted.append(path)
        else:
            missing.append(path)
    return DeleteFilesResponse(deleted=tuple(deleted), missing=tuple(missing), failed=tuple(failed))
