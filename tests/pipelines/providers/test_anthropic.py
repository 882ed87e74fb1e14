import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any

import anthropic.types
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from pipelines.errors import (
    InvalidInput,
    ProviderBusy,
    ProviderDenied,
    ProviderFailed,
    ProviderLacks,
    ProviderOverloaded,
    ProviderRefused,
)
from pipelines.providers.anthropic import AnthropicProvider
from pipelines.providers.anthropic_answer import BlockReader, whole
from pipelines.providers.anthropic_request import JSON_ONLY, AnthropicOptions, translated
from pipelines.providers.base import ListedModel, ProviderSettings
from pipelines.tasks.base import Usage
from pipelines.tasks.chat import ChatRequest
from pipelines.tasks.chat_shapes import Collector
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
from tests.vendors.anthropic import KEY, MODELS, AnthropicVendor
from tests.vendors.server import BadDay, event_stream, serving

REQUEST: TypeAdapter[Any] = TypeAdapter(anthropic.types.MessageCreateParams)
EVENT: TypeAdapter[Any] = TypeAdapter(anthropic.types.RawMessageStreamEvent)
OLD, NEW = "claude-sonnet-4-5", "claude-opus-5-5"
HELLO = "Hello! How can I help? ✓"


@pytest.fixture
async def vendor() -> AsyncIterator[AnthropicVendor]:
    async with serving(AnthropicVendor()) as vendor:
        assert isinstance(vendor, AnthropicVendor)
        yield vendor


@pytest.fixture
async def provider(vendor: AnthropicVendor) -> AsyncIterator[AnthropicProvider]:
    provider = AnthropicProvider(
        ProviderSettings("anthropic", vendor.url, KEY, "ANTHROPIC_KEY"), AnthropicOptions()
    )
    yield provider
    await provider.close()


@pytest.fixture
def workspace(tmp_path: Path) -> FolderWorkspace:
    return FolderWorkspace(tmp_path)


def body_for(*messages: dict[str, Any], model: str = NEW, **fields: Any) -> dict[str, Any]:
    """Translate, and let the types of Anthropic's client check the result."""
    translation = translated({"messages": list(messages)} | fields, model, AnthropicOptions())
    sampling = {"temperature", "top_p"}  # which the client's newer version of the API lacks
    REQUEST.validate_python({name: value for name, value in translation.items() if name not in sampling})
    return translation


USER = {"role": "user", "content": "Hi"}


async def test_an_answer_is_a_completion(
    vendor: AnthropicVendor, provider: AnthropicProvider, workspace: FolderWorkspace
) -> None:
    result = await provider.run("chat", ask(model=NEW), workspace)
    completion = result.body()
    assert completion["object"] == "chat.completion"
    assert completion["model"] == f"{NEW}-20261101"
    assert completion["choices"] == [
        {
            "index": 0,
            "message": {"role": "assistant", "content": HELLO, "refusal": None},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ]
    assert completion["usage"] == {
        "prompt_tokens": 1119,
        "completion_tokens": 10,
        "total_tokens": 1129,
        "prompt_tokens_details": {"cached_tokens": 1000},
        "completion_tokens_details": {"reasoning_tokens": 4},
    }
    assert result.usage == Usage(prompt_tokens=1119, completion_tokens=10)
    assert vendor.asked[0].path == "/v1/messages"
    assert vendor.asked[0].json == {
        "model": NEW,
        "max_tokens": 16_000,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}],
    }


