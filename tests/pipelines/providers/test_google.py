import asyncio
import json
import math
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.errors import (
    InvalidInput,
    ProviderBusy,
    ProviderDenied,
    ProviderFailed,
    ProviderLacks,
    ProviderOverloaded,
    ProviderRefused,
)
from pipelines.providers.base import ListedModel, ProviderSettings
from pipelines.providers.google import GoogleProvider
from pipelines.providers.google_answer import CandidateReader
from pipelines.providers.google_messages import STAND_IN_SIGNATURE
from pipelines.providers.google_request import GoogleOptions, translated
from pipelines.tasks.base import Usage
from pipelines.tasks.chat import ChatRequest
from pipelines.tasks.chat_shapes import Collector
from pipelines.tasks.embedding import EmbeddingRequest
from tests.fakes import FolderWorkspace
from tests.pipelines.providers.conversations import (
    CLOCK,
    PNG,
    TOOL_TALK,
    WEATHER,
    WRONG_FIELDS,
    WRONG_MESSAGES,
    answer,
    ask,
    chunks,
    collected,
    without_ids,
)
from tests.vendors.google import KEY, GoogleVendor
from tests.vendors.server import BadDay, event_stream, serving

OLD, NEW = "gemini-2.5-flash", "gemini-3.5-flash"
HELLO = "Hello! How can I help? ✓"
USER = {"role": "user", "content": "Hi"}


@pytest.fixture
async def vendor() -> AsyncIterator[GoogleVendor]:
    async with serving(GoogleVendor()) as vendor:
        assert isinstance(vendor, GoogleVendor)
        yield vendor


@pytest.fixture
async def provider(vendor: GoogleVendor) -> AsyncIterator[GoogleProvider]:
    provider = GoogleProvider(ProviderSettings("google", vendor.url, KEY, "GOOGLE_KEY"), GoogleOptions())
    yield provider
    await provider.close()


@pytest.fixture
def workspace(tmp_path: Path) -> FolderWorkspace:
    return FolderWorkspace(tmp_path)


def body_for(*messages: dict[str, Any], model: str = NEW, **fields: Any) -> dict[str, Any]:
    return translated({"messages": list(messages)} | fields, model, GoogleOptions())


def config_for(model: str = NEW, **fields: Any) -> dict[str, Any]:
    config: dict[str, Any] = body_for(USER, model=model, **fields).get("generationConfig", {})
    return config


