"""What /docs shows: every route with a summary and an example that can be tried."""

import tomllib
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from deployments.api import VERSION
from deployments.routers.aiserver.table import OPERATIONS

METHODS = ("get", "post", "put", "patch", "delete")
BINARY = ("audio/", "image/", "application/octet-stream", "text/event-stream")


def described(app: FastAPI) -> dict[str, dict[str, Any]]:
    return {
        f"{method.upper()} {path}": operation
        for path, methods in app.openapi()["paths"].items()
        for method, operation in methods.items()
        if method in METHODS
    }


def has_example(content: dict[str, Any]) -> bool:
    return any(
        "example" in media or "examples" in media or kind.startswith(BINARY)
        for kind, media in content.items()
    )


def test_every_route_has_a_summary_and_a_description(app: FastAPI) -> None:
    lacking = [
        name
        for name, route in described(app).items()
        if not (route.get("summary") and route.get("description"))
    ]
    assert lacking == []


def test_every_body_has_an_example(app: FastAPI) -> None:
    bodies = {
        name: route["requestBody"]["content"]
        for name, route in described(app).items()
        if "requestBody" in route
    }
    assert [name for name, content in bodies.items() if not has_example(content)] == []


def test_every_good_answer_has_an_example(app: FastAPI) -> None:
    answers = {
        name: answer
        for name, route in described(app).items()
        for status, answer in route["responses"].items()
        if status == "200"
    }
    assert [name for name, answer in answers.items() if not has_example(answer.get("content", {}))] == []


def test_refusals_are_described_in_the_wire_format_of_their_route(app: FastAPI) -> None:
    routes = described(app)
    assert [name for name, route in routes.items() if "422" in route["responses"]] == []
    for name, schema in (("POST /v1/embeddings", "OpenAiError"), ("POST /api/ScaleVideo", "AiServerError")):
        content = routes[name]["responses"]["400"]["content"]["application/json"]
        assert content["schema"] == {"$ref": f"#/components/schemas/{schema}"}


def test_names_are_unique(app: FastAPI) -> None:
    ids = [route["operationId"] for route in described(app).values()]
    assert len(ids) == len(set(ids))


def test_schemas_stand_for_themselves(app: FastAPI) -> None:
    assert "$defs" not in str(app.openapi())


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_the_example_has_only_fields_that_the_operation_takes(app: FastAPI, operation: Any) -> None:
    (media, *_) = described(app)[f"POST /api/{operation.name}"]["requestBody"]["content"].values()
    assert set(media["example"]) <= set(media["schema"]["properties"])
    assert set(media["schema"].get("required", [])) <= set(media["example"])
    assert [
        name for name, field in media["schema"]["properties"].items() if field.get("format") == "binary"
    ] == list(operation.files)


async def test_the_pages_are_public(stranger: httpx.AsyncClient) -> None:
    assert (await stranger.get("/docs")).status_code == 200
    assert (await stranger.get("/openapi.json")).json()["openapi"].startswith("3.")


def test_the_version_is_the_packages() -> None:
    pyproject = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    assert pyproject["project"]["version"] == VERSION
