"""Requests that schemathesis makes up from the API's own document: each answer is one that the document knows."""

import asyncio
import os
from contextlib import suppress
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
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from deployments.routers import ROUTERS
from tests.deployments.conftest import KEY, client_of
from tests.deployments.stored import film, picture

EXAMPLES = int(os.environ.get("OPENAPI_EXAMPLES", "4"))
"""For each operation: so many requests that fit the document, and so many that do not."""
ANSWER_LIMIT_S = 60
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
]
FILES = st.sampled_from([picture(32, 24), film(64, 48), b"One line.\nAnother line.\n"])

schemathesis.openapi.format("binary", FILES | st.binary(max_size=64))


def operations() -> list[str]:
    """Name what the document has: method and path."""
    api = FastAPI()
    for router in ROUTERS:
        api.include_router(router)
    return [f"{method.upper()} {path}" for path, methods in api.openapi()["paths"].items() for method in methods]


@pytest.mark.parametrize("mode", GenerationMode, ids=lambda mode: mode.value)
@pytest.mark.parametrize("name", operations())
async def test_answers(app: FastAPI, name: str, mode: GenerationMode) -> None:
    operation = schemathesis.openapi.from_dict(app.openapi()).find_operation_by_label(name)
    assert operation is not None
    loop = asyncio.get_running_loop()

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def check(case: Case) -> None:
        answer = asyncio.run_coroutine_threadsafe(answer_to(app, case), loop).result(ANSWER_LIMIT_S)
        case.validate_response(answer, checks=CHECKS)

    # Where every text will do there is no request that does not fit.
    with suppress(*[Unsatisfiable] * mode.is_negative):
        await asyncio.to_thread(check)


async def answer_to(app: FastAPI, case: Case) -> httpx.Response:
    """Send a request to the application in this process, in the loop in which its queue lives."""
    parts: dict[str, Any] = case.as_transport_kwargs(base_url="http://server.test")
    prepared = requests.Request(**parts).prepare()
    assert prepared.method
    assert prepared.url
    async with client_of(app, Authorization=f"Bearer {KEY}") as client:
        return await client.request(
            prepared.method, prepared.url, headers=dict(prepared.headers), content=prepared.body
        )