async def test_an_answer_is_a_completion(
    vendor: GoogleVendor, provider: GoogleProvider, workspace: FolderWorkspace
) -> None:
    result = await provider.run("chat", ask(model=NEW), workspace)
    completion = result.body()
    assert completion["id"] == "r-1"
    assert completion["object"] == "chat.completion"
    assert completion["model"] == NEW
    assert completion["choices"] == [
        {
            "index": 0,
            "message": {"role": "assistant", "content": HELLO, "refusal": None},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ]
    assert completion["usage"] == {
        "prompt_tokens": 19,
        "completion_tokens": 10,
        "total_tokens": 29,
        "prompt_tokens_details": {"cached_tokens": 5},
        "completion_tokens_details": {"reasoning_tokens": 4},
    }
    assert result.usage == Usage(prompt_tokens=19, completion_tokens=10)
    assert vendor.asked[0].path == f"/v1beta/models/{NEW}:generateContent"
    assert vendor.asked[0].json == {"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]}


@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize("fields", [{}, {"n": 3}, {"tools": [WEATHER, CLOCK, WEATHER], "n": 2}])
async def test_a_stream_says_the_same_as_the_whole_answer(
    vendor: GoogleVendor,
    provider: GoogleProvider,
    workspace: FolderWorkspace,
    split: bool,
    fields: dict[str, Any],
) -> None:
    request = ask(model=NEW, **fields)
    vendor.bad_days.append(BadDay(split=split))
    pieces, usage = await chunks(provider, request, workspace)
    completion = await answer(provider, request, workspace)
    assert [without_ids(choice) for choice in collected(pieces)] == [
        without_ids(choice) for choice in completion["choices"]
    ]
    assert len(completion["choices"]) == fields.get("n", 1)
    assert json.loads(usage.data)["usage"] == completion["usage"]
    assert usage.usage == Usage(prompt_tokens=19, completion_tokens=10)
    assert {(piece["model"], piece["id"]) for piece in pieces} == {(NEW, "r-1")}
    assert vendor.asked[0].path == f"/v1beta/models/{NEW}:streamGenerateContent?alt=sse"


async def test_calls_of_tools(
    vendor: GoogleVendor, provider: GoogleProvider, workspace: FolderWorkspace
) -> None:
    request = ask(model=NEW, tools=[WEATHER, CLOCK])
    (choice,) = (await answer(provider, request, workspace))["choices"]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] is None
    first, second = choice["message"]["tool_calls"]
    assert first["id"] != second["id"]
    assert first["extra_content"] == {"google": {"thought_signature": "c2lnbmVk"}}
    assert json.loads(first["function"]["arguments"]) == {"city": "Zürich"}
    assert second["function"] == {"name": "get_time", "arguments": "{}"}
    assert "extra_content" not in second
    assert vendor.asked[0].json["tools"] == [
        {
            "functionDeclarations": [
                {
                    "name": "get_weather",
                    "description": "Tells the weather.",
                    "parametersJsonSchema": WEATHER["function"]["parameters"],  # type: ignore[index]
                },
                {"name": "get_time"},
            ]
        }
    ]
    results = [
        {"role": "tool", "tool_call_id": call["id"], "content": "1"}
        for call in choice["message"]["tool_calls"]
    ]
    talk = [{"role": "user", "content": "Hello"}, choice["message"], *results]
    await answer(provider, ask(model=NEW, messages=talk), workspace)
    part = vendor.asked[1].json["contents"][1]["parts"][0]
    assert part["thoughtSignature"] == "c2lnbmVk"


async def test_a_conversation_with_tools_is_taken(
    vendor: GoogleVendor, provider: GoogleProvider, workspace: FolderWorkspace
) -> None:
    request = ChatRequest(model=NEW, body={"messages": TOOL_TALK, "tools": [WEATHER, CLOCK]})
    await answer(provider, request, workspace)
    body = vendor.asked[0].json
    assert body["systemInstruction"] == {"parts": [{"text": "Be brief."}]}
    assert body["contents"][1:] == [
        {
            "role": "model",
            "parts": [
                {
                    "functionCall": {"id": "call_1", "name": "get_weather", "args": {"city": "Zürich"}},
                    "thoughtSignature": STAND_IN_SIGNATURE,
                },
                {"functionCall": {"id": "call_2", "name": "get_time", "args": {}}},
            ],
        },
        {
            "role": "user",
            "parts": [
                {"functionResponse": {"id": "call_1", "name": "get_weather", "response": {"degrees": 21}}},
                {"functionResponse": {"id": "call_2", "name": "get_time", "response": {"output": "noon ☀"}}},
                {"text": "Thanks, and tomorrow?"},
            ],
        },
    ]


def test_older_models_get_no_stand_in_signature() -> None:
    parts = body_for(*TOOL_TALK, model=OLD)["contents"][1]["parts"]
    assert not any("thoughtSignature" in part for part in parts)


def test_a_result_without_its_call_is_refused() -> None:
    with pytest.raises(InvalidInput, match="answers no call") as caught:
        body_for(USER, {"role": "tool", "tool_call_id": "call_9", "content": "1"})
    assert caught.value.field == "messages"


async def test_pictures_go_with_text(
    vendor: GoogleVendor, provider: GoogleProvider, workspace: FolderWorkspace
) -> None:
    content = [
        {"type": "text", "text": "Compare"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
        {"type": "input_audio", "input_audio": {"data": "eA==", "format": "wav"}},
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBERi0="}},
    ]
    await answer(provider, ask(model=NEW, messages=[{"role": "user", "content": content}]), workspace)
    assert vendor.asked[0].json["contents"][0]["parts"] == [
        {"text": "Compare"},
        {"inlineData": {"mimeType": "image/png", "data": PNG}},
        {"inlineData": {"mimeType": "audio/wav", "data": "eA=="}},
        {"inlineData": {"mimeType": "application/pdf", "data": "JVBERi0="}},
    ]


def test_addresses_of_pictures_are_refused() -> None:
    picture = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}
    with pytest.raises(InvalidInput, match="data URLs"):
        body_for({"role": "user", "content": [picture]})
    assert not GoogleProvider.fetches_images


def test_a_picture_may_be_a_tools_result() -> None:
    picture = {"type": "image_url", "image_url": {"url": f"data:image/webp;base64,{PNG}"}}
    talk = [*TOOL_TALK[:3], TOOL_TALK[3] | {"content": [picture]}, TOOL_TALK[4] | {"content": ""}]
    results = [part["functionResponse"] for part in body_for(*talk)["contents"][2]["parts"]]
    assert results[0]["parts"] == [{"inlineData": {"mimeType": "image/webp", "data": PNG}}]
    assert results[1]["response"] == {"output": ""}


def test_every_system_message_counts_and_empty_ones_say_nothing() -> None:
    body = body_for(
        {"role": "system", "content": "One"},
        USER,
        {"role": "developer", "content": [{"type": "text", "text": "Two"}]},
        {"role": "assistant", "content": ""},
        {"role": "user", "content": [{"type": "text", "text": ""}, {"type": "text", "text": "again"}]},
        {"role": "assistant", "content": None, "refusal": "No."},
    )
    assert body["systemInstruction"] == {"parts": [{"text": "One"}, {"text": "Two"}]}
    assert body["contents"] == [
        {"role": "user", "parts": [{"text": "Hi"}, {"text": "again"}]},
        {"role": "model", "parts": [{"text": "No."}]},
    ]


@pytest.mark.parametrize(
    ("choice", "config"),
    [
        ("auto", {"mode": "AUTO"}),
        ("none", {"mode": "NONE"}),
        ("required", {"mode": "ANY"}),
        (
            {"type": "function", "function": {"name": "get_time"}},
            {"mode": "ANY", "allowedFunctionNames": ["get_time"]},
        ),
    ],
)
def test_tool_choice(choice: Any, config: dict[str, Any]) -> None:
    body = body_for(USER, tools=[WEATHER, CLOCK], tool_choice=choice)
    assert body["toolConfig"] == {"functionCallingConfig": config}
    assert "toolConfig" not in body_for(USER, tools=[WEATHER])
    assert "toolConfig" not in body_for(USER, tool_choice=choice)


def test_generation_config() -> None:
    assert config_for(
        temperature=1.7,
        top_p=0.9,
        presence_penalty=0.1,
        frequency_penalty=0.2,
        n=2,
        seed=7,
        max_completion_tokens=9,
        stop="END",
        logprobs=True,
        top_logprobs=3,
    ) == {
        "temperature": 1.7,
        "topP": 0.9,
        "presencePenalty": 0.1,
        "frequencyPenalty": 0.2,
        "candidateCount": 2,
        "seed": 7,
        "maxOutputTokens": 9,
        "stopSequences": ["END"],
        "responseLogprobs": True,
        "logprobs": 3,
    }
    assert config_for(user="u", store=True, metadata={"a": "b"}, stream_options={}) == {}


def test_json() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    wish = {"type": "json_schema", "json_schema": {"name": "A", "schema": schema}}
    assert config_for(response_format=wish) == {
        "responseMimeType": "application/json",
        "responseJsonSchema": schema,
    }
    assert config_for(response_format={"type": "json_object"}) == {"responseMimeType": "application/json"}


@pytest.mark.parametrize(
    ("model", "effort", "thinking"),
    [
        (NEW, "low", {"thinkingLevel": "LOW"}),
        (NEW, "none", {"thinkingLevel": "MINIMAL"}),
        (NEW, "xhigh", {"thinkingLevel": "HIGH"}),
        (OLD, "medium", {"thinkingBudget": 8192}),
        (OLD, "none", {"thinkingBudget": 0}),
        ("gemma-3-27b-it", "high", None),
        (NEW, None, None),
    ],
)
def test_effort(model: str, effort: str | None, thinking: dict[str, Any] | None) -> None:
    assert config_for(model, reasoning_effort=effort).get("thinkingConfig") == thinking


def test_thoughts_are_shown_where_the_operator_wants_it() -> None:
    body = translated({"messages": [USER]}, NEW, GoogleOptions(shows_thoughts=True))
    assert body["generationConfig"] == {"thinkingConfig": {"includeThoughts": True}}


@pytest.mark.parametrize("messages", WRONG_MESSAGES)
def test_wrong_messages_are_the_callers_fault(messages: Any) -> None:
    with pytest.raises(InvalidInput) as caught:
        translated({"messages": messages}, NEW, GoogleOptions())
    assert caught.value.field == "messages"


@pytest.mark.parametrize(("field", "value"), [*WRONG_FIELDS, ("top_logprobs", "x"), ("seed", 1.5)])
def test_what_cannot_be_is_refused_by_its_name(field: str, value: Any) -> None:
    with pytest.raises(InvalidInput) as caught:
        body_for(USER, **{"tools": [WEATHER], field: value})
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("STOP", "stop"),
        ("MAX_TOKENS", "length"),
        ("SAFETY", "content_filter"),
        ("RECITATION", "content_filter"),
        ("PROHIBITED_CONTENT", "content_filter"),
        ("OF_THE_FUTURE", "content_filter"),
    ],
)
async def test_finish_reasons(
    vendor: GoogleVendor, provider: GoogleProvider, workspace: FolderWorkspace, reason: str, finish: str
) -> None:
    vendor.finish_reason, vendor.parts = reason, []
    (choice,) = (await answer(provider, ask(model=NEW), workspace))["choices"]
    pieces, _ = await chunks(provider, ask(model=NEW), workspace)
    assert choice["finish_reason"] == finish == collected(pieces)[0]["finish_reason"]
    assert choice["message"]["content"] == "" == collected(pieces)[0]["message"]["content"]


