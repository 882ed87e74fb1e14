"""Whatever can do tasks: a deployment's handle, a provider, a choice of them, or a fake in a test."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from deployments.runs import RunInfo
from pipelines.tasks.base import TaskRequest, TaskResult

ResultT = TypeVar("ResultT", bound=TaskResult)


class Backend(Protocol):
    """Does work."""

    async def run(self, task: str, request: TaskRequest[ResultT], info: RunInfo) -> ResultT:
        """Do the work and give its result."""

    def stream(self, task: str, request: TaskRequest[Any], info: RunInfo) -> AsyncGenerator[Any, None]:
        """Do the work and give its events one by one; closing the stream stops the work."""


@dataclass(frozen=True)
class ServedBy:
    """The first event of a stream that had a choice: who serves it."""

    provider: str