@pytest.mark.parametrize("split", [False, True])
async def test_a_stream_says_the_same_as_the_whole_answer(
    vendor: AnthropicVendor, provider: AnthropicProvider, workspace: FolderWorkspace, split: bool
) -> None:
    request = ask(model=NEW, tools=[WEATHER, CLOCK, WEATHER])
    vendor.content = None
    vendor.bad_days.append(BadDay(split=split))
    pieces, usage = await chunks(provider, request, workspace)
    completion = await answer(provider, request, workspace)
    assert [without_ids(choice) for choice in collected(pieces)] == [
        without_ids(choice) for choice in completion["choices"]
    ]
    assert json.loads(usage.data)["usage"] == completion["usage"]
    assert usage.usage == Usage(prompt_tokens=1119, completion_tokens=10)
    assert {piece["model"] for piece in pieces} == {f"{NEW}-20261101"}
    assert {piece["id"] for piece in pieces} == {completion["id"]}
    calls = completion["choices"][0]["message"]["tool_calls"]
    assert [json.loads(call["function"]["arguments"]) for call in calls] == [
        {"city": "Zürich"},
        {},
        {"deep": {"list": [1, None, "\u2028"]}},
    ]
    assert [call["id"] for call in calls] == ["toolu_0", "toolu_1", "toolu_2"]
    assert completion["choices"][0]["finish_reason"] == "tool_calls"


async def test_a_conversation_with_tools_is_taken(
    vendor: AnthropicVendor, provider: AnthropicProvider, workspace: FolderWorkspace
) -> None:
    request = ChatRequest(model=NEW, body={"messages": TOOL_TALK, "tools": [WEATHER, CLOCK]})
    await answer(provider, request, workspace)
    body = vendor.asked[0].json
    REQUEST.validate_python(body)
    assert body["system"] == [{"type": "text", "text": "Be brief."}]
    assert [turn["role"] for turn in body["messages"]] == ["user", "assistant", "user"]
    assert body["messages"][1]["content"] == [
        {"type": "tool_use", "id": "call_1", "name": "get_weather", "input": {"city": "Zürich"}},
        {"type": "tool_use", "id": "call_2", "name": "get_time", "input": {}},
    ]
    assert body["messages"][2]["content"] == [
        {
            "type": "tool_result",
            "tool_use_id": "call_1",
            "content": [{"type": "text", "text": '{"degrees": 21}'}],
        },
        {"type": "tool_result", "tool_use_id": "call_2", "content": [{"type": "text", "text": "noon ☀"}]},
        {"type": "text", "text": "Thanks, and tomorrow?"},
    ]
    assert body["tools"] == [
        {
            "name": "get_weather",
            "description": "Tells the weather.",
            "input_schema": WEATHER["function"]["parameters"],  # type: ignore[index]
        },
        {"name": "get_time", "input_schema": {"type": "object", "properties": {}}},
    ]


async def test_a_conversation_with_old_calls_is_taken_without_tools(
    vendor: AnthropicVendor, provider: AnthropicProvider, workspace: FolderWorkspace
) -> None:
    completion = await answer(provider, ChatRequest(model=NEW, body={"messages": TOOL_TALK}), workspace)
    assert completion["choices"][0]["message"]["content"] == HELLO
    assert vendor.asked[0].json["tool_choice"] == {"type": "none"}