@pytest.mark.parametrize("reason", ["MALFORMED_FUNCTION_CALL", "MISSING_THOUGHT_SIGNATURE"])
async def test_a_model_that_gives_up_fails(
    vendor: GoogleVendor, provider: GoogleProvider, workspace: FolderWorkspace, reason: str
) -> None:
    vendor.finish_reason = reason
    for attempt in (answer, chunks):
        with pytest.raises(ProviderFailed, match=reason):
            await attempt(provider, ask(model=NEW), workspace)


async def test_a_blocked_prompt_is_a_filtered_answer(
    vendor: GoogleVendor, provider: GoogleProvider, workspace: FolderWorkspace
) -> None:
    vendor.block_reason = "PROHIBITED_CONTENT"
    (choice,) = (await answer(provider, ask(model=NEW), workspace))["choices"]
    pieces, usage = await chunks(provider, ask(model=NEW), workspace)
    assert choice == collected(pieces)[0]
    assert choice["finish_reason"] == "content_filter"
    assert "PROHIBITED_CONTENT" in choice["message"]["refusal"]
    assert usage.usage.prompt_tokens == 19


async def test_thoughts_are_reasoning_content(
    vendor: GoogleVendor, provider: GoogleProvider, workspace: FolderWorkspace
) -> None:
    vendor.parts = [
        {"text": "Hm, ", "thought": True},
        {"text": "42?", "thought": True},
        {"executableCode": {"language": "PYTHON", "code": "42"}},
        {"text": "42"},
        {"text": "", "thoughtSignature": "eA=="},
    ]
    (choice,) = (await answer(provider, ask(model=NEW), workspace))["choices"]
    pieces, _ = await chunks(provider, ask(model=NEW), workspace)
    assert choice == collected(pieces)[0]
    assert choice["message"]["reasoning_content"] == "Hm, 42?"
    assert choice["message"]["content"] == "42"


