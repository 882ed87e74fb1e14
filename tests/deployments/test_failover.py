"""One request, several candidates. Backends are named by what they do; nothing is waited for."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from configs.routing import BreakerConfig, FailoverConfig, PriceConfig, RoutingConfig
from deployments.backend import ServedBy
from deployments.breaker import Breaker, Circuit
from deployments.candidates import Candidate, Candidates
from deployments.errors import BadRequest, Busy, NobodyLeft
from deployments.failover import Attempt, Failover
from deployments.runs import RunInfo
from pipelines.errors import (
    BeyondModel,
    EngineError,
    InvalidInput,
    ProviderBusy,
    ProviderDenied,
    ProviderFailed,
    ProviderLacks,
    ProviderRefused,
)
from pipelines.tasks.base import OURSELVES, Usage
from pipelines.tasks.chat import ChatRequest, ChatResult, UsageChunk

INFO = RunInfo(owner="7")
REQUEST = ChatRequest(body={"messages": [{"role": "user", "content": "hi"}]})
USAGE = Usage(prompt_tokens=1_000_000, completion_tokens=500_000)
CONFIG = FailoverConfig(rounds=2, pause_s=0.001, max_pause_s=0.01, breaker=BreakerConfig(failures=3))


class Answers:
    """Answers with its name; before that it raises what it is given."""

    def __init__(self, name: str, *failures: Exception) -> None:
        self.name = name
        self.failures = list(failures)
        self.asked: list[str | None] = []
        self.closed = 0

    async def run(self, task: str, request: Any, info: RunInfo) -> Any:
        self.asked.append(request.model)
        if self.failures:
            raise self.failures.pop(0)
        return ChatResult(completion=self.name, tokens=USAGE)

    async def stream(self, task: str, request: Any, info: RunInfo) -> AsyncGenerator[Any, None]:
        result = await self.run(task, request, info)
        try:
            yield result.completion.encode()
            yield UsageChunk(b"{}", USAGE)
        finally:
            self.closed += 1


class BreaksOff(Answers):
    """Begins to answer, and fails."""

    async def stream(self, task: str, request: Any, info: RunInfo) -> AsyncGenerator[Any, None]:
        self.asked.append(request.model)
        yield b"half"
        raise ProviderFailed(f"{self.name} broke off.")


class SaysNothing(Answers):
    """Ends its stream at once."""

    async def stream(self, task: str, request: Any, info: RunInfo) -> AsyncGenerator[Any, None]:
        self.asked.append(request.model)
        nothing: tuple[bytes, ...] = ()
        for event in nothing:
            yield event


class Waits(Answers):
    """Answers when it is told to."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.go = asyncio.Event()

    async def run(self, task: str, request: Any, info: RunInfo) -> Any:
        self.asked.append(request.model)
        await self.go.wait()
        return ChatResult(completion=self.name)


@dataclass
class Stage:
    """A failover, and what it did."""

    failover: Failover
    candidates: list[Candidate]
    attempts: list[Attempt] = field(default_factory=list)

    @property
    def outcomes(self) -> list[tuple[str, str]]:
        return [(each.provider, each.outcome) for each in self.attempts]


def stage(
    *backends: Answers, routing: dict[str, RoutingConfig] | None = None, max_waiting: int = 10, **config: Any
) -> Stage:
    """Let backends serve a model; those that stand first go first, unless `routing` says otherwise."""
    candidates = [
        Candidate(
            provider=backend.name,
            backend=backend,
            breaker=Breaker(CONFIG.breaker),
            model=f"{backend.name}-model",
            routing=(routing or {}).get(backend.name, RoutingConfig(priority=-place)),
        )
        for place, backend in enumerate(backends)
    ]
    attempts: list[Attempt] = []
    chosen = CONFIG.model_copy(update=config)
    failover = Failover("gpt", Candidates(candidates), chosen, attempts.append, max_waiting)
    return Stage(failover, candidates, attempts)


async def until(holds: Callable[[], bool]) -> None:
    """Let the others run until something holds."""
    for _ in range(10_000):
        if holds():
            return
        await asyncio.sleep(0)
    raise AssertionError("it never came to hold")


