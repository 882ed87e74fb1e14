"""The replica that vLLM works in: the real Ray Serve LLM, over an engine that plays a script. No GPU."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeAlias

import pytest

from cluster.gate import Priority
from configs.schema import ModelConfig, ServerConfig
from deployments.errors import Busy, RunTooLong
from deployments.runs import Activity, RunInfo
from deployments.task_server import ReplicaStalled
from pipelines.errors import EngineError, InvalidInput, ModelLoadError
from pipelines.tasks.base import Usage
from pipelines.tasks.chat import ChatRequest, ChatResult, UsageChunk
from pipelines.tasks.embedding import EmbeddingRequest, EmbeddingResult
from tests.deployments.fake_vllm import BrokenEngine, Engine, installed

INFO = RunInfo(owner="0")
HELLO = ChatRequest(body={"messages": [{"role": "user", "content": "Hello!"}]}, model="qwen")
USAGE = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
TOKENS = Usage(prompt_tokens=5, completion_tokens=2)
DONE = "data: [DONE]\n\n"

Start: TypeAlias = Callable[..., Awaitable[Any]]


@pytest.fixture(scope="module", autouse=True)
def with_vllm() -> Iterator[None]:
    with installed():
        from deployments.vllm_server import VllmServer

        setattr(VllmServer, "__del__", lambda _: None)  # noqa: B010  # Ray's is a coroutine, which Serve awaits
        yield


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Start:
    """Start a replica as Serve does."""
    from ray.llm._internal.serve.core.server import llm_server
    from ray.serve.llm import LLMConfig

    from deployments.vllm_server import VllmServer

    monkeypatch.setattr(llm_server, "push_telemetry_report_for_all_models", lambda **_: None)

    async def start(
        *script: Any, engine: type[Engine] = Engine, concurrency: int = 2, config: ServerConfig | None = None
    ) -> Any:
        monkeypatch.setattr(VllmServer, "_default_engine_cls", engine)
        model = ModelConfig(id="qwen", tasks=("chat",), engine="vllm", resources={"concurrency": concurrency})
        llm_config = LLMConfig(
            model_loading_config={"model_id": "qwen"},
            experimental_configs={"stream_batching_interval_ms": 1},
        )
        server: Any = VllmServer.__new__(VllmServer)
        await server.__init__(llm_config, model=model, config=config or ServerConfig())
        if server.engine is not None:
            server.engine.script = script
        return server

    return start


def frame(body: dict[str, Any]) -> str:
    return f"data: {json.dumps(body, separators=(',', ':'))}\n\n"


def chunk(delta: dict[str, Any], **further: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": None}
    return {"id": "c", "object": "chat.completion.chunk", "model": "qwen", "choices": [choice], **further}


USAGE_CHUNK = {"id": "c", "object": "chat.completion.chunk", "model": "qwen", "choices": [], "usage": USAGE}


def completion(message: dict[str, Any]) -> Any:
    from ray.llm._internal.serve.core.configs.openai_api_models import ChatCompletionResponse

    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    return ChatCompletionResponse(id="c", model="qwen", choices=choices, usage=USAGE)


def fault(message: str, code: int, param: str | None = None) -> Any:
    from ray.llm._internal.serve.core.configs.openai_api_models import ErrorInfo, ErrorResponse

    return ErrorResponse(error=ErrorInfo(message=message, type="BadRequestError", param=param, code=code))


async def streamed(server: Any, request: ChatRequest = HELLO) -> list[Any]:
    return [event async for event in server.stream("chat", request, INFO)]


async def test_a_whole_answer_comes_as_vllm_wrote_it(start: Start) -> None:
    server = await start(completion({"role": "assistant", "content": "Hi."}))
    result = await server.run("chat", HELLO, INFO)
    assert isinstance(result, ChatResult)
    assert result.body()["choices"][0]["message"]["content"] == "Hi."
    assert result.usage == TOKENS
    [asked] = server.engine.requests
    assert (asked.model, asked.stream, asked.messages) == ("qwen", False, HELLO.body["messages"])
    assert await server.activity() == Activity(running=0, waiting=0, silent_s=0.0)
    assert await server.fault() is None


async def test_a_stream_is_passed_on_chunk_by_chunk_and_ends_with_the_usage(start: Start) -> None:
    said = [chunk({"role": "assistant", "content": ""}), chunk({"content": 'An "error" and "usage":{ too.'})]
    server = await start(*map(frame, [*said, USAGE_CHUNK]), DONE)
    *events, usage = await streamed(server)
    assert [json.loads(event) for event in events] == said
    assert isinstance(usage, UsageChunk)
    assert (json.loads(usage.data), usage.usage) == (USAGE_CHUNK, TOKENS)
    [asked] = server.engine.requests
    assert (asked.stream, asked.stream_options) == (True, {"include_usage": True})


async def test_a_usage_on_the_way_does_not_end_the_stream(start: Start) -> None:
    said = chunk({"content": "Hi."}, usage=USAGE)
    server = await start(frame(said), frame(USAGE_CHUNK), DONE)
    body = {**HELLO.body, "stream_options": {"continuous_usage_stats": True}}
    event, usage = await streamed(server, ChatRequest(body=body))
    assert json.loads(event) == said
    assert isinstance(usage, UsageChunk)
    assert server.engine.requests[0].stream_options == {"continuous_usage_stats": True, "include_usage": True}


async def test_tools_go_there_and_calls_come_back(start: Start) -> None:
    call = {"id": "1", "type": "function", "function": {"name": "weather", "arguments": '{"in":"Rome"}'}}
    tools = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]
    request = ChatRequest(body={**HELLO.body, "tools": tools})
    whole = await start(completion({"role": "assistant", "content": None, "tool_calls": [call]}))
    result = await whole.run("chat", request, INFO)
    assert result.body()["choices"][0]["message"]["tool_calls"] == [call]
    assert whole.engine.requests[0].tools == tools
    piece = chunk({"tool_calls": [{"index": 0, **call}]})
    [event] = await streamed(await start(frame(piece), DONE), request)
    assert json.loads(event) == piece


@pytest.mark.parametrize(
    ("code", "kind", "field"),
    [(400, InvalidInput, "top_p"), (404, InvalidInput, "top_p"), (500, EngineError, None)],
)
async def test_an_error_of_vllm_is_the_answer_and_the_code_says_whose_it_is(
    start: Start, code: int, kind: type[Exception], field: str | None
) -> None:
    error = fault("top_p is too high", code, "top_p")
    server = await start(error)
    in_a_frame = await start(frame(error.model_dump()), DONE)
    answers = [await server.run("chat", HELLO, INFO), *await streamed(server), *await streamed(in_a_frame)]
    assert [type(answer) for answer in answers] == [kind] * 3
    assert {(str(answer), answer.field) for answer in answers} == {("top_p is too high", field)}


async def test_an_error_after_some_words_is_the_last_event(start: Start) -> None:
    error = {"error": {"message": "Internal server error", "type": "InternalServerError", "code": 500}}
    said, last = await streamed(await start(frame(chunk({"content": "Hi"})), frame(error), DONE))
    assert json.loads(said)["choices"][0]["delta"] == {"content": "Hi"}
    assert isinstance(last, EngineError)


async def test_what_vllm_raises_is_an_error_of_the_engine(start: Start) -> None:
    server = await start(RuntimeError("EngineDeadError"))
    for answer in [await server.run("chat", HELLO, INFO), *await streamed(server)]:
        assert isinstance(answer, EngineError)
        assert "EngineDeadError" in str(answer)
    silent = await start()
    assert isinstance(await silent.run("chat", HELLO, INFO), EngineError)


@pytest.mark.parametrize(("field", "value"), [("temperature", "hot"), ("top_logprobs", 3)])
async def test_a_field_that_vllm_does_not_take_is_named(start: Start, field: str, value: object) -> None:
    server = await start()
    request = ChatRequest(body={**HELLO.body, field: value})
    for error in [await server.run("chat", request, INFO), *await streamed(server, request)]:
        assert isinstance(error, InvalidInput)
        assert error.field == field
    assert server.engine.requests == []


async def test_a_caller_cannot_choose_the_id_of_a_run_or_pass_the_line(start: Start) -> None:
    server = await start(completion({"role": "assistant", "content": "Hi."}))
    await server.run("chat", ChatRequest(body={**HELLO.body, "request_id": "yours", "priority": -9}), INFO)
    [asked] = server.engine.requests
    assert asked.request_id != "yours"
    assert not hasattr(asked, "priority")


async def test_texts_become_vectors_in_their_order(start: Start) -> None:
    from ray.llm._internal.serve.core.configs.openai_api_models import EmbeddingResponse

    data = [{"index": 1, "embedding": [0.0, 1.0]}, {"index": 0, "embedding": [1.0, 0.0]}]
    server = await start(EmbeddingResponse(model="qwen", data=data, usage={"prompt_tokens": 4}))
    result = await server.run("embedding", EmbeddingRequest(inputs=("a", "b"), dimensions=2), INFO)
    assert result == EmbeddingResult(
        vectors=((1.0, 0.0), (0.0, 1.0)), model="qwen", tokens=Usage(prompt_tokens=4)
    )
    [asked] = server.engine.requests
    assert (asked.input, asked.dimensions, asked.encoding_format) == (["a", "b"], 2, "float")


@pytest.fixture
def never() -> asyncio.Event:
    return asyncio.Event()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110  # Ray's batcher has no event to wait for
            await asyncio.sleep(0.001)


async def test_a_caller_that_leaves_stops_a_whole_answer(start: Start, never: asyncio.Event) -> None:
    server = await start(never)
    run = asyncio.create_task(server.run("chat", HELLO, INFO))
    await server.engine.is_waiting.wait()
    assert (await server.activity()).running == 1
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert server.engine.aborted
    assert (await server.activity()).running == 0


async def test_a_caller_that_stops_listening_stops_the_stream(start: Start, never: asyncio.Event) -> None:
    server = await start(frame(chunk({"content": "Hi"})), never)
    events = server.stream("chat", HELLO, INFO)
    await anext(events)
    await events.aclose()
    await until(lambda: bool(server.engine.aborted))
    assert (await server.activity()).running == 0


async def test_a_stream_that_is_cancelled_while_vllm_thinks_stops_it(
    start: Start, never: asyncio.Event
) -> None:
    server = await start(never)
    listener = asyncio.create_task(streamed(server))
    await server.engine.is_waiting.wait()
    listener.cancel()
    with pytest.raises(asyncio.CancelledError):
        await listener
    await until(lambda: bool(server.engine.aborted))


async def test_a_run_ends_at_its_limit(start: Start, never: asyncio.Event) -> None:
    server = await start(never)
    answer = await server.run("chat", HELLO, RunInfo(owner="0", limit_s=0.01))
    assert isinstance(answer, RunTooLong)
    assert server.engine.aborted


async def test_the_urgent_go_first_and_a_full_line_refuses(start: Start, never: asyncio.Event) -> None:
    server = await start(
        never, completion({}), concurrency=1, config=ServerConfig(limits={"queued_requests": 2})
    )
    order: list[str] = []

    async def ask(name: str, priority: int) -> None:
        await server.run("chat", HELLO, RunInfo(owner="0", priority=priority))
        order.append(name)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(ask("first", Priority.NORMAL))
        await server.engine.is_waiting.wait()
        tasks.create_task(ask("job", Priority.NORMAL))
        tasks.create_task(ask("caller", Priority.SYNCHRONOUS))
        await asyncio.sleep(0)
        assert await server.activity() == Activity(running=1, waiting=2, silent_s=0.0)
        assert isinstance(await server.run("chat", HELLO, INFO), Busy)
        assert [type(event) for event in await streamed(server)] == [Busy]
        never.set()
    assert order == ["first", "caller", "job"]


async def test_a_model_that_cannot_be_loaded_says_why_and_stays(start: Start) -> None:
    server = await start(engine=BrokenEngine)
    assert "qwen: vLLM could not load it: RuntimeError('CUDA out of memory')" in await server.fault()
    assert isinstance(await server.run("chat", HELLO, INFO), ModelLoadError)
    assert [type(event) for event in await streamed(server)] == [ModelLoadError]
    await server.check_health()


async def test_a_dead_engine_and_a_silent_stream_are_unhealthy(start: Start, never: asyncio.Event) -> None:
    await (await start()).check_health()
    with pytest.raises(RuntimeError, match="EngineDeadError"):
        await (await start("dead")).check_health()
    server = await start(never, config=ServerConfig(timeouts={"stall_s": 1e-9}))
    whole = asyncio.create_task(server.run("chat", HELLO, INFO))
    await server.engine.is_waiting.wait()
    await server.check_health()  # a whole answer is ended by its limit, not by its silence
    listener = asyncio.create_task(streamed(server))
    await until(lambda: len(server.engine.requests) == 2)
    with pytest.raises(ReplicaStalled):
        await server.check_health()
    never.set()
    await asyncio.gather(whole, listener)
