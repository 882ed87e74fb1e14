from collections.abc import AsyncGenerator
from typing import Any

import pytest

from deployments.errors import ModelNotFound, TaskNotServed
from deployments.gateway import Gateway, Route
from deployments.runs import RunInfo
from pipelines.tasks.base import TaskRequest


class NeverCalled:
    """A backend for tests that only look for it."""

    async def run(self, task: str, request: TaskRequest[Any], info: RunInfo) -> Any:
        raise AssertionError(task)

    def stream(self, task: str, request: TaskRequest[Any], info: RunInfo) -> AsyncGenerator[Any, None]:
        raise AssertionError(task)


def route(name: str, task: str, *aliases: str) -> Route:
    return Route(id=name, tasks=(task,), backend=NeverCalled(), aliases=aliases)


GATEWAY = Gateway(
    [
        route("whisper-base", "speech-to-text", "whisper-1"),
        route("whisper-tiny-en", "speech-to-text"),
        route("piper-joe", "text-to-speech", "alloy"),
    ]
)


@pytest.mark.parametrize("name", [None, "", "speech-to-text", "whisper-base", "WHISPER-1"])
def test_the_default_is_the_first_of_its_task(name: str | None) -> None:
    assert GATEWAY.resolve("speech-to-text", name).id == "whisper-base"


def test_a_name_finds_its_model() -> None:
    assert GATEWAY.resolve("speech-to-text", "whisper-tiny-en").id == "whisper-tiny-en"


def test_an_unknown_name_lists_what_solves_the_task() -> None:
    with pytest.raises(ModelNotFound, match=r"Available: whisper-base, whisper-tiny-en$"):
        GATEWAY.resolve("speech-to-text", "whisper-9")


def test_a_model_of_another_task_is_not_found() -> None:
    with pytest.raises(ModelNotFound):
        GATEWAY.resolve("speech-to-text", "piper-joe")


def test_a_task_that_nobody_serves_says_so() -> None:
    with pytest.raises(TaskNotServed, match="No model is configured for text-to-image"):
        GATEWAY.resolve("text-to-image")
