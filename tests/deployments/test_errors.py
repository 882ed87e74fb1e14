"""Errors in the caller's wire format, whoever raised them."""

import pickle
from http import HTTPStatus
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel, Field, ValidationError

from cluster.artifacts.store import ArtifactNotFound, StoreFull
from deployments import errors
from deployments.errors import BadRequest, ModelNotFound, problem_of
from deployments.fields import field_names, folded, pascal_case, pascal_words
from pipelines.errors import (
    Cancelled,
    ContentWithheld,
    EngineError,
    InputTooLarge,
    InvalidInput,
    ModelLoadError,
    UnsupportedMedia,
)
from tests.deployments.conftest import client_of

RAISED: list[tuple[Exception, int, str, str | None, str]] = [
    # error, status, AI Server's errorCode, OpenAI's type and code
    (BadRequest("m", "field"), 400, "ArgumentException", "invalid_request_error", "invalid_value"),
    (
        BadRequest("m", "field", "NotEmpty"),
        400,
        "NotEmpty",
        "invalid_request_error",
        "missing_required_parameter",
    ),
    (InvalidInput("m", "field"), 400, "ArgumentException", "invalid_request_error", "invalid_value"),
    (UnsupportedMedia("m", "field"), 400, "UnsupportedMedia", "invalid_request_error", "unsupported_media"),
    (InputTooLarge("m", "field"), 400, "InputTooLarge", "invalid_request_error", "input_too_large"),
    (ContentWithheld("m", "prompt"), 400, "ContentWithheld", "invalid_request_error", "moderation_blocked"),
    (errors.Unauthorized("m"), 401, "Unauthorized", "invalid_request_error", "invalid_api_key"),
    (errors.Forbidden("m"), 403, "Forbidden", "permission_error", "forbidden"),
    (errors.NotFound("m"), 404, "NotFound", "invalid_request_error", "not_found"),
    (ArtifactNotFound("m"), 404, "NotFound", "invalid_request_error", "not_found"),
    (ModelNotFound("a", "chat", ("b",)), 404, "NotFound", "invalid_request_error", "model_not_found"),
    (errors.TaskNotServed("chat"), 405, "NotSupportedException", "invalid_request_error", "task_not_served"),
    (errors.Busy(), 429, "TooManyRequests", "rate_limit_error", "rate_limit_exceeded"),
    (EngineError("m"), 500, "EngineError", "server_error", "engine_error"),
    (ModelLoadError("m"), 503, "ModelUnavailable", "server_error", "model_unavailable"),
    (errors.ReplicaLost("m"), 503, "ServiceUnavailable", "server_error", "service_unavailable"),
    (Cancelled("m"), 503, "OperationCanceledException", "server_error", "operation_canceled_exception"),
    (errors.RunTimedOut("m"), 504, "TimeoutException", "timeout_error", "timeout"),
    (StoreFull("m"), 503, "InsufficientStorage", "server_error", "insufficient_storage"),
]
IDS = [f"{type(row[0]).__name__}-{row[2]}" for row in RAISED]


class Paging(BaseModel):
    paths: list[str]
    limit: int = Field(default=1, le=10)


@pytest.fixture
def raising(app: FastAPI) -> FastAPI:
    """The API with routes that fail as they are told."""

    @app.get("/api/raise/{index}")
    @app.get("/v1/raise/{index}")
    async def fail(index: int) -> None:
        raise RAISED[index][0]

    @app.post("/api/paging")
    @app.post("/v1/paging")
    async def page(paging: Paging) -> None: ...

    return app


@pytest.mark.parametrize("index", range(len(RAISED)), ids=IDS)
class TestEveryClass:
    async def test_for_aiservers_clients(self, raising: FastAPI, index: int) -> None:
        error, status, code, _, _ = RAISED[index]
        async with client_of(raising) as client:
            answer = await client.get(f"/api/raise/{index}")
        problem = answer.json()["responseStatus"]
        assert (answer.status_code, problem["errorCode"]) == (status, code)
        assert problem["message"] == str(error)

    async def test_for_openais_clients(self, raising: FastAPI, index: int) -> None:
        error, status, _, kind, code = RAISED[index]
        async with client_of(raising) as client:
            answer = await client.get(f"/v1/raise/{index}")
        field = getattr(error, "field", None)
        assert answer.status_code == status
        assert answer.json() == {"error": {"message": str(error), "type": kind, "param": field, "code": code}}

    async def test_it_survives_the_way_between_processes(self, raising: FastAPI, index: int) -> None:
        error = RAISED[index][0]
        copy = pickle.loads(pickle.dumps(error))
        assert problem_of(copy) == problem_of(error)