async def test_pictures_and_documents_go_with_text(
    vendor: AnthropicVendor, provider: AnthropicProvider, workspace: FolderWorkspace
) -> None:
    content = [
        {"type": "text", "text": "Compare"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}", "detail": "low"}},
        {"type": "image_url", "image_url": {"url": f"data:image/JPG;base64,{PNG}"}},
        {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0="}},
    ]
    await answer(provider, ask(model=NEW, messages=[{"role": "user", "content": content}]), workspace)
    body = vendor.asked[0].json
    REQUEST.validate_python(body)
    assert [block.get("source") for block in body["messages"][0]["content"]] == [
        None,
        {"type": "base64", "media_type": "image/png", "data": PNG},
        {"type": "base64", "media_type": "image/jpeg", "data": PNG},
        {"type": "url", "url": "https://example.org/a.png"},
        {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="},
    ]


def test_a_picture_may_be_a_tools_result() -> None:
    picture = {"type": "image_url", "image_url": {"url": f"data:image/webp;base64,{PNG}"}}
    talk = [*TOOL_TALK[:3], TOOL_TALK[3] | {"content": [picture]}, TOOL_TALK[4] | {"content": ""}]
    results = body_for(*talk)["messages"][2]["content"]
    assert results[0]["content"][0]["source"]["media_type"] == "image/webp"
    assert results[1] == {"type": "tool_result", "tool_use_id": "call_2"}


@pytest.mark.parametrize("kind", ["image/bmp", "audio/wav"])
def test_other_media_are_refused(kind: str) -> None:
    file = {"type": "file", "file": {"file_data": f"data:{kind};base64,eA=="}}
    with pytest.raises(InvalidInput, match=kind) as caught:
        body_for({"role": "user", "content": [file]})
    assert caught.value.field == "messages"


def test_every_system_message_counts() -> None:
    body = body_for(
        {"role": "system", "content": "One"},
        {"role": "developer", "content": [{"type": "text", "text": "Two"}, {"type": "text", "text": "!"}]},
        USER,
        {"role": "system", "content": "Three"},
        {"role": "system", "content": ""},
        USER,
    )
    assert [block["text"] for block in body["system"]] == ["One", "Two!", "Three"]
    assert len(body["messages"]) == 1


def test_empty_messages_say_nothing_and_neighbours_become_one() -> None:
    body = body_for(
        USER,
        {"role": "assistant", "content": ""},
        {"role": "user", "content": [{"type": "text", "text": " \n"}, {"type": "text", "text": "again"}]},
        {"role": "assistant", "content": None, "refusal": "No."},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "Never. \n"}]},
    )
    assert body["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": "Hi"}, {"type": "text", "text": "again"}]},
        {
            "role": "assistant",
            "content": [{"type": "text", "text": "No."}, {"type": "text", "text": "Never."}],
        },
    ]