async def test_half_a_surrogate_pair_is_passed_on(
    vendor: GoogleVendor, provider: GoogleProvider, workspace: FolderWorkspace
) -> None:
    vendor.parts = [{"text": "\ud83c"}]
    completion = await answer(provider, ask("\ud83c", model=NEW), workspace)
    pieces, _ = await chunks(provider, ask(model=NEW), workspace)
    assert completion["choices"][0]["message"]["content"] == "\ud83c"
    assert collected(pieces)[0]["message"]["content"] == "\ud83c"
    assert vendor.asked[0].json["contents"][0]["parts"][0]["text"] == "\ud83c"


async def test_logprobs(vendor: GoogleVendor, provider: GoogleProvider, workspace: FolderWorkspace) -> None:
    vendor.parts = [{"text": "Zü"}]
    vendor.logprobs = {
        "chosenCandidates": [{"token": "Zü", "tokenId": 5, "logProbability": -0.5}, {"token": "."}],
        "topCandidates": [{"candidates": [{"token": "Zü", "logProbability": -0.5}]}],
    }
    (choice,) = (await answer(provider, ask(model=NEW, logprobs=True, top_logprobs=1), workspace))["choices"]
    token = {"token": "Zü", "logprob": -0.5, "bytes": [90, 195, 188]}
    assert choice["logprobs"]["content"] == [
        token | {"top_logprobs": [token]},
        {"token": ".", "logprob": 0.0, "bytes": [46], "top_logprobs": []},
    ]


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, ProviderRefused),
        (403, ProviderLacks),
        (404, ProviderLacks),
        (429, ProviderBusy),
        (500, ProviderFailed),
        (503, ProviderOverloaded),
        (504, ProviderFailed),
    ],
)
async def test_errors(
    vendor: GoogleVendor,
    provider: GoogleProvider,
    workspace: FolderWorkspace,
    status: int,
    error: type[Exception],
) -> None:
    vendor.bad_days.extend([BadDay(status), BadDay(status)])
    vendor.error_in_stream = status
    for attempt in (answer, chunks, chunks):
        with pytest.raises(error) as caught:
            await attempt(provider, ask(model=NEW), workspace)
        assert type(caught.value) is error
        assert KEY not in str(caught.value)
        if isinstance(caught.value, ProviderBusy):
            assert caught.value.retry_after_s == (34.5 if status == 429 else None)
        if isinstance(caught.value, ProviderRefused):
            assert caught.value.code == "INVALID_ARGUMENT"


