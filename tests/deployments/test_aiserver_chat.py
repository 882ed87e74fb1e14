"""Chat in AI Server's words: queued, waited for, one provider's; Ollama's generate; embeddings."""

import base64
import json
import struct
from collections.abc import AsyncIterator
from typing import Any

import pytest

from deployments.services import Services
from tests.deployments.chat import ChatServer, chat_server
from tests.deployments.queue import LocalQueue
from tests.vendors.openai import OpenAiVendor

ASKED = {"messages": [{"role": "user", "content": "Hi you"}], "maxTokens": 9}


@pytest.fixture
def vendor() -> OpenAiVendor:
    return OpenAiVendor()


@pytest.fixture
async def server(services: Services, queue: LocalQueue, vendor: OpenAiVendor) -> AsyncIterator[ChatServer]:
    async with chat_server(services, {"cloud": vendor}) as server:
        queue.serve(server.services.gateway)
        yield server


async def queued(server: ChatServer, **fields: Any) -> dict[str, Any]:
    answer = await server.client.post("/api/QueueOpenAiChatCompletion", json={"request": ASKED, **fields})
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def status(server: ChatServer, query: str) -> dict[str, Any]:
    body: dict[str, Any] = (await server.client.get(f"/api/GetOpenAiChatStatus?{query}")).json()
    return body


async def test_a_chat_is_queued_and_its_status_has_the_completion(
    server: ChatServer, queue: LocalQueue
) -> None:
    ticket = await queued(server, refId="mine", tag="t")
    assert (ticket["id"], ticket["jobId"], ticket["refId"]) == (1, 1, "mine")
    assert ticket["statusUrl"] == "http://server.test/api/GetOpenAiChatStatus?jobId=1"
    async with queue.dispatching():
        await queue.ended(1)
    told = await status(server, "refId=mine")
    assert (told["jobId"], told["jobState"]) == (1, "Completed")
    assert told["result"]["choices"][0]["message"]["content"] == "Hi you"
    assert told["chatResponse"] == told["result"]


async def test_a_chat_that_is_done_is_listed_with_the_other_jobs(
    server: ChatServer, queue: LocalQueue
) -> None:
    await queued(server)
    async with queue.dispatching():
        await queue.ended(1)
    (job,) = (await server.client.get("/jobs")).json()["jobs"]
    assert (job["task"], job["state"]) == ("chat", "Completed")
    assert (await server.client.get("/jobs/1")).json()["state"] == "Completed"


async def test_a_providers_model_that_nobody_listed_is_queued_too(
    server: ChatServer, queue: LocalQueue, vendor: OpenAiVendor
) -> None:
    await queued(server, request={**ASKED, "model": "cloud/gpt-9"})
    async with queue.dispatching():
        job = await queue.ended(1)
    assert (job.model, job.state) == ("cloud", "Completed")
    assert vendor.asked[0].json["model"] == "gpt-9"


async def test_waiting_for_a_chat_shows_the_job(server: ChatServer, queue: LocalQueue) -> None:
    await queued(server, refId="mine")
    async with queue.dispatching():
        row = (await server.client.get("/api/WaitForOpenAiChat?refId=mine")).json()["result"]
    assert (row["id"], row["state"], row["refId"]) == (1, "Completed", "mine")
    assert json.loads(row["responseBody"])["object"] == "chat.completion"
    assert json.loads(row["requestBody"])["max_tokens"] == 9
    again = (await server.client.get("/api/GetOpenAiChat?id=1")).json()["result"]
    assert again == row


async def test_an_unknown_chat_is_404(server: ChatServer) -> None:
    assert (await server.client.get("/api/GetOpenAiChat?id=9")).status_code == 404


async def test_a_pin_is_checked_when_the_job_is_accepted(server: ChatServer) -> None:
    answer = await server.client.post(
        "/api/QueueOpenAiChatCompletion", json={"request": ASKED, "provider": "nobody"}
    )
    assert answer.status_code == 400
    assert answer.json()["responseStatus"]["errors"][0]["fieldName"] == "Provider"


async def test_a_prompt_goes_to_one_provider(server: ChatServer, vendor: OpenAiVendor) -> None:
    fields = {"provider": "cloud", "model": "cloud/gpt-9", "prompt": "Hi"}
    answer = await server.client.post("/api/ChatAiProvider", json=fields)
    assert answer.json()["object"] == "chat.completion"
    assert vendor.asked[0].json["messages"] == [{"role": "user", "content": "Hi"}]
    assert vendor.asked[0].json["max_tokens"] == 512