def test_ids_of_other_vendors_are_made_fit() -> None:
    call = {"id": "call:1/ü", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    body = body_for(
        USER,
        {"role": "assistant", "content": "Wait", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call:1/ü", "content": "1"},
    )
    assert body["messages"][1]["content"][1]["id"] == "call_1__"
    assert body["messages"][2]["content"][0]["tool_use_id"] == "call_1__"


@pytest.mark.parametrize(
    ("fields", "choice"),
    [
        ({}, None),
        ({"tool_choice": "auto"}, {"type": "auto"}),
        ({"tool_choice": "none"}, {"type": "none"}),
        ({"tool_choice": "none", "parallel_tool_calls": False}, {"type": "none"}),
        ({"tool_choice": "required"}, {"type": "any"}),
        ({"parallel_tool_calls": True}, None),
        ({"parallel_tool_calls": False}, {"type": "auto", "disable_parallel_tool_use": True}),
        (
            {
                "tool_choice": {"type": "function", "function": {"name": "get_time"}},
                "parallel_tool_calls": False,
            },
            {"type": "tool", "name": "get_time", "disable_parallel_tool_use": True},
        ),
    ],
)
def test_tool_choice(fields: dict[str, Any], choice: dict[str, Any] | None) -> None:
    assert body_for(USER, tools=[WEATHER, CLOCK], **fields).get("tool_choice") == choice


def test_allowed_tools_are_the_only_ones() -> None:
    allowed = {"mode": "required", "tools": [CLOCK]}
    choice = {"type": "allowed_tools", "allowed_tools": allowed}
    body = body_for(USER, tools=[WEATHER, CLOCK], tool_choice=choice)
    assert [tool["name"] for tool in body["tools"]] == ["get_time"]
    assert body["tool_choice"] == {"type": "any"}


def test_limits_and_stops() -> None:
    body = body_for(USER, max_completion_tokens=7, max_tokens=9, stop="END")
    assert body["max_tokens"] == 7
    assert body["stop_sequences"] == ["END"]
    assert body_for(USER, max_tokens=9, stop=["A", "B"])["stop_sequences"] == ["A", "B"]
    assert body_for(USER, max_tokens=9, stop=None)["max_tokens"] == 9
    with pytest.raises(InvalidInput, match="white space") as caught:
        body_for(USER, stop=["\n\n"])
    assert caught.value.field == "stop"


@pytest.mark.parametrize(
    ("model", "fields", "sampling"),
    [
        (OLD, {"temperature": 0.5}, {"temperature": 0.5}),
        (OLD, {"temperature": 1.7}, {"temperature": 1.0}),
        (OLD, {"temperature": 0, "top_p": 0.9}, {"temperature": 0}),
        (OLD, {"top_p": 0.9}, {"top_p": 0.9}),
        (NEW, {"temperature": 0.5, "top_p": 0.9}, {}),
        ("claude-opus-4-8", {"temperature": 0.5}, {}),
    ],
)
def test_sampling(model: str, fields: dict[str, float], sampling: dict[str, float]) -> None:
    body = body_for(USER, model=model, **fields)
    assert {name: body[name] for name in ("temperature", "top_p") if name in body} == sampling


def test_json_by_schema_is_a_structured_output() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "additionalProperties": False}
    wish = {"type": "json_schema", "json_schema": {"name": "A", "schema": schema, "strict": True}}
    assert body_for(USER, response_format=wish)["output_config"] == {
        "format": {"type": "json_schema", "schema": schema}
    }
    assert body_for(USER, response_format={"type": "json_object"})["system"][0]["text"] == JSON_ONLY
    assert "output_config" not in body_for(USER, response_format={"type": "text"})


@pytest.mark.parametrize(
    ("model", "effort", "sent"),
    [(NEW, "medium", "medium"), (NEW, "minimal", "low"), (NEW, "none", "low"), (OLD, "high", None)],
)
def test_effort(model: str, effort: str, sent: str | None) -> None:
    config = body_for(USER, model=model, reasoning_effort=effort).get("output_config", {})
    assert config.get("effort") == sent


def test_hints_are_mapped_or_dropped() -> None:
    body = body_for(
        USER,
        user="u-1",
        service_tier="default",
        thinking={"type": "adaptive"},
        seed=1,
        store=True,
        metadata={"a": "b"},
        presence_penalty=0.5,
        frequency_penalty=0.5,
        n=1,
        logprobs=False,
        logit_bias={},
        modalities=["text"],
        stream_options={"include_usage": True},
    )
    assert body.keys() == {"model", "max_tokens", "messages", "metadata", "service_tier", "thinking"}
    assert body["metadata"] == {"user_id": "u-1"}
    assert body["service_tier"] == "standard_only"


@pytest.mark.parametrize("messages", WRONG_MESSAGES)
def test_wrong_messages_are_the_callers_fault(messages: Any) -> None:
    with pytest.raises(InvalidInput) as caught:
        translated({"messages": messages}, NEW, AnthropicOptions())
    assert caught.value.field == "messages"


@pytest.mark.parametrize(("field", "value"), [*WRONG_FIELDS, ("n", 2), ("logprobs", True)])
def test_what_cannot_be_is_refused_by_its_name(field: str, value: Any) -> None:
    with pytest.raises(InvalidInput) as caught:
        body_for(USER, **{field: value})
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("pause_turn", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("refusal", "content_filter"),
        ("of_the_future", "stop"),
    ],
)
async def test_finish_reasons(
    vendor: AnthropicVendor, provider: AnthropicProvider, workspace: FolderWorkspace, reason: str, finish: str
) -> None:
    vendor.stop_reason, vendor.content = reason, []
    completion = await answer(provider, ask(model=NEW), workspace)
    pieces, _ = await chunks(provider, ask(model=NEW), workspace)
    (choice,) = completion["choices"]
    assert choice["finish_reason"] == finish == collected(pieces)[0]["finish_reason"]
    assert choice["message"]["content"] == "" == collected(pieces)[0]["message"]["content"]