async def run(stage: Stage, request: ChatRequest = REQUEST) -> ChatResult:
    return await stage.failover.run("chat", request, INFO)


async def streamed(stage: Stage) -> list[Any]:
    return [event async for event in stage.failover.stream("chat", REQUEST, INFO)]


FAULTS = [
    ProviderFailed("a failed (500)."),
    ProviderBusy("a is busy (429)."),
    ProviderDenied("a does not accept the server's key."),
    ProviderLacks("a has no such model."),
    EngineError("it broke"),
    Busy(),
    BeyondModel("a calls no tools.", "tools"),
]


@pytest.mark.parametrize("error", FAULTS, ids=lambda error: type(error).__name__)
async def test_the_next_candidate_does_what_the_first_cannot(error: Exception) -> None:
    first, second = Answers("a", error), Answers("b")
    on = stage(first, second)
    result = await run(on)
    assert (result.completion, result.provider) == ("b", "b")
    assert (first.asked, second.asked) == (["a-model"], ["b-model"])
    assert [each.outcome for each in on.attempts][1] == "ok"


@pytest.mark.parametrize(
    "error", [ProviderRefused("temperature is at most 2", "temperature"), InvalidInput("no audio", "audio")]
)
async def test_the_callers_own_fault_is_nobody_elses_business(error: Exception) -> None:
    second = Answers("b")
    with pytest.raises(type(error)):
        await run(stage(Answers("a", error), second))
    assert second.asked == []


async def test_a_stream_begins_with_who_serves_it() -> None:
    on = stage(Answers("a", ProviderFailed("down.")), Answers("b"))
    assert await streamed(on) == [ServedBy("b"), b"b", UsageChunk(b"{}", USAGE)]
    assert on.outcomes == [("a", "BadGateway"), ("b", "ok")]


async def test_an_empty_stream_counts_as_a_failure() -> None:
    assert (await streamed(stage(SaysNothing("a"), Answers("b"))))[0] == ServedBy("b")


async def test_after_the_first_event_nobody_else_is_asked() -> None:
    second = Answers("b")
    on = stage(BreaksOff("a"), second)
    events = on.failover.stream("chat", REQUEST, INFO)
    assert [await anext(events), await anext(events)] == [ServedBy("a"), b"half"]
    with pytest.raises(ProviderFailed, match="broke off"):
        await anext(events)
    assert second.asked == []


async def test_who_stops_listening_closes_the_stream_and_is_no_failure() -> None:
    backend = Answers("a")
    on = stage(backend)
    events = on.failover.stream("chat", REQUEST, INFO)
    assert [await anext(events), await anext(events)] == [ServedBy("a"), b"a"]
    await events.aclose()
    assert backend.closed == 1
    assert on.outcomes == [("a", "cancelled")]
    assert on.candidates[0].in_flight == 0


async def test_what_may_heal_is_tried_again_after_a_pause() -> None:
    backend = Answers("a", ProviderFailed("down."))
    assert (await run(stage(backend))).completion == "a"
    assert len(backend.asked) == 2


async def test_nobody_waits_for_who_wants_to_be_left_alone_for_long() -> None:
    backend = Answers("a", ProviderBusy("a is busy.", 30.0))
    with pytest.raises(ProviderBusy):
        await run(stage(backend))
    assert len(backend.asked) == 1


async def test_a_short_wish_is_waited_for() -> None:
    backend = Answers("a", ProviderBusy("a is busy.", 0.002))
    assert (await run(stage(backend))).completion == "a"


async def test_when_all_fail_the_caller_hears_of_all() -> None:
    on = stage(
        Answers("a", *[ProviderFailed("a failed.")] * 2), Answers("b", *[ProviderFailed("b failed.")] * 2)
    )
    with pytest.raises(NobodyLeft, match=r"a failed\. b failed\.") as caught:
        await run(on)
    assert caught.value.status == 503


