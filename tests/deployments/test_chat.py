"""/v1/chat/completions in front of fake vendors, as a client sees it."""

import json
from base64 import b64encode
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from deployments.services import Services
from tests.deployments.chat import ChatServer, chat_server
from tests.deployments.stored import picture
from tests.vendors.openai import OpenAiVendor
from tests.vendors.server import HTML_ERROR, BadDay

GPT = {
    "id": "gpt",
    "tasks": ["chat"],
    "external": [
        {"provider": "first", "model": "gpt-5.4", "priority": 1, "price": {"input": 1, "output": 2}},
        {"provider": "second", "model": "openai/gpt-5.4"},
    ],
}
PARROT = {"id": "parrot", "tasks": ["chat"], "pipeline": "a:B"}
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}


@pytest.fixture
def first() -> OpenAiVendor:
    return OpenAiVendor()


@pytest.fixture
def second() -> OpenAiVendor:
    return OpenAiVendor()


@pytest.fixture
async def server(services: Services, first: OpenAiVendor, second: OpenAiVendor) -> AsyncIterator[ChatServer]:
    off = {"id": "groq", "base_url": "https://groq.test/v1", "key_env": "GROQ_KEY"}
    models = [
        PARROT,
        GPT,
        {"id": "llama", "tasks": ["chat"], "external": [{"provider": "groq", "model": "l"}]},
    ]
    vendors = {"first": first, "second": second}
    async with chat_server(services, vendors, models=models, more_providers=[off]) as server:
        yield server


def chunks(answer: httpx.Response) -> list[Any]:
    """Read an event stream: objects, and the word at the end."""
    lines = [line.removeprefix("data: ") for line in answer.text.split("\n\n") if line]
    return [json.loads(line) if line.startswith("{") else line for line in lines]


def said(events: list[Any]) -> str:
    choices = (choice for event in events if isinstance(event, dict) for choice in event["choices"])
    return "".join(choice["delta"].get("content") or "" for choice in choices)


async def test_our_own_model_is_the_default(server: ChatServer) -> None:
    answer = await server.chat()
    body = answer.json()
    assert body["choices"][0]["message"]["content"] == "Hi you"
    assert (body["object"], body["model"], body["choices"][0]["finish_reason"]) == (
        "chat.completion", "parrot", "stop",
    )  # fmt: skip
    assert body["usage"] == {"prompt_tokens": 2, "completion_tokens": 2, "total_tokens": 4}
    assert answer.headers["x-served-by"] == "ai-server"


async def test_what_a_provider_says_is_passed_on_as_it_is(server: ChatServer, first: OpenAiVendor) -> None:
    answer = await server.chat(model="gpt", temperature=0.5, x_unknown={"deep": [1]}, user="me")
    assert answer.json()["service_tier"] == "default"
    assert answer.headers["x-served-by"] == "first"
    assert first.asked[0].json == {
        "messages": [{"role": "user", "content": "Hi you"}],
        "temperature": 0.5,
        "x_unknown": {"deep": [1]},
        "user": "me",
        "model": "gpt-5.4",
    }
    assert first.asked[0].headers["Authorization"] == "Bearer sk-secret-key"


async def test_a_stream_is_passed_on_event_by_event(server: ChatServer, first: OpenAiVendor) -> None:
    answer = await server.chat(model="gpt", stream=True)
    events = chunks(answer)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert (said(events), events[-1]) == ("Hello! How can I help? ✓", "[DONE]")
    assert all(event["choices"] for event in events[:-1])  # the usage was not asked for
    assert first.asked[0].json["stream_options"] == {"include_usage": True}
    assert server.attempts[0].usage.completion_tokens == 10
    assert round(server.attempts[0].cost, 9) == 19e-6 + 20e-6


