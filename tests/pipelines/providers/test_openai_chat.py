import asyncio
import json
from contextlib import aclosing
from typing import Any

import pytest

from pipelines.errors import (
    ProviderBusy,
    ProviderDenied,
    ProviderError,
    ProviderFailed,
    ProviderLacks,
    ProviderRefused,
)
from pipelines.providers.base import ProviderSettings
from pipelines.providers.openai import OpenAiOptions, OpenAiProvider
from pipelines.tasks.chat import ChatRequest, UsageChunk
from tests.fakes import FolderWorkspace
from tests.vendors.openai import OpenAiVendor
from tests.vendors.server import HTML_ERROR, BadDay

WORDS = "Hello! How can I help? ✓"
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]
OPENROUTER = b'{"error": {"message": "Provider returned error", "code": 429}, "user_id": "user_1"}'


def chat(**fields: Any) -> ChatRequest:
    return ChatRequest(model="gpt-5.4", body={"messages": [{"role": "user", "content": "Hi"}], **fields})


async def events_of(openai: OpenAiProvider, workspace: FolderWorkspace, asked: ChatRequest) -> list[Any]:
    return [event async for event in openai.stream("chat", asked, workspace)]


def said(events: list[Any]) -> str:
    chunks = [json.loads(event) for event in events if isinstance(event, bytes)]
    return "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks)


async def test_a_completion_is_passed_on_as_it_is(
    openai: OpenAiProvider, vendor: OpenAiVendor, workspace: FolderWorkspace
) -> None:
    result = await openai.run("chat", chat(temperature=0.5, made_up={"kept": 1}), workspace)
    body = result.body()
    assert body["choices"][0]["message"]["content"] == WORDS
    assert body["system_fingerprint"] == "fp_1"
    assert (result.usage.prompt_tokens, result.usage.completion_tokens) == (19, 10)
    assert vendor.asked[0].path == "/v1/chat/completions"
    assert vendor.asked[0].json == {**chat(temperature=0.5, made_up={"kept": 1}).body, "model": "gpt-5.4"}


async def test_a_stream_gives_chunks_and_the_usage_at_the_end(
    openai: OpenAiProvider, vendor: OpenAiVendor, workspace: FolderWorkspace
) -> None:
    events = await events_of(openai, workspace, chat())
    assert said(events) == WORDS
    assert isinstance(events[-1], UsageChunk)
    assert events[-1].usage.completion_tokens == 10
    assert vendor.asked[0].json["stream_options"] == {"include_usage": True}


async def test_servers_without_stream_options_are_not_asked_for_usage(
    vendor: OpenAiVendor, workspace: FolderWorkspace
) -> None:
    options = OpenAiOptions(asks_for_usage=False, headers={"X-Title": "AI Server"})
    provider = OpenAiProvider(ProviderSettings("old", f"{vendor.url}/v1"), options)
    events = await events_of(provider, workspace, chat())
    assert not isinstance(events[-1], UsageChunk)
    assert "stream_options" not in vendor.asked[0].json
    assert vendor.asked[0].headers["X-Title"] == "AI Server"
    assert "Authorization" not in vendor.asked[0].headers
    await provider.close()


async def test_tools_are_called_in_both_ways(openai: OpenAiProvider, workspace: FolderWorkspace) -> None:
    whole = (await openai.run("chat", chat(tools=TOOLS), workspace)).body()
    call = whole["choices"][0]["message"]["tool_calls"][0]["function"]
    assert json.loads(call["arguments"]) == {"city": "Zürich"}
    events = await events_of(openai, workspace, chat(tools=TOOLS))
    deltas = [json.loads(event)["choices"][0]["delta"] for event in events if isinstance(event, bytes)]
    pieces = [delta["tool_calls"][0]["function"]["arguments"] for delta in deltas if "tool_calls" in delta]
    assert json.loads("".join(pieces)) == {"city": "Zürich"}