async def test_a_refusal_tells_why(
    vendor: AnthropicVendor, provider: AnthropicProvider, workspace: FolderWorkspace
) -> None:
    vendor.stop_reason, vendor.content = "refusal", []
    vendor.stop_details = {"type": "refusal", "category": "bio", "explanation": "No pathogens."}
    pieces, _ = await chunks(provider, ask(model=NEW), workspace)
    assert collected(pieces)[0]["message"]["refusal"] == "No pathogens."


async def test_thoughts_come_out_and_go_in_again(
    vendor: AnthropicVendor, provider: AnthropicProvider, workspace: FolderWorkspace
) -> None:
    thoughts = [
        {"type": "thinking", "thinking": "Let me see: 42 ✓", "signature": "EqQBCg=="},
        {"type": "redacted_thinking", "data": "EmwKAhgB"},
    ]
    vendor.content = [*thoughts, {"type": "text", "text": "42"}]
    completion = await answer(provider, ask(model=NEW), workspace)
    pieces, _ = await chunks(provider, ask(model=NEW), workspace)
    message = completion["choices"][0]["message"]
    assert message == collected(pieces)[0]["message"] | {"content": "42"}
    assert message["reasoning_content"] == "Let me see: 42 ✓"
    assert message["thinking_blocks"] == thoughts
    talk = [{"role": "user", "content": "?"}, message, {"role": "user", "content": "Sure?"}]
    await answer(provider, ask(model=NEW, messages=talk), workspace)
    assert vendor.asked[-1].json["messages"][1]["content"] == vendor.content


async def test_blocks_of_the_future_are_left_out(
    vendor: AnthropicVendor, provider: AnthropicProvider, workspace: FolderWorkspace
) -> None:
    vendor.content = [{"type": "hologram", "data": "x"}, {"type": "text", "text": "Hi"}]
    completion = await answer(provider, ask(model=NEW), workspace)
    pieces, _ = await chunks(provider, ask(model=NEW), workspace)
    assert (
        completion["choices"][0]["message"]["content"] == "Hi" == collected(pieces)[0]["message"]["content"]
    )


async def test_half_a_surrogate_pair_is_passed_on(
    vendor: AnthropicVendor, provider: AnthropicProvider, workspace: FolderWorkspace
) -> None:
    vendor.content = [{"type": "text", "text": "\ud83c"}]
    completion = await answer(provider, ask("\ud83c", model=NEW), workspace)
    pieces, _ = await chunks(provider, ask(model=NEW), workspace)
    assert completion["choices"][0]["message"]["content"] == "\ud83c"
    assert collected(pieces)[0]["message"]["content"] == "\ud83c"
    assert vendor.asked[0].json["messages"][0]["content"][0]["text"] == "\ud83c"


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("overloaded_error", ProviderOverloaded),
        ("rate_limit_error", ProviderBusy),
        ("api_error", ProviderFailed),
        ("timeout_error", ProviderFailed),
        ("of_the_future", ProviderFailed),
        ("authentication_error", ProviderDenied),
        ("invalid_request_error", ProviderRefused),
    ],
)
async def test_an_error_in_a_stream(
    vendor: AnthropicVendor,
    provider: AnthropicProvider,
    workspace: FolderWorkspace,
    kind: str,
    error: type[Exception],
) -> None:
    vendor.error_in_stream = kind
    with pytest.raises(error) as caught:
        await chunks(provider, ask(model=NEW), workspace)
    assert type(caught.value) is error


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, ProviderRefused),
        (401, ProviderDenied),
        (402, ProviderDenied),
        (404, ProviderLacks),
        (413, ProviderRefused),
        (429, ProviderBusy),
        (500, ProviderFailed),
        (529, ProviderOverloaded),
    ],
)
async def test_errors(
    vendor: AnthropicVendor,
    provider: AnthropicProvider,
    workspace: FolderWorkspace,
    status: int,
    error: type[Exception],
) -> None:
    vendor.bad_days.extend([BadDay(status), BadDay(status)])
    for attempt in (answer, chunks):
        with pytest.raises(error) as caught:
            await attempt(provider, ask(model=NEW), workspace)
        assert type(caught.value) is error
        assert KEY not in str(caught.value)
        if isinstance(caught.value, ProviderRefused):
            assert caught.value.status == status
            assert caught.value.code in ("invalid_request_error", "request_too_large")