@pytest.mark.parametrize("model", ["gpt", "parrot"])
async def test_the_usage_ends_a_stream_that_asks_for_it(server: ChatServer, model: str) -> None:
    answer = await server.chat(model=model, stream=True, stream_options={"include_usage": True})
    *_, usage, end = chunks(answer)
    assert (usage["choices"], end) == ([], "[DONE]")
    assert usage["usage"]["total_tokens"] > 0


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "day",
    [
        BadDay(429, {"Retry-After": "30"}), BadDay(500), BadDay(503), HTML_ERROR, BadDay(401), BadDay(404),
        BadDay(cut_after=0), BadDay(body=b"<html>", content_type="text/html"),
    ],
    ids=["429", "500", "503", "html", "401", "404", "cut", "200-html"],
)  # fmt: skip
async def test_the_next_candidate_is_asked(
    server: ChatServer, first: OpenAiVendor, second: OpenAiVendor, day: BadDay, stream: bool
) -> None:
    first.bad_days.append(day)
    answer = await server.chat(model="gpt", stream=stream)
    assert (answer.status_code, answer.headers["x-served-by"]) == (200, "second")
    assert "How can" in answer.text or "How " in answer.text
    assert second.asked[0].json["model"] == "openai/gpt-5.4"


async def test_the_callers_own_fault_comes_back_as_the_vendor_says_it(
    server: ChatServer, first: OpenAiVendor, second: OpenAiVendor
) -> None:
    first.bad_days.append(BadDay(400))
    answer = await server.chat(model="gpt")
    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (400, "temperature")
    assert error["message"] == "Invalid value for 'temperature': expected at most 2."
    assert second.asked == []


async def test_a_stream_that_is_cut_ends_with_an_error_and_without_an_end_mark(
    server: ChatServer, first: OpenAiVendor
) -> None:
    first.bad_days.append(BadDay(cut_after=700))
    events = chunks(await server.chat(model="gpt", stream=True))
    assert "first" in events[-1]["error"]["message"]
    assert "[DONE]" not in events


async def test_characters_that_the_network_cuts_stay_whole(server: ChatServer, first: OpenAiVendor) -> None:
    first.bad_days.append(BadDay(split=True))
    assert said(chunks(await server.chat(model="gpt", stream=True))) == "Hello! How can I help? ✓"


async def test_nobody_hears_the_key(server: ChatServer, first: OpenAiVendor, second: OpenAiVendor) -> None:
    for vendor in (first, second):
        vendor.bad_days.extend([BadDay(401, body=b'{"error":{"message":"no sk-secret-key"}}')])
    answer = await server.chat(model="gpt")
    assert answer.status_code == 503
    assert "sk-secret" not in answer.text
    assert "FIRST_KEY" in answer.text


async def test_any_model_of_a_provider_can_be_named(server: ChatServer, second: OpenAiVendor) -> None:
    answer = await server.chat(model="second/deep/seek")
    assert answer.headers["x-served-by"] == "second"
    assert second.asked[0].json["model"] == "deep/seek"


async def test_a_model_that_fails_says_nothing_of_the_providers_others(
    server: ChatServer, second: OpenAiVendor
) -> None:
    second.bad_days.append(BadDay(429, headers={"Retry-After": "60"}))
    assert (await server.chat(model="second/crowded")).status_code == 429
    assert (await server.chat(model="second/crowded")).status_code == 503
    assert (await server.chat(model="second/quiet")).status_code == 200
    assert [asked.json["model"] for asked in second.asked] == ["crowded", "quiet"]


async def test_a_model_that_a_provider_lists_is_found_by_its_bare_name(
    server: ChatServer, first: OpenAiVendor
) -> None:
    await server.catalogue.refresh()
    assert (await server.chat(model="gpt-5.4")).headers["x-served-by"] == "first"
    listed = {model["id"]: model for model in (await server.client.get("/v1/models")).json()["data"]}
    assert listed["first/gpt-5.4"]["owned_by"] == "first"
    assert (await server.client.get("/v1/models/first/gpt-5.4")).json()["aliases"] == ["gpt-5.4"]