async def test_an_account_that_is_not_served_is_the_operators_fault(
    vendor: GoogleVendor, provider: GoogleProvider, workspace: FolderWorkspace
) -> None:
    error = {"code": 400, "message": "User location is not supported.", "status": "FAILED_PRECONDITION"}
    for body in ({"error": error}, [{"error": error}]):
        vendor.bad_days.append(BadDay(400, body=json.dumps(body).encode()))
        with pytest.raises(ProviderFailed):
            await answer(provider, ask(model=NEW), workspace)


async def test_a_wrong_key_is_the_operators_fault(vendor: GoogleVendor, workspace: FolderWorkspace) -> None:
    provider = GoogleProvider(ProviderSettings("google", vendor.url, "other", "GOOGLE_KEY"), GoogleOptions())
    with pytest.raises(ProviderDenied, match="GOOGLE_KEY"):
        await answer(provider, ask(model=NEW), workspace)
    await provider.close()


@pytest.mark.parametrize("cut", [0, 1, 100, 500])
async def test_a_stream_that_breaks_off_fails(
    vendor: GoogleVendor, provider: GoogleProvider, workspace: FolderWorkspace, cut: int
) -> None:
    vendor.bad_days.append(BadDay(cut_after=cut))
    with pytest.raises(ProviderFailed):
        await chunks(provider, ask(model=NEW), workspace)