async def test_ollamas_generate(server: ChatServer, vendor: OpenAiVendor) -> None:
    fields = {
        "model": "cloud/llama",
        "prompt": "Why?",
        "system": "Be short.",
        "format": "json",
        "options": {"num_predict": 7, "temperature": 0.1, "num_ctx": 4096},
    }
    answer = (await server.client.post("/api/generate", json=fields)).json()
    assert (answer["model"], answer["response"], answer["done"]) == (
        "cloud/llama", "Hello! How can I help? ✓", True,
    )  # fmt: skip
    assert (answer["prompt_eval_count"], answer["eval_count"], answer["done_reason"]) == (19, 10, "stop")
    assert vendor.asked[0].json == {
        "model": "llama",
        "messages": [{"role": "system", "content": "Be short."}, {"role": "user", "content": "Why?"}],
        "max_tokens": 7,
        "temperature": 0.1,
        "response_format": {"type": "json_object"},
    }


async def test_ollamas_stream_is_lines_of_json(server: ChatServer) -> None:
    answer = await server.client.post("/api/OllamaGeneration", json={"prompt": "One two", "stream": True})
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    assert "".join(line["response"] for line in lines) == "One two"
    assert [line["done"] for line in lines] == [False, False, True]
    assert lines[-1]["eval_count"] == 2


@pytest.mark.parametrize(
    ("fields", "name"),
    [({}, "Prompt"), ({"prompt": "a", "raw": True}, "Raw"), ({"prompt": "a", "suffix": "b"}, "Suffix")],
)
async def test_what_a_chat_cannot_do_is_refused(
    server: ChatServer, fields: dict[str, Any], name: str
) -> None:
    answer = await server.client.post("/api/generate", json=fields)
    assert answer.status_code == 400
    assert answer.json()["responseStatus"]["errors"][0]["fieldName"] == name


async def test_a_queued_generation_is_told_as_ollama_does(server: ChatServer, queue: LocalQueue) -> None:
    answer = await server.client.post("/api/QueueOllamaGeneration", json={"request": {"prompt": "One two"}})
    assert answer.json()["statusUrl"].endswith("/api/GetOllamaGenerationStatus?jobId=1")
    async with queue.dispatching():
        await queue.ended(1)
    told = (await server.client.get("/api/GetOllamaGenerationStatus?jobId=1")).json()
    assert (told["jobState"], told["result"]["response"]) == ("Completed", "One two")


async def test_embeddings_as_floats_and_as_base64(services: Services, vendor: OpenAiVendor) -> None:
    embedding = {"tasks": {"embedding": ["*"]}}
    provider = {"id": "vectors", "base_url": "http://127.0.0.1:1/v1", "key_env": None, "options": embedding}
    async with chat_server(services, {"cloud": vendor}) as plain:
        address = vendor.url
        provider["base_url"] = f"{address}/v1"
        async with chat_server(services, {}, more_providers=[provider]) as server:
            asked = {"model": "vectors/text-embedding-3-small", "input": ["a", "b"]}
            floats = (await server.client.post("/v1/embeddings", json=asked)).json()
            packed = {**asked, "encoding_format": "base64"}
            coded = (await server.client.post("/v1/embeddings", json=packed)).json()
    assert plain.attempts == []
    assert [each["index"] for each in floats["data"]] == [0, 1]
    vector = floats["data"][0]["embedding"]
    unpacked = struct.unpack(f"<{len(vector)}f", base64.b64decode(coded["data"][0]["embedding"]))
    assert unpacked == pytest.approx(vector)
    assert floats["model"] == "text-embedding-3-small"
    assert floats["usage"]["prompt_tokens"] == floats["usage"]["total_tokens"] > 0


@pytest.mark.parametrize("given", [["a", 5], ["a", None], [[1], "a"], [[1], [2, "b"]]])
async def test_inputs_of_different_kinds_are_named(server: ChatServer, given: Any) -> None:
    answer = await server.client.post("/v1/embeddings", json={"input": given})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "input[1]")


@pytest.mark.parametrize("given", ["", [], ["a", ""], 5, None])
async def test_an_empty_input_is_refused(server: ChatServer, given: Any) -> None:
    answer = await server.client.post("/v1/embeddings", json={"model": "x", "input": given})
    assert answer.status_code in (400, 405)
