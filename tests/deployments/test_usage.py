"""What API keys may do and what it costs: rights, budgets, reports."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from cluster.key_store import KeyStore
from cluster.usage_records import Totals, UsageEntry
from deployments.services import Services
from tests.deployments.chat import ChatServer, chat_server
from tests.deployments.queue import LocalQueue
from tests.vendors.openai import OpenAiVendor

MODELS = [
    {"id": "parrot", "tasks": ["chat"], "pipeline": "a:B", "external": [{"provider": "cloud", "model": "p"}]},
    {"id": "gpt", "tasks": ["chat"], "external": [{"provider": "cloud", "model": "gpt-5.4"}]},
]
TODAY = f"{datetime.now(UTC).date()}"


@pytest.fixture
def vendor() -> OpenAiVendor:
    return OpenAiVendor()


@pytest.fixture
async def server(services: Services, queue: LocalQueue, vendor: OpenAiVendor) -> AsyncIterator[ChatServer]:
    async with chat_server(services, {"cloud": vendor}, models=MODELS) as server:
        queue.serve(server.services.gateway)
        yield server


@pytest.fixture
def keys(queue: LocalQueue) -> KeyStore:
    return KeyStore(queue.database)


async def chat(
    server: ChatServer, key: str, path: str = "/v1/chat/completions", **body: Any
) -> httpx.Response:
    fields = {"messages": [{"role": "user", "content": "Hi"}], **body}
    return await server.client.post(path, json=fields, headers={"Authorization": f"Bearer {key}"})


def spent(server: ChatServer, owner: str, dollars: float) -> None:
    server.services.ledger.add(
        UsageEntry(
            owner,
            "chat",
            "gpt",
            "cloud",
            Totals(requests=1, prompt_tokens=100, completion_tokens=50, seconds=2.0, cost=dollars),
        )
    )


async def test_a_key_uses_only_the_models_that_it_may(server: ChatServer, keys: KeyStore) -> None:
    _, key = keys.create("team", models=["GP*", "cloud/small*"])
    assert (await chat(server, key, model="gpt")).status_code == 200
    assert (await chat(server, key, model="cloud/small-1")).status_code == 200
    refused = await chat(server, key, model="parrot")
    assert (refused.status_code, refused.json()["error"]["type"]) == (403, "permission_error")
    assert refused.json()["error"]["message"] == (
        "This API key may not use the model parrot. It may use: GP*, cloud/small*."
    )
    assert (await chat(server, key, model="cloud/large")).status_code == 403
    headers = {"Authorization": f"Bearer {key}"}
    listed = (await server.client.get("/v1/models", headers=headers)).json()["data"]
    assert [model["id"] for model in listed] == ["gpt"]


async def test_a_key_uses_only_the_providers_that_it_may(
    server: ChatServer, keys: KeyStore, vendor: OpenAiVendor
) -> None:
    _, own = keys.create("inside", providers=["ai-server"])
    assert (await chat(server, own, model="parrot")).headers["x-served-by"] == "ai-server"
    assert (await chat(server, own, model="gpt")).status_code == 403
    _, cloud = keys.create("outside", providers=["Cloud"])
    assert (await chat(server, cloud, model="parrot")).headers["x-served-by"] == "cloud"
    assert len(vendor.asked) == 1


async def test_a_job_is_done_by_whom_its_key_may_use(
    server: ChatServer, keys: KeyStore, queue: LocalQueue, vendor: OpenAiVendor
) -> None:
    _, key = keys.create("inside", providers=["ai-server"])
    body = {"request": {"model": "parrot", "messages": [{"role": "user", "content": "Hi"}]}}
    headers = {"Authorization": f"Bearer {key}"}
    answer = await server.client.post("/api/QueueOpenAiChatCompletion", json=body, headers=headers)
    assert answer.status_code == 200
    refused = {"request": {**body["request"], "model": "gpt"}}
    answer = await server.client.post("/api/QueueOpenAiChatCompletion", json=refused, headers=headers)
    assert answer.status_code == 403
    async with queue.dispatching():
        assert (await queue.ended(1)).state == "Completed"
    assert vendor.asked == []


async def test_a_spent_budget_is_told_in_the_callers_words(server: ChatServer, keys: KeyStore) -> None:
    owner, key = keys.create("team", budget=2.0)
    spent(server, owner, 1.5)
    assert (await chat(server, key, model="gpt")).status_code == 200
    spent(server, owner, 0.5)
    refused = await chat(server, key, model="gpt", stream=True)
    error = refused.json()["error"]
    assert (refused.status_code, error["type"], error["code"]) == (429, "rate_limit_error", "budget_spent")
    assert "$2.00" in error["message"]
    assert refused.headers["x-should-retry"] == "false"
    aiserver = await chat(server, key, "/api/OpenAiChatCompletion", model="gpt")
    assert (aiserver.status_code, aiserver.json()["responseStatus"]["errorCode"]) == (429, "BudgetSpent")


async def test_a_job_whose_budget_is_spent_at_its_turn_fails(
    server: ChatServer, keys: KeyStore, queue: LocalQueue, vendor: OpenAiVendor
) -> None:
    owner, key = keys.create("team", budget=2.0)
    body = {"request": {"model": "gpt", "messages": [{"role": "user", "content": "Hi"}]}}
    headers = {"Authorization": f"Bearer {key}"}
    answer = await server.client.post("/api/QueueOpenAiChatCompletion", json=body, headers=headers)
    assert answer.status_code == 200
    spent(server, owner, 2.0)
    await server.services.ledger.flush()
    async with queue.dispatching():
        job = await queue.ended(1)
    assert (job.state, job.error_code) == ("Failed", "BudgetSpent")
    assert vendor.asked == []


async def test_a_key_sees_its_own_usage(server: ChatServer, keys: KeyStore) -> None:
    owner, key = keys.create("team", budget=20.0)
    spent(server, owner, 0.5)
    spent(server, "0", 7.0)
    report = (await server.client.get("/usage", headers={"Authorization": f"Bearer {key}"})).json()
    assert (report["lastDay"], report["monthlyBudget"], report["spentThisMonth"]) == (TODAY, 20.0, 0.5)
    assert report["total"] == {
        "requests": 1, "failures": 0, "promptTokens": 100, "completionTokens": 50, "images": 0,
        "audioSeconds": 0.0, "seconds": 2.0, "costUsd": 0.5,
    }  # fmt: skip
    assert [(row["day"], row["apiKeyId"], row["model"]) for row in report["rows"]] == [(TODAY, owner, "gpt")]
    for query in ("all=true", "apiKeyId=0"):
        refused = await server.client.get(f"/usage?{query}", headers={"Authorization": f"Bearer {key}"})
        assert refused.status_code == 403


async def test_the_admin_sees_everybodys(server: ChatServer) -> None:
    spent(server, "0", 7.0)
    spent(server, "5", 0.5)
    assert (await server.client.get("/usage?all=true")).json()["total"]["costUsd"] == 7.5
    assert (await server.client.get("/usage?apiKeyId=5")).json()["spentThisMonth"] == 0.5
    assert (await server.client.get("/usage?from=1999-01-01&to=1999-01-02")).json()["rows"] == []
    for query in ("from=yesterday", "from=9998-01-01"):
        assert (await server.client.get(f"/usage?{query}")).status_code == 400


async def test_the_sums_of_ai_server(server: ChatServer, keys: KeyStore) -> None:
    spent(server, "0", 1.0)
    spent(server, "5", 1.0)
    sums = (await server.client.get("/api/GetSummaryStats?from=%2FDate(0)%2F")).json()
    expected = {
        "name": "cloud", "total": 2, "totalPromptTokens": 200, "totalCompletionTokens": 100,
        "totalMinutes": 0.07, "tokensPerSecond": 25.0,
    }  # fmt: skip
    assert sums["providerStats"] == [expected]
    assert sums["monthStats"] == [{**expected, "name": TODAY[:7]}]
    _, key = keys.create("team")
    refused = await server.client.get("/api/GetSummaryStats", headers={"Authorization": f"Bearer {key}"})
    assert refused.status_code == 403