async def test_an_answer_without_an_end_fails(
    vendor: GoogleVendor, provider: GoogleProvider, workspace: FolderWorkspace
) -> None:
    vendor.finish_reason = None  # the connection ends well, the answer does not
    for attempt in (answer, chunks):
        with pytest.raises(ProviderFailed):
            await attempt(provider, ask(model=NEW), workspace)


async def test_streams_use_their_connection_again_and_closed_ones_end_it(
    vendor: GoogleVendor, provider: GoogleProvider, workspace: FolderWorkspace
) -> None:
    for _ in range(3):
        await chunks(provider, ask(model=NEW), workspace)
    assert len(vendor.peers) == 1
    vendor.bad_days.append(BadDay(hold=asyncio.Event()))
    async with aclosing(provider.stream("chat", ask(model=NEW), workspace)) as stream:
        assert isinstance(await anext(stream), bytes)
    await answer(provider, ask(model=NEW), workspace)
    assert len(vendor.peers) == 2


WRONG_ANSWERS: tuple[Any, ...] = (
    [],
    {},
    "text",
    {"candidates": 3},
    {"candidates": [3]},
    {"candidates": [{"content": {"parts": [3]}}]},
    {"candidates": [{"content": {"parts": [{"functionCall": {}}]}}]},
    {"candidates": [], "usageMetadata": 3},
    {"candidates": [{"finishReason": "STOP"}], "usageMetadata": {"promptTokenCount": "x"}},
    {"candidates": [{"finishReason": "STOP"}], "usageMetadata": {"promptTokenCount": -1}},
    {"error": "text"},
)


@pytest.mark.parametrize("wrong", WRONG_ANSWERS)
async def test_an_answer_of_another_shape_fails(
    vendor: GoogleVendor, provider: GoogleProvider, workspace: FolderWorkspace, wrong: Any
) -> None:
    stream = b"".join(event_stream(json.dumps(wrong)))
    vendor.bad_days.append(BadDay(body=json.dumps(wrong).encode()))
    vendor.bad_days.append(BadDay(body=stream, content_type="text/event-stream"))
    for attempt in (answer, chunks):
        with pytest.raises(ProviderFailed):
            await attempt(provider, ask(model=NEW), workspace)


@pytest.mark.parametrize(
    "model", [None, "", "../secret", "a/b", "a:b", "a?key=1", "a b", "models/../x", "a..b", "modèle", "a%2fb"]
)
async def test_names_that_would_lead_elsewhere_are_refused(
    vendor: GoogleVendor, provider: GoogleProvider, workspace: FolderWorkspace, model: str | None
) -> None:
    request = ChatRequest(model=model, body={"messages": [USER]})
    for attempt in (answer, chunks):
        with pytest.raises(InvalidInput) as caught:
            await attempt(provider, request, workspace)
        assert caught.value.field == "model"
    with pytest.raises(InvalidInput):
        await provider.run("embedding", EmbeddingRequest(model=model, inputs=("a",)), workspace)
    assert vendor.asked == []


async def test_models_tell_their_tasks(vendor: GoogleVendor, provider: GoogleProvider) -> None:
    assert await provider.models() == (
        ListedModel("gemini-3.5-flash", ("chat",)),
        ListedModel("gemini-embedding-001", ("embedding",)),
    )
    assert len(vendor.asked) == 3
    vendor.bad_days.append(BadDay(body=b"[]"))
    with pytest.raises(ProviderFailed):
        await provider.models()