@pytest.mark.parametrize(("error", "seconds"), [(errors.Busy(), "2"), (errors.ReplicaLost("m"), "2")])
def test_what_passes_says_when_to_come_again(error: Exception, seconds: str) -> None:
    assert problem_of(error).headers["Retry-After"] == seconds


def test_what_is_not_in_the_table_keeps_its_secrets() -> None:
    problem = problem_of(KeyError("password"))
    assert problem.status == HTTPStatus.INTERNAL_SERVER_ERROR
    assert "password" not in problem.message


class TestOfTheFramework:
    async def test_an_address_without_a_route(self, client: httpx.AsyncClient) -> None:
        answer = await client.get("/api/TextToVideo")
        assert answer.status_code == 404
        assert answer.json()["responseStatus"] == {
            "errorCode": "NotFound",
            "message": "There is nothing at GET /api/TextToVideo. /docs shows what there is.",
        }
        answer = await client.get("/v1/videos")
        assert answer.status_code == 404
        assert answer.json()["error"]["type"] == "invalid_request_error"

    async def test_a_wrong_method(self, client: httpx.AsyncClient) -> None:
        answer = await client.get("/v1/audio/speech")
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
        assert answer.json()["error"]["code"] == "method_not_allowed"

    async def test_any_other_status_of_its_own(self, app: FastAPI) -> None:
        @app.get("/api/teapot")
        async def brew() -> None:
            raise HTTPException(418, "short and stout")

        async with client_of(app) as client:
            answer = await client.get("/api/teapot")
        assert answer.status_code == 418
        assert answer.json()["responseStatus"]["message"] == "short and stout"

    @pytest.mark.parametrize(
        ("body", "field", "said"),
        [
            (b'{"paths": [}', None, "not valid JSON: Expecting value at character 11"),
            (b"{}", "Paths", "'paths' must not be empty."),
            (b'{"paths": [], "limit": 11}', "Limit", "'limit' must be at most 10. Received: 11"),
            (b'{"paths": "a"}', "Paths", "'paths' must be a list. Received: 'a'"),
        ],
    )
    async def test_its_own_validation(
        self, raising: FastAPI, body: bytes, field: str | None, said: str
    ) -> None:
        async with client_of(raising, **{"Content-Type": "application/json"}) as client:
            answer = await client.post("/api/paging", content=body)
        problem = answer.json()["responseStatus"]
        assert (answer.status_code, problem.get("errors", [{"fieldName": None}])[0]["fieldName"]) == (
            400,
            field,
        )
        assert said in problem["message"]

    async def test_a_body_over_the_cap_while_the_framework_reads_it(self, raising: FastAPI) -> None:
        async def endless() -> Any:
            while True:
                yield b" " * 10_000

        async with client_of(raising, **{"Content-Type": "application/json"}) as client:
            answer = await client.post("/v1/paging", content=endless())
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, "request_entity_too_large")


class TestFieldNames:
    def test_a_pipelines_error_gets_the_wires_name(self) -> None:
        with pytest.raises(InvalidInput) as caught, field_names({"text": "input"}):
            raise InvalidInput("too long", "text")
        assert caught.value.field == "input"

    def test_other_fields_keep_theirs(self) -> None:
        with pytest.raises(BadRequest) as caught, field_names({"text": "input"}):
            raise BadRequest("too fast", "speed")
        assert caught.value.field == "speed"

    def test_an_error_without_a_field_stays_without(self) -> None:
        with pytest.raises(EngineError) as caught, field_names({"text": "input"}):
            raise EngineError("broken")
        assert caught.value.field is None

    def test_validation_becomes_a_bad_request(self) -> None:
        too_many = pytest.raises(BadRequest, match="'count' must be at most 10")
        with too_many as caught, field_names({"limit": "count"}):
            Paging(paths=[], limit=11)
        assert (caught.value.field, caught.value.code) == ("count", "LessThanOrEqual")
        assert isinstance(caught.value.__cause__, ValidationError)

    @pytest.mark.parametrize(
        "name", ["positive_prompt", "positivePrompt", "PositivePrompt", "positiveprompt[]"]
    )
    def test_all_spellings_fold_to_one(self, name: str) -> None:
        assert folded(name) == "positiveprompt"

    @pytest.mark.parametrize("name", ["positive_prompt", "positivePrompt", "PositivePrompt"])
    def test_aiservers_spellings(self, name: str) -> None:
        assert (pascal_case(name), pascal_words(name)) == ("PositivePrompt", "Positive Prompt")
