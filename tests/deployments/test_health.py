import httpx
import pytest

from deployments.api import create_api
from deployments.runs import ModelState
from deployments.services import Services
from tests.deployments.conftest import client_of, with_states


async def test_up_answers_without_a_key(stranger: httpx.AsyncClient) -> None:
    answer = await stranger.get("/up")
    assert (answer.status_code, answer.text) == (200, "Healthy")


@pytest.mark.parametrize("path", ["/up", "/ready"])
async def test_load_balancers_may_ask_with_head(stranger: httpx.AsyncClient, path: str) -> None:
    assert (await stranger.head(path)).status_code == 200


async def test_ready_shows_each_model(stranger: httpx.AsyncClient) -> None:
    answer = await stranger.get("/ready")
    assert answer.json() == {
        "status": "ready",
        "profile": "cpu",
        "models": [
            {
                "id": "reader",
                "state": "ready",
                "tasks": ["speech-to-text"],
                "detail": "",
                "replicas": 1,
                "running": 0,
                "waiting": 0,
                "candidates": [],
            }
        ],
        "providers": [],
        "queue": {"state": "ready", "detail": "", "running": 0},
    }


@pytest.mark.parametrize(
    ("states", "status", "code"),
    [
        ([], "ready", 200),
        ([ModelState.READY, ModelState.SLEEPING], "ready", 200),
        ([ModelState.READY, ModelState.UNAVAILABLE], "degraded", 200),
        ([ModelState.UNAVAILABLE, ModelState.UNAVAILABLE], "unavailable", 503),
        ([ModelState.READY, ModelState.LOADING], "loading", 503),
        ([ModelState.UNAVAILABLE, ModelState.LOADING], "loading", 503),
        ([ModelState.LOADING, ModelState.STALLED], "stalled", 503),
    ],
)
async def test_ready_sums_the_models_up(
    services: Services, states: list[ModelState], status: str, code: int
) -> None:
    async with client_of(create_api(with_states(services, *states))) as client:
        answer = await client.get("/ready")
    assert (answer.json()["status"], answer.status_code) == (status, code)
