import json
from collections.abc import Iterator
from typing import Any

import pytest

from pipelines.errors import Cancelled
from pipelines.tasks.base import Usage, Workspace
from pipelines.tasks.chat import CHAT, ChatRequest, UsageChunk
from pipelines.tasks.chat_shapes import ChatDelta, Collector, usage_of
from tests.fakes import FolderWorkspace

SPOKEN = Usage(prompt_tokens=5, completion_tokens=3)
REQUEST = ChatRequest(body={"messages": [{"role": "user", "content": "Hi"}]}, model="parrot")


class SaysTwoThingsInTurn:
    """Two choices whose pieces come mixed."""

    def chat(self, request: ChatRequest, workspace: Workspace) -> Iterator[ChatDelta | Usage]:
        yield ChatDelta({"role": "assistant", "content": ""}, 1)
        yield ChatDelta({"role": "assistant", "content": ""}, 0)
        yield ChatDelta({"content": "Good "}, 1)
        yield ChatDelta({"content": "Hé"}, 0)
        yield ChatDelta({"content": "day"}, 1)
        yield ChatDelta({}, 1, "length")
        yield ChatDelta({}, 0, "stop")
        yield SPOKEN


class SaysNothing:
    """Neither choices nor a usage."""

    def chat(self, request: ChatRequest, workspace: Workspace) -> Iterator[ChatDelta | Usage]:
        return iter(())


def collected(*events: ChatDelta) -> list[dict[str, Any]]:
    collector = Collector()
    for event in events:
        collector.add(event)
    return collector.choices()


def test_the_whole_is_put_together_in_the_order_of_the_choices(workspace: FolderWorkspace) -> None:
    result = CHAT.run(SaysTwoThingsInTurn(), REQUEST, workspace)
    body = result.body()
    assert body["object"] == "chat.completion"
    assert body["model"] == "parrot"
    assert body["id"].startswith("chatcmpl-")
    assert [
        (choice["index"], choice["message"]["content"], choice["finish_reason"]) for choice in body["choices"]
    ] == [(0, "Hé", "stop"), (1, "Good day", "length")]
    assert body["choices"][0]["message"]["role"] == "assistant"
    assert body["usage"] == {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}
    assert result.usage == SPOKEN
    assert usage_of(body["usage"]) == SPOKEN


def test_the_stream_is_chunks_of_one_completion_and_the_usage_last(workspace: FolderWorkspace) -> None:
    assert CHAT.stream is not None
    *chunks, usage = CHAT.stream(SaysTwoThingsInTurn(), REQUEST, workspace)
    bodies = [json.loads(chunk) for chunk in chunks]
    assert len(bodies) == 7
    assert len({(body["id"], body["created"], body["model"], body["object"]) for body in bodies}) == 1
    assert bodies[3]["choices"] == [
        {"index": 0, "delta": {"content": "Hé"}, "logprobs": None, "finish_reason": None}
    ]
    assert all(b"\n" not in chunk for chunk in chunks)
    assert isinstance(usage, UsageChunk)
    assert usage.usage == SPOKEN
    last = json.loads(usage.data)
    assert (last["id"], last["choices"]) == (bodies[0]["id"], [])
    assert last["usage"]["total_tokens"] == 8


def test_nothing_said_is_a_completion_without_choices(workspace: FolderWorkspace) -> None:
    result = CHAT.run(SaysNothing(), REQUEST, workspace)
    assert result.body()["choices"] == []
    assert result.usage == Usage()


def test_both_stop_when_they_are_asked_to(workspace: FolderWorkspace) -> None:
    assert CHAT.stream is not None
    events = CHAT.stream(SaysTwoThingsInTurn(), REQUEST, workspace)
    next(events)
    workspace.cancel()
    with pytest.raises(Cancelled):
        next(events)
    with pytest.raises(Cancelled):
        CHAT.run(SaysTwoThingsInTurn(), REQUEST, workspace)


def test_calls_of_tools_are_put_together_by_their_index() -> None:
    def call(index: int, **piece: Any) -> ChatDelta:
        return ChatDelta({"tool_calls": [{"index": index, **piece}]})

    [choice] = collected(
        call(0, id="a", type="function", function={"name": "add", "arguments": ""}),
        call(0, function={"arguments": '{"x":'}),
        call(1, id="b", type="function", function={"name": "sub", "arguments": "{}"}),
        call(0, function={"arguments": "1}"}),
        ChatDelta({}, finish_reason="tool_calls"),
    )
    assert choice["message"]["content"] is None
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["tool_calls"] == [
        {"id": "a", "type": "function", "function": {"name": "add", "arguments": '{"x":1}'}},
        {"id": "b", "type": "function", "function": {"name": "sub", "arguments": "{}"}},
    ]


def test_refusals_and_probabilities_are_put_together() -> None:
    [choice] = collected(
        ChatDelta({"refusal": "I "}, logprobs={"content": None, "refusal": [{"token": "I "}]}),
        ChatDelta({"refusal": "won't"}, logprobs={"refusal": [{"token": "won't"}]}),
    )
    assert choice["message"]["refusal"] == "I won't"
    assert choice["logprobs"]["refusal"] == [{"token": "I "}, {"token": "won't"}]


def test_fields_of_which_we_know_nothing_are_kept() -> None:
    [choice] = collected(
        ChatDelta({"reasoning_content": "Hm"}),
        ChatDelta({"reasoning_content": "m."}),
        ChatDelta({"audio": None}),
    )
    assert choice["message"]["reasoning_content"] == "Hmm."
    assert "audio" not in choice["message"]
