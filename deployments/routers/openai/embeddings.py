"""/v1/embeddings in OpenAI's wire format."""

import asyncio
from typing import Any, Literal

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict

from deployments.calls import Work
from deployments.dependencies import CallDep
from deployments.errors import BadRequest
from deployments.fields import field_names
from deployments.forms import read_json_object
from deployments.middleware.access_log import note_call
from deployments.routers.chat_documentation import EMBEDDING_ANSWERS, EMBEDDING_BODY
from deployments.routers.embedding_answers import embedding_list
from deployments.routers.openai.fields import given
from pipelines.tasks.embedding import EMBEDDING, EmbeddingRequest

router = APIRouter(prefix="/v1", tags=["OpenAI"])

_WIRE_NAMES = {"inputs": "input"}


class EmbeddingFields(BaseModel):
    """The fields of a request; `user` and others that OpenAI has are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    model: str | None = None
    dimensions: int | None = None
    encoding_format: Literal["float", "base64"] = "float"
    provider: str | None = None


@router.post("/embeddings", summary="Embed texts", openapi_extra=EMBEDDING_BODY, responses=EMBEDDING_ANSWERS)
async def embed(request: Request, call: CallDep) -> JSONResponse:
    """Give a vector for each text; texts that mean the same have vectors that point the same way.

    With `encoding_format` `base64`, as the official clients ask for, a vector is base64 of 32-bit floats.
    """
    body = await read_json_object(request)
    with field_names(_WIRE_NAMES):
        fields = EmbeddingFields.model_validate(given(body))
        asked = EmbeddingRequest(
            inputs=_inputs(body.get("input")), dimensions=fields.dimensions, provider=fields.provider
        )
        route = call.services.gateway.resolve(EMBEDDING.name, fields.model, fields.provider)
        note_call(request, EMBEDDING.name, route)
        served = await call.run(Work(EMBEDDING.name, asked, route, wish=call.wish))
    # Many vectors would hold up all others: a second for 2,048 of them.
    return await asyncio.to_thread(
        lambda: JSONResponse(embedding_list(served.result, fields.encoding_format))
    )


def _inputs(value: Any) -> Any:
    """Give a list of texts, or of lists of tokens."""
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list) or not value:
        raise BadRequest("'input' must be a text or a list of texts, and not empty.", "input", "NotEmpty")
    if all(isinstance(each, int) for each in value):
        value = [value]
    if any(each == "" or each == [] for each in value):
        raise BadRequest("'input' has an empty text. Leave it out.", "input", "NotEmpty")
    kind = str if isinstance(value[0], str) else list
    for place, each in enumerate(value):
        if not isinstance(each, kind) or (kind is list and not all(type(token) is int for token in each)):
            name = f"input[{place}]"
            wanted = "a text" if kind is str else "a list of tokens"
            raise BadRequest(f"'{name}' must be {wanted}, as the others are. Received: {each!r:.60}", name)
    return value