async def test_embeddings(vendor: GoogleVendor, provider: GoogleProvider, workspace: FolderWorkspace) -> None:
    texts = tuple("x" * length for length in range(1, 251))
    result = await provider.run(
        "embedding", EmbeddingRequest(model="models/gemini-embedding-001", inputs=texts), workspace
    )
    assert [vector[0] for vector in result.vectors] == [float(len(text)) for text in texts]
    assert [len(asked.json["requests"]) for asked in vendor.asked] == [100, 100, 50]
    assert vendor.asked[0].path == "/v1beta/models/gemini-embedding-001:batchEmbedContents"
    assert (result.model, result.usage) == ("models/gemini-embedding-001", Usage(prompt_tokens=9))


async def test_shortened_embeddings_have_length_1(
    vendor: GoogleVendor, provider: GoogleProvider, workspace: FolderWorkspace
) -> None:
    request = EmbeddingRequest(model="gemini-embedding-001", inputs=("abc",), dimensions=2)
    result = await provider.run("embedding", request, workspace)
    assert result.vectors == ((0.6, 0.8),)
    assert math.isclose(math.hypot(*result.vectors[0]), 1.0)
    assert vendor.asked[0].json["requests"][0]["outputDimensionality"] == 2


async def test_tokens_are_no_texts(
    vendor: GoogleVendor, provider: GoogleProvider, workspace: FolderWorkspace
) -> None:
    with pytest.raises(InvalidInput) as caught:
        await provider.run("embedding", EmbeddingRequest(model="m", inputs=((1, 2),)), workspace)
    assert caught.value.field == "input"


@pytest.mark.parametrize(
    "body", [b"", b"{}", b'{"embeddings": []}', b'{"embeddings": [{"values": ["x"]}]}', b'{"embeddings": 3}']
)
async def test_vectors_of_another_shape_fail(
    vendor: GoogleVendor, provider: GoogleProvider, workspace: FolderWorkspace, body: bytes
) -> None:
    vendor.bad_days.append(BadDay(body=body))
    with pytest.raises(ProviderFailed):
        await provider.run("embedding", EmbeddingRequest(model="m", inputs=("a",)), workspace)


TEXTS = st.text(st.characters(codec="utf-8"), max_size=20)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)
PARTS = st.lists(
    st.builds(lambda text: {"text": text}, TEXTS)
    | st.builds(
        lambda name, value: {"functionCall": {"name": name, "args": value}},
        st.from_regex("[a-z_]{1,9}", fullmatch=True),
        st.dictionaries(TEXTS, JSON_VALUES, max_size=3),
    ),
    max_size=5,
)


@given(parts=PARTS, cut=st.integers(0, 5))
@settings(deadline=None, max_examples=50)
def test_every_text_and_call_is_kept_wherever_it_is_cut(parts: list[dict[str, Any]], cut: int) -> None:
    reader, collector = CandidateReader(), Collector()
    for some, reason in ((parts[:cut], None), (parts[cut:], "STOP")):
        for delta in reader.read({"candidates": [{"content": {"parts": some}, "finishReason": reason}]}):
            collector.add(delta)
    (choice,) = collector.choices()
    calls = [part["functionCall"] for part in parts if "functionCall" in part]
    made = choice["message"].get("tool_calls", [])
    assert choice["message"]["content"] == "".join(part.get("text", "") for part in parts)
    assert [call["function"]["name"] for call in made] == [call["name"] for call in calls]
    assert [json.loads(call["function"]["arguments"]) for call in made] == [call["args"] for call in calls]
    assert choice["finish_reason"] == ("tool_calls" if calls else "stop")
    assert reader.is_over


@given(body=st.dictionaries(st.sampled_from([name for name, _ in WRONG_FIELDS] + ["messages"]), JSON_VALUES))
@settings(deadline=None, max_examples=50)
def test_nothing_that_a_caller_writes_raises_another_error(body: dict[str, Any]) -> None:
    for request in (body, {"messages": [USER]} | body, {"messages": [{"role": "user"} | body]}):
        with suppress(InvalidInput):
            translated(request, NEW, GoogleOptions())
