import asyncio
import threading
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

import pytest

from cluster.artifacts.local import LocalArtifactStore
from cluster.artifacts.store import StoreFull
from cluster.gate import Priority
from configs.schema import LimitsConfig, ServerConfig, TimeoutsConfig
from deployments.errors import Busy, RunTooLong
from deployments.runs import RunInfo
from deployments.task_server import ReplicaStalled, TaskServer
from deployments.workspace import RunWorkspace
from pipelines.errors import Cancelled, InvalidInput, OutOfMemory
from pipelines.tasks.base import RunLimits

INFO = RunInfo(owner="0")


class Server(TaskServer):
    """Makes the protected ways to run visible to the tests."""

    run = TaskServer._run
    stream = TaskServer._stream


@pytest.fixture
def server(tmp_path: Path) -> Server:
    config = ServerConfig(limits=LimitsConfig(queued_requests=2), timeouts=TimeoutsConfig(stall_s=100))
    return Server(LocalArtifactStore(tmp_path), config, 1)


class Blocker:
    """Work that stands still until it is released or cancelled, and says when it began."""

    def __init__(self) -> None:
        self.began = threading.Event()
        self.released = threading.Event()
        self.ended = False

    def __call__(self, workspace: RunWorkspace) -> str:
        self.began.set()
        try:
            while not self.released.wait(0.005):
                workspace.check_cancelled()
        finally:
            self.ended = True
        return "done"


async def every_task_has_run() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def began(blocker: Blocker) -> None:
    await asyncio.to_thread(blocker.began.wait)


async def test_the_result_of_the_work_comes_back(server: Server) -> None:
    assert await server.run(INFO, lambda _: 42) == 42


async def test_an_error_that_was_raised_on_purpose_is_the_answer(server: Server) -> None:
    def fail(_: RunWorkspace) -> None:
        raise InvalidInput("too long", "text")

    error: object = await server.run(INFO, fail)
    assert isinstance(error, InvalidInput)
    assert error.field == "text"


async def test_an_error_in_a_stream_is_its_last_event(server: Server) -> None:
    def fail(_: RunWorkspace) -> Generator[int, None, None]:
        yield 1
        raise InvalidInput("too long", "text")

    first, error = [event async for event in server.stream(INFO, fail)]
    assert first == 1
    assert isinstance(error, InvalidInput)


async def test_one_permit_means_one_run_and_the_urgent_goes_first(server: Server) -> None:
    first, order = Blocker(), []
    running = asyncio.create_task(server.run(INFO, first))
    await began(first)
    job = RunInfo(owner="0", priority=Priority.LOW)
    waiting = [
        asyncio.create_task(server.run(info, lambda _, name=name: order.append(name)))  # type: ignore[misc]
        for name, info in (("job", job), ("synchronous", INFO))
    ]
    await every_task_has_run()
    assert (await server.activity()).waiting == 2
    assert isinstance(await server.run(INFO, lambda _: "never"), Busy)
    first.released.set()
    await asyncio.gather(running, *waiting)
    assert order == ["synchronous", "job"]


async def test_cancelling_the_caller_stops_the_work_before_the_next_begins(server: Server) -> None:
    blocker = Blocker()
    running = asyncio.create_task(server.run(INFO, blocker))
    await began(blocker)
    running.cancel()
    assert await server.run(INFO, lambda _: blocker.ended)
    assert running.cancelled()


async def test_a_stream_gives_each_event_before_the_next_is_made(server: Server) -> None:
    made: list[int] = []

    def count(_: RunWorkspace) -> Generator[int, None, None]:
        for number in range(3):
            made.append(number)
            yield number

    events = server.stream(INFO, count)
    assert await anext(events) == 0
    assert made == [0]
    assert [event async for event in events] == [1, 2]


async def test_closing_a_stream_early_closes_the_work_and_frees_the_permit(server: Server) -> None:
    closed = threading.Event()

    def endless(_: RunWorkspace) -> Generator[int, None, None]:
        try:
            while True:
                yield 1
        finally:
            closed.set()

    events = server.stream(INFO, endless)
    await anext(events)
    await events.aclose()
    assert closed.is_set()
    assert await server.run(INFO, lambda _: "free") == "free"


async def test_a_silent_run_makes_the_replica_unhealthy(tmp_path: Path) -> None:
    config = ServerConfig(timeouts=TimeoutsConfig(stall_s=1e-9))
    server = Server(LocalArtifactStore(tmp_path), config, 1)
    released = threading.Event()
    running = asyncio.create_task(server.run(INFO, lambda _: released.wait()))
    await every_task_has_run()
    with pytest.raises(ReplicaStalled):
        await server.check_health()
    released.set()
    await running
    await server.check_health()


async def test_a_workspace_that_was_cancelled_says_so(tmp_path: Path) -> None:
    workspace = RunWorkspace(LocalArtifactStore(tmp_path), "0", RunLimits())
    workspace.check_cancelled()
    workspace.cancel()
    with pytest.raises(Cancelled):
        workspace.check_cancelled()


async def test_the_time_limit_ends_a_run_but_not_the_wait_for_its_turn(server: Server) -> None:
    first, second = Blocker(), Blocker()
    second.released.set()
    running = asyncio.create_task(server.run(INFO, first))
    await began(first)
    waiting = asyncio.create_task(server.run(replace(INFO, limit_s=0.05), second))
    ended = asyncio.create_task(server.run(replace(INFO, limit_s=0.05), Blocker()))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    first.released.set()
    assert await running == "done"
    assert await waiting == "done"
    too_long = await ended
    assert isinstance(too_long, RunTooLong)
    assert str(too_long) == "The run did not end within 0.05 s, its time limit."


@pytest.mark.parametrize(("fault", "told"), [(StoreFull("full"), StoreFull), (MemoryError(), OutOfMemory)])
async def test_what_may_happen_to_a_stream_is_its_last_event(
    fault: Exception, told: type[Exception], server: Server
) -> None:
    def work(_: RunWorkspace) -> Generator[int, None, None]:
        yield 1
        raise fault

    first, last = [event async for event in server.stream(INFO, work)]
    assert first == 1
    assert isinstance(last, told)