async def test_a_stream_may_be_cut_anywhere_on_its_way_even_inside_a_character(
    openai: OpenAiProvider, vendor: OpenAiVendor, workspace: FolderWorkspace
) -> None:
    whole = await events_of(openai, workspace, chat())
    vendor.bad_days.append(BadDay(split=True))
    assert await events_of(openai, workspace, chat()) == whole


@pytest.mark.parametrize(
    ("day", "error", "told"),
    [
        (BadDay(429, headers={"Retry-After": "3"}), ProviderBusy, "Rate limit"),
        (BadDay(503), ProviderBusy, "overloaded"),
        (BadDay(500), ProviderFailed, "server had an error"),
        (HTML_ERROR, ProviderFailed, "502"),
        (BadDay(401), ProviderDenied, "OPENAI_API_KEY"),
        (BadDay(404), ProviderLacks, "gpt-9"),
        (BadDay(400), ProviderRefused, "temperature"),
        (BadDay(body=OPENROUTER), ProviderBusy, "Provider returned error"),
        (BadDay(body=b"<html>", content_type="text/html"), ProviderFailed, "instead of|something else"),
        (BadDay(302, headers={"Location": "http://127.0.0.1:9/"}), ProviderFailed, "302"),
        (BadDay(cut_after=0), ProviderFailed, "broke off"),
    ],
)
@pytest.mark.parametrize("streams", [False, True])
async def test_bad_days_are_told_apart(
    day: BadDay,
    error: type[ProviderError],
    told: str,
    streams: bool,
    openai: OpenAiProvider,
    vendor: OpenAiVendor,
    workspace: FolderWorkspace,
) -> None:
    vendor.bad_days.append(day)
    doing = events_of(openai, workspace, chat()) if streams else openai.run("chat", chat(), workspace)
    with pytest.raises(error, match=told) as caught:
        await doing
    assert "sk-fake" not in str(caught.value)
    if day.headers.get("Retry-After"):
        assert isinstance(caught.value, ProviderFailed)
        assert caught.value.retry_after_s == 3


@pytest.mark.parametrize("cut_after", [50, 300, 700, 1500])
async def test_a_cut_stream_is_a_failure_after_its_chunks(
    cut_after: int, openai: OpenAiProvider, vendor: OpenAiVendor, workspace: FolderWorkspace
) -> None:
    vendor.bad_days.append(BadDay(cut_after=cut_after))
    events: list[Any] = []

    async def read() -> None:
        async for event in openai.stream("chat", chat(), workspace):
            events.append(event)

    with pytest.raises(ProviderFailed):
        await read()
    assert WORDS.startswith(said(events))


async def test_an_end_without_done_is_a_failure(
    openai: OpenAiProvider, vendor: OpenAiVendor, workspace: FolderWorkspace
) -> None:
    body = b'data: {"choices": []}\n\n'
    vendor.bad_days.append(BadDay(body=body, content_type="text/event-stream"))
    with pytest.raises(ProviderFailed, match="middle"):
        await events_of(openai, workspace, chat())


async def test_an_error_in_the_middle_of_a_stream_is_raised_as_what_it_is(
    openai: OpenAiProvider, vendor: OpenAiVendor, workspace: FolderWorkspace
) -> None:
    error = b'data: {"error": {"message": "Overloaded", "code": 429}, "choices": []}\n\n'
    vendor.bad_days.append(BadDay(body=error, content_type="text/event-stream"))
    with pytest.raises(ProviderBusy, match="Overloaded"):
        await events_of(openai, workspace, chat())


async def test_leaving_closes_the_connection(
    openai: OpenAiProvider, vendor: OpenAiVendor, workspace: FolderWorkspace
) -> None:
    held = asyncio.Event()
    vendor.bad_days.append(BadDay(hold=held))
    async with aclosing(openai.stream("chat", chat(), workspace)) as events:
        await anext(events)
    await vendor.left.wait()
    held.set()
