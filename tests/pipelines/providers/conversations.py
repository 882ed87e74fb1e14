"""Requests in OpenAI's shape, and what their answers must say, whichever vendor gives them."""

import json
from typing import Any

from openai.types.chat import ChatCompletion, ChatCompletionChunk

from pipelines.providers.base import Provider
from pipelines.tasks.chat import ChatRequest, ChatResult, UsageChunk
from pipelines.tasks.chat_shapes import ChatDelta, Collector
from tests.fakes import FolderWorkspace

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Tells the weather.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
CLOCK = {"type": "function", "function": {"name": "get_time"}}

TOOL_TALK: list[dict[str, Any]] = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Weather and time in Zürich?"},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {
                "id": "call_1",
                "type": "function",
                "function": {"name": "get_weather", "arguments": '{"city": "Zürich"}'},
            },
            {"id": "call_2", "type": "function", "function": {"name": "get_time", "arguments": ""}},
        ],
    },
    {"role": "tool", "tool_call_id": "call_1", "content": '{"degrees": 21}'},
    {"role": "tool", "tool_call_id": "call_2", "content": [{"type": "text", "text": "noon ☀"}]},
    {"role": "user", "content": "Thanks, and tomorrow?"},
]

WRONG_MESSAGES: tuple[Any, ...] = (
    None,
    "hello",
    [7],
    [[]],
    [{"role": "user", "content": {"text": "hello"}}],
    [{"role": "user", "content": 3}],
    [{"role": "user", "content": ["hello"]}],
    [{"role": "user", "content": [{"type": "text"}]}],
    [{"role": "user", "content": [{"type": "text", "text": 1}]}],
    [{"role": "user", "content": [{"type": "hologram"}]}],
    [{"role": "user", "content": [{"type": "image_url", "image_url": "https://x/y.png"}]}],
    [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png,xyz"}}]}],
    [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "ftp://x/y.png"}}]}],
    [
        {
            "role": "user",
            "content": [{"type": "image_url", "image_url": {"url": "data:text/html;base64,eA=="}}],
        }
    ],
    [{"role": "user", "content": [{"type": "file", "file": {"file_id": "file-1"}}]}],
    [{"role": "system", "content": [{"type": "image_url", "image_url": {"url": "https://x/y.png"}}]}],
    [
        {"role": "system", "content": [{"type": "image_url", "image_url": {"url": "https://x/y.png"}}]},
        {"role": "user", "content": "Hi"},
    ],
    [{"role": "system", "content": "only this"}],
    [{"role": "user", "content": ""}],
    [{"role": ["user"], "content": "hello"}],
    [{"role": "function", "name": "f", "content": "1"}],
    [{"content": "hello"}],
    [{"role": "tool", "content": "no id"}],
    [{"role": "assistant", "tool_calls": "x"}],
    [{"role": "assistant", "tool_calls": [1]}],
    [{"role": "assistant", "tool_calls": [{"id": "1", "function": "f"}]}],
    [{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}],
    [{"role": "assistant", "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": "{"}}]}],
    [{"role": "assistant", "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": "[]"}}]}],
    [{"role": "assistant", "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": {}}}]}],
    [{"role": "assistant", "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": "[NaN]"}}]}],
    [{"role": "assistant", "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": "[" * 9999}}]}],
    [{"role": "assistant", "tool_calls": [{"id": "1", "type": "custom", "custom": {"name": "f"}}]}],
    [{"role": "assistant", "function_call": {"name": "f", "arguments": "{}"}}],
)

WRONG_FIELDS: tuple[tuple[str, Any], ...] = (
    ("temperature", "hot"),
    ("top_p", True),
    ("max_tokens", 1.5),
    ("max_completion_tokens", 0),
    ("stop", 3),
    ("stop", [3]),
    ("n", "two"),
    ("tools", {}),
    ("tools", [1]),
    ("tools", [{"type": "function"}]),
    ("tools", [{"type": "function", "function": {}}]),
    ("tools", [{"type": "function", "function": {"name": "f", "parameters": []}}]),
    ("tools", [{"type": "custom", "custom": {"name": "f"}}]),
    ("tool_choice", "perhaps"),
    ("tool_choice", 1),
    ("tool_choice", {"type": "function"}),
    ("tool_choice", {"type": "allowed_tools"}),
    ("parallel_tool_calls", "no"),
    ("response_format", "json"),
    ("response_format", {"type": "xml"}),
    ("response_format", {"type": "json_schema"}),
    ("reasoning_effort", 3),
    ("modalities", ["audio"]),
    ("logit_bias", {"50256": -100}),
    ("functions", [{"name": "f"}]),
)


def ask(text: str = "Hello", model: str = "m", **fields: Any) -> ChatRequest:
    """Ask one question."""
    return ChatRequest(model=model, body={"messages": [{"role": "user", "content": text}]} | fields)


async def answer(provider: Provider, request: ChatRequest, workspace: FolderWorkspace) -> dict[str, Any]:
    """Let the provider answer, and give the completion, which OpenAI's client must understand."""
    result = await provider.run("chat", request, workspace)
    assert isinstance(result, ChatResult)
    ChatCompletion.model_validate(result.body())
    return result.body()


async def chunks(
    provider: Provider, request: ChatRequest, workspace: FolderWorkspace
) -> tuple[list[dict[str, Any]], UsageChunk]:
    """Let the provider stream, and give the chunks and the usage that ended them."""
    events = [event async for event in provider.stream("chat", request, workspace)]
    *pieces, usage = events
    assert isinstance(usage, UsageChunk)
    for piece in (*pieces, usage.data):
        assert isinstance(piece, bytes)
        ChatCompletionChunk.model_validate(json.loads(piece))
    return [json.loads(piece) for piece in pieces if isinstance(piece, bytes)], usage


def collected(pieces: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Put chunks together, as a client does."""
    collector = Collector()
    for piece in pieces:
        for choice in piece["choices"]:
            collector.add(
                ChatDelta(
                    choice["delta"], choice["index"], choice["finish_reason"], logprobs=choice["logprobs"]
                )
            )
    return collector.choices()


def without_ids(choice: dict[str, Any]) -> dict[str, Any]:
    """Take the ids of calls away, and what is no difference to a client."""
    message = {name: value for name, value in choice["message"].items() if value}
    if "tool_calls" in message:
        message["tool_calls"] = [call | {"id": ""} for call in message["tool_calls"]]
    return choice | {"message": message}