async def test_when_all_are_busy_the_caller_hears_so() -> None:
    on = stage(Answers("a", ProviderBusy("a.", 60)), Answers("b", ProviderBusy("b.", 50)))
    with pytest.raises(NobodyLeft) as caught:
        await run(on)
    assert (caught.value.status, round(caught.value.retry_after_s)) == (429, 50)


async def test_a_candidate_that_fails_again_and_again_is_left_alone() -> None:
    dead, well = Answers("a", *[ProviderFailed("down.")] * 99), Answers("b")
    on = stage(dead, well)
    for _ in range(10):
        assert (await run(on)).completion == "b"
    assert len(dead.asked) == 3
    assert on.candidates[0].breaker.circuit == Circuit.OPEN


async def test_when_all_are_left_alone_the_answer_comes_at_once() -> None:
    dead = Answers("a", *[ProviderFailed("a is down.")] * 99)
    on = stage(dead, rounds=1)
    for _ in range(3):
        with pytest.raises(ProviderFailed):
            await run(on)
    with pytest.raises(NobodyLeft, match="a is left alone for a while") as caught:
        await run(on)
    assert 0 < caught.value.retry_after_s <= 5
    assert len(dead.asked) == 3


async def test_a_name_that_is_not_known_there_says_nothing_of_the_candidate() -> None:
    on = stage(Answers("a", *[ProviderLacks("no such model.")] * 9), rounds=1)
    for _ in range(5):
        with pytest.raises(ProviderLacks):
            await run(on)
    assert on.candidates[0].breaker.circuit == Circuit.CLOSED


async def test_a_request_may_pin_one() -> None:
    first = Answers("a")
    on = stage(first, Answers("b"))
    assert (await run(on, REQUEST.model_copy(update={"provider": "B"}))).provider == "b"
    assert first.asked == []
    with pytest.raises(BadRequest, match=r"'c' does not serve this model.*use: a, b") as caught:
        await run(on, REQUEST.model_copy(update={"provider": "c"}))
    assert caught.value.field == "provider"


async def test_of_equal_ones_the_least_loaded_goes_first() -> None:
    slow, other = Waits("a"), Waits("b")
    equal = RoutingConfig(concurrency=10)
    on = stage(slow, other, routing={"a": equal, "b": equal})
    runs = [asyncio.create_task(run(on)) for _ in range(6)]
    await until(lambda: len(slow.asked) + len(other.asked) == 6)
    assert (len(slow.asked), len(other.asked)) == (3, 3)
    slow.go.set()
    other.go.set()
    await asyncio.gather(*runs)
    assert [each.in_flight for each in on.candidates] == [0, 0]


async def test_a_weight_is_a_share() -> None:
    light, heavy = Answers("a"), Answers("b")
    on = stage(light, heavy, routing={"a": RoutingConfig(weight=1), "b": RoutingConfig(weight=3)})
    served = Counter([(await run(on)).provider for _ in range(400)])
    assert 220 < served["b"] < 380  # of 400; six standard deviations around 300


async def test_a_full_candidate_overflows_to_the_next() -> None:
    local, cloud = Waits(OURSELVES), Answers("cloud")
    on = stage(local, cloud, routing={OURSELVES: RoutingConfig(priority=1, concurrency=1)})
    held = asyncio.create_task(run(on))
    await until(lambda: bool(local.asked))
    assert (await run(on)).provider == "cloud"
    local.go.set()
    assert (await held).provider == OURSELVES


async def test_where_all_are_full_requests_wait_in_turn_and_not_too_many() -> None:
    backend = Waits("a")
    on = stage(backend, routing={"a": RoutingConfig(concurrency=1)}, max_waiting=2)
    runs = [asyncio.create_task(run(on)) for _ in range(3)]
    await until(lambda: on.failover.candidates.waiting == 2)
    with pytest.raises(Busy):
        await run(on)
    runs[1].cancel()
    backend.go.set()
    done = await asyncio.gather(*runs, return_exceptions=True)
    assert [type(each).__name__ for each in done] == ["ChatResult", "CancelledError", "ChatResult"]
    assert (on.failover.candidates.waiting, on.candidates[0].in_flight) == (0, 0)


