"""Requests that schemathesis makes up from the API's document: each answer is one that the document knows."""

import asyncio
import os
from contextlib import suppress
from functools import cache
from typing import Any

import httpx
import pytest
import requests
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.config import SchemathesisConfig
from schemathesis.schemas import APIOperation, BaseSchema
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from cluster.artifacts.local import LocalArtifactStore
from deployments.documented_errors import with_errors
from deployments.gateway import Gateway, Route
from deployments.routers import ROUTERS
from tests.deployments.chat import Parrot
from tests.deployments.conftest import KEY, client_of
from tests.deployments.fakes import LineReader, LocalBackend, TonePipeline
from tests.deployments.stored import Put, film, picture

EXAMPLES = int(os.environ.get("OPENAPI_EXAMPLES", "3"))
"""For each operation: so many requests that fit the document, and so many that do not."""
ANSWER_LIMIT_S = 60
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
]
REFUSED = {"DELETE /jobs/{job_id}": 409, "POST /jobs/{job_id}/webhook": 409, "POST /v1/embeddings": 405}
"""Examples without a result: the job has ended and has no webhook, and nothing embeds here."""


def some_picture() -> bytes:
    """Give one that has the pixels which the examples crop."""
    return picture(320, 240)


def some_film() -> bytes:
    """The same, moving."""
    return film(320, 180)


def some_speech() -> bytes:
    """Give what the fake that listens takes for speech."""
    return b"One line.\nAnother line.\n"


FILES = {
    **dict.fromkeys(("image", "mask", "watermark"), some_picture),
    **dict.fromkeys(("video", "media", "audio"), some_film),
    "file": some_speech,
}
"""Field -> what makes its file."""

schemathesis.openapi.format(
    "binary",
    st.sampled_from([some_picture, some_film, some_speech]).map(lambda make: make()) | st.binary(max_size=64),
)


@cache
def document() -> dict[str, Any]:
    """Make the document without an application."""
    api = FastAPI()
    for router in ROUTERS:
        api.include_router(router)
    return with_errors(api.openapi())


@cache
def schema() -> BaseSchema:
    """Read the document as schemathesis does; every request has its key, so none is made up."""
    config = SchemathesisConfig.from_dict({"generation": {"with-security-parameters": False}})
    return schemathesis.openapi.from_dict(document(), config=config)


def operation_of(name: str) -> APIOperation[Any, Any, Any, Any]:
    """Find an operation of the document."""
    operation = schema().find_operation_by_label(name)
    assert operation is not None
    return operation


OPERATIONS = [
    f"{method.upper()} {path}" for path, methods in document()["paths"].items() for method in methods
]


@pytest.fixture
def gateway(gateway: Gateway, artifacts: LocalArtifactStore) -> Gateway:
    """The models that the document's examples name."""
    more = (
        Route("smollm2-135m", ("chat",), LocalBackend(artifacts, Parrot())),
        Route("whisper-base", ("speech-to-text",), LocalBackend(artifacts, LineReader())),
        Route("piper-joe", ("text-to-speech",), LocalBackend(artifacts, TonePipeline())),
    )
    return Gateway((*gateway.routes, *more))


@pytest.fixture
async def known(client: httpx.AsyncClient, artifacts: LocalArtifactStore) -> dict[str, Any]:
    """What there is to be named: a job that was cancelled, a stored picture, a model."""
    job = (await client.post("/api/QueueTextToSpeech", json={"input": "word"})).json()
    await client.delete(f"/jobs/{job['jobId']}")
    key = Put(artifacts)(some_picture(), "png")
    return {
        "job_id": job["jobId"],
        "jobId": job["jobId"],
        "id": job["jobId"],
        "path": key,
        "paths": [f"/artifacts/{key}"],
        "variant": "width=20",
        "model_id": "tone",
    }


@pytest.mark.parametrize("mode", GenerationMode, ids=lambda mode: mode.value)
@pytest.mark.parametrize("name", OPERATIONS)
async def test_made_up_requests(app: FastAPI, name: str, mode: GenerationMode) -> None:
    loop = asyncio.get_running_loop()

    @given(case=operation_of(name).as_strategy(generation_mode=mode))
    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def check(case: Case[Any]) -> None:
        answer = asyncio.run_coroutine_threadsafe(answer_to(app, case), loop).result(ANSWER_LIMIT_S)
        case.validate_response(answer, checks=CHECKS)

    # Where every text will do there is no request that does not fit.
    with suppress(*[Unsatisfiable] * mode.is_negative):
        await asyncio.to_thread(check)


@pytest.mark.parametrize("name", OPERATIONS)
async def test_the_documents_own_example(app: FastAPI, known: dict[str, Any], name: str) -> None:
    operation = operation_of(name)
    route = operation.definition.raw
    parameters = {
        each["name"]: known[each["name"]] for each in route.get("parameters", ()) if each["name"] in known
    }
    in_path = {field: value for field, value in parameters.items() if f"{{{field}}}" in name}
    case = operation.Case(path_parameters=in_path, query={**parameters, **in_path} if not in_path else {})
    if "requestBody" in route:
        (case.media_type, media), *_ = route["requestBody"]["content"].items()
        case.body = with_files(media, name) | {
            each: known[each] for each in media["example"] if each in known
        }
    answer = await answer_to(app, case)
    case.validate_response(answer, checks=CHECKS)
    assert answer.is_success or answer.status_code == REFUSED.get(name), answer.text


def with_files(media: dict[str, Any], name: str) -> dict[str, Any]:
    """Give the example of a body with files that exist."""
    fields = media["schema"]["properties"]
    makers = FILES | ({"audio": some_speech} if "SpeechToText" in name else {})
    return {
        field: makers[field]() if fields[field].get("format") == "binary" else value
        for field, value in media["example"].items()
    }


def test_the_document_is_the_applications(app: FastAPI) -> None:
    assert app.openapi()["paths"] == document()["paths"]


async def answer_to(app: FastAPI, case: Case[Any]) -> httpx.Response:
    """Send a request to the application in this process, in the loop in which its queue lives."""
    parts: dict[str, Any] = case.as_transport_kwargs(base_url="http://server.test")
    prepared: Any = requests.Request(**parts).prepare()
    async with client_of(app, Authorization=f"Bearer {KEY}") as client:
        return await client.request(
            prepared.method, prepared.url, headers=prepared.headers, content=prepared.body
        )