@pytest.mark.parametrize(
    ("model", "hint"),
    [("nobody", "first/…"), ("llama", "groq is switched off: set GROQ_KEY"), ("groq/any", "set GROQ_KEY")],
)
async def test_an_unknown_model_is_answered_with_what_there_is(
    server: ChatServer, model: str, hint: str
) -> None:
    answer = await server.chat(model=model)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (404, "model_not_found", "model")
    assert "Available: parrot, gpt" in error["message"]
    assert hint in error["message"]


async def test_a_provider_may_be_pinned(server: ChatServer, first: OpenAiVendor) -> None:
    answer = await server.chat(model="gpt", provider="second")
    assert answer.headers["x-served-by"] == "second"
    refused = await server.chat(model="gpt", provider="groq")
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "provider")
    assert first.asked == []


async def test_a_pin_chooses_among_those_who_list_a_name(server: ChatServer) -> None:
    await server.catalogue.refresh()
    for name in ("first", "second"):
        answer = await server.chat(model="gpt-5.4", provider=name)
        assert answer.headers["x-served-by"] == name
    assert [each.model for each in server.attempts] == ["gpt-5.4", "gpt-5.4"]


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"provider": 5}, "provider"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tool_choice": "banana", "tools": [TOOL]}, "tool_choice"),
    ],
)
async def test_what_makes_no_sense_is_refused(server: ChatServer, fields: dict[str, Any], name: str) -> None:
    answer = await server.chat(model="gpt", **fields)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, name)


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/api/QueueOpenAiChatCompletion"])
async def test_what_is_nested_too_deeply_is_refused_at_the_door(server: ChatServer, path: str) -> None:
    deep: Any = []
    for _ in range(200):
        deep = [deep]
    body = {"messages": [{"role": "user", "content": "Hi"}], "x": deep}
    answer = await server.client.post(path, json={**body, "request": body})
    assert answer.status_code == 400
    assert "nested deeper than 100 levels" in answer.text


async def test_a_schema_that_would_hold_up_all_others_is_refused(server: ChatServer) -> None:
    large = {"properties": {f"property{number}": {"type": "string"} for number in range(3_000)}}
    tool = {"type": "function", "function": {"name": "large", "parameters": large}}
    answer = await server.chat(model="gpt", tools=[tool])
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "tools[0].function.parameters")


async def test_a_refused_key_is_not_tried_again_for_other_models(
    server: ChatServer, first: OpenAiVendor
) -> None:
    first.bad_days.append(BadDay(401))
    assert (await server.chat(model="first/one")).status_code == 502
    assert (await server.chat(model="first/other")).status_code == 503
    assert len(first.asked) == 1


async def test_an_answer_without_a_choice_is_none(server: ChatServer, first: OpenAiVendor) -> None:
    first.bad_days.extend([BadDay(body=b'{"choices": [], "usage": {}}')] * 2)
    answer = await server.chat(model="first/any")
    assert (answer.status_code, "without choices" in answer.text) == (502, True)


async def test_an_object_called_provider_is_openrouters_and_passes_through(
    server: ChatServer, first: OpenAiVendor
) -> None:
    await server.chat(model="gpt", provider={"order": ["x"]})
    assert first.asked[0].json["provider"] == {"order": ["x"]}


async def test_tools_go_through_and_back(server: ChatServer) -> None:
    answer = await server.chat(model="gpt", tools=[TOOL], tool_choice="auto")
    call = answer.json()["choices"][0]["message"]["tool_calls"][0]
    assert (call["function"]["name"], json.loads(call["function"]["arguments"])) == (
        "weather", {"city": "Zürich"},
    )  # fmt: skip


async def test_a_model_that_cannot_says_so(server: ChatServer) -> None:
    answer = await server.chat(tools=[TOOL])
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "tools")