async def test_who_waits_for_a_candidate_is_woken_by_it_and_nobody_else() -> None:
    one, other = Waits("a"), Waits("b")
    on = stage(one, other, routing={name: RoutingConfig(concurrency=1) for name in "ab"})
    running = [asyncio.ensure_future(run(on, REQUEST.model_copy(update={"provider": name}))) for name in "ab"]
    await until(lambda: bool(one.asked and other.asked))
    pinned = asyncio.ensure_future(run(on, REQUEST.model_copy(update={"provider": "a"})))
    await until(lambda: on.failover.candidates.waiting == 1)
    any_one = asyncio.ensure_future(run(on))
    await until(lambda: on.failover.candidates.waiting == 2)
    other.go.set()
    assert (await any_one).completion == "b"
    assert not pinned.done()
    one.go.set()
    await asyncio.gather(pinned, *running)


class BusyAtFirst(Answers):
    """Has too much to do until all have asked it once; then it answers when it is told to."""

    def __init__(self, name: str, callers: int) -> None:
        super().__init__(name)
        self.callers = callers
        self.go = asyncio.Event()

    async def run(self, task: str, request: Any, info: RunInfo) -> Any:
        self.asked.append(request.model)
        if len(self.asked) <= self.callers:
            await until(lambda: len(self.asked) == self.callers)
            raise ProviderBusy("a is busy (429).", 0.002)
        await self.go.wait()
        return ChatResult(completion=self.name)


async def test_all_wait_for_the_one_that_tries_a_candidate_after_its_pause() -> None:
    backend = BusyAtFirst("a", callers=10)
    on = stage(backend, max_pause_s=1.0)
    calls = [asyncio.ensure_future(run(on)) for _ in range(10)]
    await until(lambda: on.failover.candidates.waiting == 9)
    assert len(backend.asked) == 11
    backend.go.set()
    assert [each.completion for each in await asyncio.gather(*calls)] == ["a"] * 10


async def test_an_old_success_does_not_end_a_newer_pause() -> None:
    slow = Waits("a")
    on = stage(slow)
    old = asyncio.ensure_future(run(on))
    await until(lambda: bool(slow.asked))
    on.candidates[0].breaker.fail("a is busy.", pause_s=60)
    slow.go.set()
    await old
    assert on.candidates[0].circuit == Circuit.OPEN


async def test_what_it_cost_is_told() -> None:
    backend = Answers("a")
    price = PriceConfig(input=1.5, output=4.0, request=0.25)
    on = stage(backend, routing={"a": RoutingConfig(price=price)})
    await run(on)
    await streamed(on)
    assert [(each.owner, each.usage, each.cost) for each in on.attempts] == [("7", USAGE, 3.75)] * 2


async def test_who_leaves_a_stream_pays_for_what_was_said() -> None:
    on = stage(Answers("a"), routing={"a": RoutingConfig(price=PriceConfig(input=1, output=1_000_000))})
    events = on.failover.stream("chat", REQUEST, INFO)
    assert [await anext(events), await anext(events)] == [ServedBy("a"), b"a"]
    await events.aclose()
    (left,) = on.attempts
    assert (left.outcome, left.usage) == ("cancelled", Usage(prompt_tokens=1, completion_tokens=1))
    assert left.cost == pytest.approx(1, rel=1e-3)


def test_an_estimate_takes_whatever_the_parts_hold() -> None:
    parts = [
        {"type": "text", "text": 5},
        {"type": "text", "text": "four" * 2},
        {"type": "image_url", "image_url": {}},
    ]
    asked = ChatRequest(body={"messages": [{"role": "user", "content": parts}]})
    assert asked.estimated_usage(2) == Usage(prompt_tokens=2 + 1_000 + 1, completion_tokens=2)


async def test_a_failed_attempt_costs_nothing() -> None:
    backend = Answers("a", ProviderDenied("no."))
    on = stage(backend, routing={"a": RoutingConfig(price=PriceConfig(request=1.0))})
    with pytest.raises(ProviderDenied):
        await run(on)
    assert on.attempts[0].cost == 0
