"""Stored files over HTTP: results for everybody who knows their address, uploads for their owner."""

import asyncio
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response

from cluster.artifacts.keys import ParsedKey, parse_key
from cluster.artifacts.store import Area, ArtifactNotFound
from deployments.dependencies import BEARER, KEY_HEADER, KeyDep, ServicesDep, valid_key
from deployments.errors import Forbidden, Unauthorized
from deployments.services import Services
from deployments.stored_files import file_answer
from deployments.variants import parse_variant, variant_of
from pipelines.tasks.base import RunLimits

router = APIRouter(tags=["Artifacts"])

_EXAMPLE_KEY = f"2026/11/23/0/{'ab' * 32}.webp"
_FILE: dict[str, Any] = {
    "description": "The file",
    "content": {"*/*": {"schema": {"type": "string", "format": "binary"}, "example": "(bytes)"}},
}
_GET_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: _FILE,
    206: {"description": "The part of it that the Range header asked for"},
    304: {"description": "If-None-Match or If-Modified-Since shows that the client has it"},
    404: {"description": "There is no such file"},
    416: {"description": "The Range header asks for bytes that the file does not have"},
}
_NOT_FOUND = "There is no such file."

StoredPath = Annotated[
    str, Path(description="As in a result's url, after /artifacts/", examples=[_EXAMPLE_KEY])
]


def stored_key(path: str) -> str:
    """Take the key out of a result's URL, of its path ``/artifacts/…``, or of the bare key."""
    return f"/{path}".rpartition("/artifacts/")[2].lstrip("/")


def is_owned(key: str, owner: str) -> bool:
    """Say whether the last folder of `key` is `owner`'s."""
    return key.split("/")[-2:-1] == [owner]


@router.head("/artifacts/{path:path}", include_in_schema=False)
@router.get(
    "/artifacts/{path:path}",
    operation_id="get_artifact",
    summary="Get a stored file",
    response_class=Response,
    responses=_GET_RESPONSES,
)
async def get_artifact(
    path: StoredPath,
    request: Request,
    services: ServicesDep,
    download: Annotated[bool, Query(description="Have a browser save the file")] = False,
) -> Response:
    """Send a file, or one range of its bytes; a request for several ranges gets the whole file.

    Results are public and never change. Uploads (``input/…``) are for the key that sent them.

    ```sh
    curl -O "http://127.0.0.1:8000/artifacts/2026/11/23/0/….webp"
    ```
    """
    await _check_access(parse_key(path), request, services)
    return await asyncio.to_thread(file_answer, request, services.artifacts, path, download=download)


@router.get(
    "/api/GetArtifact",
    operation_id="GetArtifact",
    summary="Get a stored file, as AI Server's typed clients ask for it",
    response_class=Response,
    responses=_GET_RESPONSES,
)
async def get_artifact_by_query(
    path: Annotated[str, Query(description="As in a result's url", examples=[_EXAMPLE_KEY])],
    request: Request,
    services: ServicesDep,
    download: Annotated[bool, Query(description="Have a browser save the file")] = False,
) -> Response:
    """Send a file; `path` may be a result's whole URL, its path, or its key.

    ```sh
    curl -O "http://127.0.0.1:8000/api/GetArtifact?path=2026/11/23/0/….webp"
    ```
    """
    return await get_artifact(stored_key(path), request, services, download)


@router.head("/variants/{variant}/{path:path}", include_in_schema=False)
@router.get(
    "/variants/{variant}/{path:path}",
    operation_id="get_variant",
    summary="Get a stored picture in another size",
    response_class=Response,
    responses={**_GET_RESPONSES, 400: {"description": "Another option, a size out of range, or no picture"}},
)
async def get_variant(
    variant: Annotated[str, Path(description="width=N, height=N or both", examples=["width=100,height=75"])],
    path: StoredPath,
    request: Request,
    services: ServicesDep,
) -> Response:
    """Send a picture as WebP in another size; it is made once. Both sides are a box to fit into.

    ```sh
    curl -O "http://127.0.0.1:8000/variants/width=100/2026/11/23/0/….webp"
    ```
    """
    limits = RunLimits(services.config.limits.image_pixels)
    key = await variant_of(services.artifacts, path, parse_variant(variant), limits)
    return await asyncio.to_thread(file_answer, request, services.artifacts, key)


@router.delete(
    "/files/{path:path}",
    operation_id="delete_file",
    summary="Delete a stored file",
    status_code=HTTPStatus.NO_CONTENT,
    responses={
        204: {"description": "Deleted, together with its variants"},
        401: {"description": "No API key, or not a valid one"},
        403: {"description": "The file belongs to another API key"},
        404: {"description": "There is no such file"},
    },
)
async def delete_file(path: StoredPath, services: ServicesDep, key: KeyDep) -> None:
    r"""Remove a file of your own, and its variants.

    ```sh
    curl -X DELETE -H "Authorization: Bearer $AI_SERVER_API_KEY" \
      "http://127.0.0.1:8000/files/2026/11/23/0/….webp"
    ```
    """
    wanted = stored_key(path)
    if not is_owned(wanted, key.id):
        raise Forbidden("This file belongs to another API key.", "path")
    if not await asyncio.to_thread(services.artifacts.delete, wanted):
        raise ArtifactNotFound(_NOT_FOUND)


async def _check_access(key: ParsedKey, request: Request, services: Services) -> None:
    """Let only its owner see an upload; to others it does not exist."""
    if key.area is not Area.INPUT:
        return
    try:
        found = await valid_key(request, services, await BEARER(request), await KEY_HEADER(request))
    except Unauthorized as error:
        raise ArtifactNotFound(_NOT_FOUND) from error
    if found.id != key.owner:
        raise ArtifactNotFound(_NOT_FOUND)