@pytest.mark.parametrize("cut", [0, 1, 600, 1500])
async def test_a_stream_that_breaks_off_fails(
    vendor: AnthropicVendor, provider: AnthropicProvider, workspace: FolderWorkspace, cut: int
) -> None:
    vendor.bad_days.append(BadDay(cut_after=cut))
    with pytest.raises(ProviderFailed):
        await chunks(provider, ask(model=NEW), workspace)


async def test_streams_use_their_connection_again_and_closed_ones_end_it(
    vendor: AnthropicVendor, provider: AnthropicProvider, workspace: FolderWorkspace
) -> None:
    for _ in range(3):
        await chunks(provider, ask(model=NEW), workspace)
    assert len(vendor.peers) == 1
    vendor.bad_days.append(BadDay(hold=asyncio.Event()))
    async with aclosing(provider.stream("chat", ask(model=NEW), workspace)) as stream:
        assert isinstance(await anext(stream), bytes)
    await answer(provider, ask(model=NEW), workspace)
    assert len(vendor.peers) == 2


@pytest.mark.parametrize("body", [b'{"error": "text"}', b'{"error": {"type": 3}}', b"{}"])
async def test_a_good_status_without_a_stream_fails(
    vendor: AnthropicVendor, provider: AnthropicProvider, workspace: FolderWorkspace, body: bytes
) -> None:
    vendor.bad_days.append(BadDay(body=body))
    with pytest.raises(ProviderFailed):
        await chunks(provider, ask(model=NEW), workspace)


WRONG_STREAMS = (
    event_stream("[" * 99_999),
    event_stream({"type": "ping"}),  # ends well for HTTP, but not for Anthropic
    event_stream("no JSON"),
    event_stream("[]"),
    event_stream({"no": "type"}),
    event_stream({"type": "content_block_delta", "index": 3, "delta": {"type": "text_delta", "text": "x"}}),
    event_stream({"type": "content_block_start", "index": 0, "content_block": {"type": "text"}}),
    event_stream({"type": "error"}),
    event_stream({"type": "error", "error": "text"}),
)


@pytest.mark.parametrize("events", WRONG_STREAMS)
async def test_a_stream_of_another_shape_fails(
    vendor: AnthropicVendor, provider: AnthropicProvider, workspace: FolderWorkspace, events: list[bytes]
) -> None:
    vendor.bad_days.append(BadDay(body=b"".join(events), content_type="text/event-stream"))
    with pytest.raises(ProviderFailed):
        await chunks(provider, ask(model=NEW), workspace)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b"[" * 99_999,
        b'{"content": 3}',
        b'{"content": [{"type": "text"}]}',
        b'{"content": []}',
    ],
)
async def test_an_answer_of_another_shape_fails(
    vendor: AnthropicVendor, provider: AnthropicProvider, workspace: FolderWorkspace, body: bytes
) -> None:
    vendor.bad_days.extend([BadDay(body=body), BadDay(body=body)])
    with pytest.raises(ProviderFailed):
        await answer(provider, ask(model=NEW), workspace)
    with pytest.raises(ProviderFailed):
        await provider.models()


async def test_the_list_of_models_has_all_pages(vendor: AnthropicVendor, provider: AnthropicProvider) -> None:
    assert await provider.models() == tuple(ListedModel(name, ("chat",)) for name in MODELS)
    assert len(vendor.asked) == 2