async def test_clients_of_ai_server_spell_in_camel_case(server: ChatServer, first: OpenAiVendor) -> None:
    image = b64encode(picture(2, 2)).decode()
    await server.chat(
        "/api/OpenAiChatCompletion",
        model="gpt",
        maxTokens=5,
        topP=0.5,
        responseFormat={"response_format": "json_object"},
        refId="mine",
        messages=[{"role": "user", "content": "See", "images": [image]}],
    )
    assert first.asked[0].json == {
        "model": "gpt-5.4",
        "max_tokens": 5,
        "top_p": 0.5,
        "response_format": {"type": "json_object"},
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "See"},
                    {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{image}"}},
                ],
            }
        ],
    }


BAD = [
    ({"messages": []}, "messages"),
    ({"messages": "hi"}, "messages"),
    ({"messages": [1]}, "messages[0]"),
    ({"messages": [{"role": "king", "content": "a"}]}, "messages[0].role"),
    ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": [{"text": "a"}]}]}, "messages[0].content[0].type"),
    ({"temperature": "hot"}, "temperature"),
    ({"temperature": 3}, "temperature"),
    ({"n": 0}, "n"),
    ({"max_tokens": -1}, "max_tokens"),
    ({"stop": 5}, "stop"),
    ({"stream_options": {"include_usage": True}}, "stream_options"),
    ({"tools": [{"type": "function", "function": {"name": "two words"}}]}, "tools[0].function.name"),
    ({"tools": [{"type": "function"}]}, "tools[0].function"),
    (
        {"tools": [{"type": "function", "function": {"name": "a", "parameters": {"type": "objekt"}}}]},
        "tools[0].function.parameters",
    ),
    (
        {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": 5}}}},
        "response_format.json_schema.schema",
    ),
    ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
]


@pytest.mark.parametrize(("body", "field"), BAD, ids=[field for _, field in BAD])
async def test_bad_input_names_the_field(server: ChatServer, body: dict[str, Any], field: str) -> None:
    answer = await server.chat(**body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, field)
    assert server.attempts == []


async def test_in_ai_servers_words_too(server: ChatServer) -> None:
    answer = await server.chat("/api/OpenAiChatCompletion", messages=[])
    assert answer.json()["responseStatus"] == {
        "errorCode": "NotEmpty",
        "message": "'messages' must not be empty.",
        "errors": [
            {"errorCode": "NotEmpty", "fieldName": "Messages", "message": "'messages' must not be empty."}
        ],
    }


async def test_too_large_a_body_is_refused(services: Services, first: OpenAiVendor) -> None:
    async with chat_server(services, {"first": first}) as server:
        messages = [{"role": "user", "content": "x" * 52_500_000}]
        answer = await server.chat(model="first/gpt", messages=messages)
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "request_entity_too_large")
    assert "limits.chat_bytes" in answer.json()["error"]["message"]


async def test_the_state_of_candidates_is_public(server: ChatServer, first: OpenAiVendor) -> None:
    first.bad_days.append(BadDay(401))
    await server.chat(model="gpt")
    ready = (await server.client.get("/ready")).json()
    states = {each["id"]: each["state"] for each in ready["providers"]}
    assert states == {"first": "ready", "second": "ready", "groq": "off"}


async def test_where_no_model_is_the_default_one_must_be_named(
    services: Services, first: OpenAiVendor
) -> None:
    async with chat_server(services, {"first": first}, models=[]) as server:
        answer = await server.chat()
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "model")
    assert "first/…" in answer.json()["error"]["message"]


async def test_a_provider_that_does_not_take_the_key_shows(server: ChatServer, first: OpenAiVendor) -> None:
    first.bad_days.append(BadDay(401))
    assert (await server.chat(model="first/gpt-9")).status_code == 502
    again = await server.chat(model="first/gpt-9")
    assert (again.status_code, int(again.headers["retry-after"]) > 0) == (503, True)
    ready = (await server.client.get("/ready")).json()
    (shown,) = (each for each in ready["providers"] if each["id"] == "first")
    assert shown == {
        "id": "first",
        "state": "unavailable",
        "detail": "first does not accept the server's key (FIRST_KEY).",
    }
    assert len(first.asked) == 1
