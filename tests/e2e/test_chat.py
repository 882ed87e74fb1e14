"""Chat on the real cluster: the native model, and a provider that a key in the environment switched on."""

import json
from typing import Any

import httpx
import openai
import pytest
from pydantic import BaseModel

from tests.talkers import Talker

pytestmark = pytest.mark.e2e

PARIS: Any = {"role": "user", "content": "What is the capital of France?"}


class Weather(BaseModel):
    """What the structured answer has."""

    city: str


class TestTheNativeModel:
    def test_it_answers_the_official_client(self, openai_client: openai.OpenAI) -> None:
        raw = openai_client.chat.completions.with_raw_response.create(
            model="smollm2", messages=[PARIS], temperature=0
        )
        assert raw.headers["x-served-by"] == "ai-server"
        answer = raw.parse()
        assert "Paris" in (answer.choices[0].message.content or "")
        assert answer.choices[0].finish_reason == "stop"
        assert answer.usage is not None
        assert answer.usage.completion_tokens > 3

    def test_it_streams_token_by_token(self, openai_client: openai.OpenAI) -> None:
        stream = openai_client.chat.completions.create(
            model="smollm2",
            messages=[PARIS],
            temperature=0,
            stream=True,
            stream_options={"include_usage": True},
        )
        chunks = list(stream)
        words = [
            each.choices[0].delta.content for each in chunks if each.choices and each.choices[0].delta.content
        ]
        assert "Paris" in "".join(words)
        assert len(words) > 3
        assert chunks[-1].usage is not None
        assert chunks[-1].usage.completion_tokens == len(words)

    def test_its_json_follows_a_schema(self, openai_client: openai.OpenAI) -> None:
        answer = openai_client.chat.completions.parse(
            model="smollm2",
            messages=[PARIS],
            temperature=0,
            max_completion_tokens=60,
            response_format=Weather,
        )
        assert isinstance(answer.choices[0].message.parsed, Weather)

    def test_a_client_that_leaves_stops_it(self, client: httpx.Client) -> None:
        long = {
            "model": "smollm2",
            "messages": [{"role": "user", "content": "Count to 1000."}],
            "stream": True,
        }
        with client.stream("POST", "/v1/chat/completions", json={**long, "max_tokens": 1500}) as stream:
            next(stream.iter_lines())
        assert _idle_within(client, "smollm2-135m", looks=40)

    def test_what_it_cannot_do_is_named(self, openai_client: openai.OpenAI) -> None:
        with pytest.raises(openai.BadRequestError) as caught:
            openai_client.chat.completions.create(
                model="smollm2",
                messages=[PARIS],
                tools=[{"type": "function", "function": {"name": "a"}}],
            )
        assert caught.value.param == "tools"


def _idle_within(client: httpx.Client, model: str, looks: int) -> bool:
    """Whether a model comes to rest; each look takes a while, for it asks the replica."""
    for _ in range(looks):
        models: list[dict[str, Any]] = client.get("/ready").json()["models"]
        if next(each for each in models if each["id"] == model)["running"] == 0:
            return True
    return False


def test_a_key_in_the_environment_switches_a_provider_on(client: httpx.Client) -> None:
    states = {each["id"]: each["state"] for each in client.get("/ready").json()["providers"]}
    assert states["groq"] == "ready"
    assert {states["openai"], states["anthropic"], states["replicate"]} == {"off"}


def test_a_client_that_leaves_a_stream_leaves_the_providers_too(client: httpx.Client, talker: Talker) -> None:
    asked = {"model": "ollama/talker", "messages": [PARIS], "stream": True}
    with client.stream("POST", "/v1/chat/completions", json=asked) as stream:
        assert stream.headers["x-served-by"] == "ollama"
        next(stream.iter_lines())
    assert talker.left.get(timeout=1)


def test_a_provider_that_is_away_is_said_to_be(openai_client: openai.OpenAI) -> None:
    with pytest.raises(openai.APIStatusError) as caught:
        openai_client.chat.completions.create(model="groq/llama", messages=[PARIS])
    assert caught.value.status_code in (502, 503)
    assert "groq" in str(caught.value)


def test_a_queued_chat_has_its_completion(client: httpx.Client) -> None:
    body = {"refId": "chat-e2e", "request": {"model": "smollm2", "messages": [PARIS], "temperature": 0}}
    assert client.post("/api/QueueOpenAiChatCompletion", json=body).status_code == 200
    row = client.get("/api/WaitForOpenAiChat?refId=chat-e2e").json()["result"]
    assert "Paris" in json.loads(row["responseBody"])["choices"][0]["message"]["content"]


def test_embeddings_of_texts_that_mean_the_same_are_near(openai_client: openai.OpenAI) -> None:
    texts = ["A cat sleeps.", "A kitten is napping.", "The stock market fell."]
    cat, kitten, market = (
        each.embedding for each in openai_client.embeddings.create(model="all-minilm", input=texts).data
    )
    assert _product(cat, kitten) > 0.5 > _product(cat, market)


def _product(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


def test_usage_is_recorded(client: httpx.Client) -> None:
    client.post("/v1/chat/completions", json={"model": "smollm2", "messages": [PARIS], "max_tokens": 2})
    rows = client.get("/usage").json()["rows"]
    chats = [row for row in rows if (row["model"], row["provider"]) == ("smollm2-135m", "ai-server")]
    assert chats[0]["completionTokens"] > 0