async def test_the_fake_vendor_speaks_as_anthropics_client_hears(vendor: AnthropicVendor) -> None:
    vendor.content = [
        {"type": "thinking", "thinking": "Hm", "signature": "x"},
        {"type": "text", "text": HELLO},
        {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": 1}},
    ]
    vendor.stop_reason = "tool_use"
    async with anthropic.AsyncAnthropic(
        api_key=KEY,
        base_url=vendor.url,
        default_headers={"anthropic-version": "2023-06-01", "x-api-key": KEY},
        max_retries=0,
    ) as client:
        fields: dict[str, Any] = {"model": NEW, "max_tokens": 9}
        fields["messages"] = [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]
        message = await client.messages.create(**fields)
        async with client.messages.stream(**fields) as stream:
            streamed = await stream.get_final_message()
        assert [block.type for block in message.content] == ["thinking", "text", "tool_use"]
        assert [block.type for block in streamed.content] == ["thinking", "text", "tool_use"]
        assert streamed.stop_reason == "tool_use"
        vendor.bad_days.append(BadDay(529))
        with pytest.raises(anthropic.APIStatusError):
            await client.messages.create(**fields)


TEXTS = st.text(st.characters(codec="utf-8"), max_size=20)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)
BLOCKS = st.lists(
    st.builds(lambda text: {"type": "text", "text": text}, TEXTS)
    | st.builds(
        lambda name, value: {"type": "tool_use", "id": "toolu_1", "name": name, "input": value},
        st.from_regex("[a-z_]{1,9}", fullmatch=True),
        st.dictionaries(TEXTS, JSON_VALUES, max_size=3),
    ),
    max_size=5,
)


@given(content=BLOCKS, cuts=st.integers(1, 9), reason=st.sampled_from(["end_turn", "max_tokens", "tool_use"]))
@settings(deadline=None, max_examples=50)
def test_whole_and_streamed_keep_every_text_and_call(
    content: list[dict[str, Any]], cuts: int, reason: str
) -> None:
    message = {"content": content, "stop_reason": reason, "usage": {}}
    collector, reader, streamed = Collector(), BlockReader(), Collector()
    for delta in whole(message):
        collector.add(delta)
    for index, block in enumerate(content):
        empty: dict[str, Any] = {"text": ""} if block["type"] == "text" else {"input": {}}
        deltas = list(reader.start(index, block | empty))
        text = block["text"] if block["type"] == "text" else json.dumps(block["input"])
        kind, name = (
            ("text_delta", "text") if block["type"] == "text" else ("input_json_delta", "partial_json")
        )
        for place in range(0, len(text), cuts):
            deltas += reader.add(index, {"type": kind, name: text[place : place + cuts]})
        for delta in [*deltas, *reader.stop(index)]:
            streamed.add(delta)
    for choices in (collector.choices(), streamed.choices() if content else []):
        for choice in choices:
            said = "".join(block["text"] for block in content if block["type"] == "text")
            calls = [block for block in content if block["type"] == "tool_use"]
            assert (choice["message"]["content"] or "") == said
            made = choice["message"].get("tool_calls", [])
            assert [call["function"]["name"] for call in made] == [call["name"] for call in calls]
            assert [json.loads(call["function"]["arguments"]) for call in made] == [
                call["input"] for call in calls
            ]
    finishes = {"end_turn": "stop", "max_tokens": "length", "tool_use": "tool_calls"}
    assert collector.choices()[0]["finish_reason"] == finishes[reason]


@given(body=st.dictionaries(st.sampled_from([name for name, _ in WRONG_FIELDS] + ["messages"]), JSON_VALUES))
@settings(deadline=None, max_examples=50)
def test_nothing_that_a_caller_writes_raises_another_error(body: dict[str, Any]) -> None:
    for request in (body, {"messages": [USER]} | body, {"messages": [{"role": "user"} | body]}):
        with suppress(InvalidInput):
            translated(request, NEW, AnthropicOptions())


async def test_the_vendors_events_are_anthropics(vendor: AnthropicVendor) -> None:
    body = {"model": NEW, "max_tokens": 1, "messages": [], "stream": True}
    for event in vendor._events(body):
        data = json.loads(event.split(b"data: ", 1)[1])
        if data["type"] in ("ping", "of_the_future"):
            with pytest.raises(ValidationError):
                EVENT.validate_python(data)
        else:
            EVENT.validate_python(data)
