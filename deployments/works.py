"""Every task and transform, by the name under which a job keeps it."""

from typing import Any

from pipelines.tasks import TASKS
from pipelines.tasks.base import Task, TaskRequest, TaskResult, Transform
from pipelines.transforms import TRANSFORMS

WORKS: dict[str, Task[Any, Any] | Transform[Any, Any]] = {**TASKS, **TRANSFORMS}
TASK_OF: dict[type[TaskRequest[Any]], str] = {work.request: work.name for work in WORKS.values()}


def request_of(task: str, text: str) -> TaskRequest[Any]:
    """Read a request record from its JSON."""
    request: TaskRequest[Any] = WORKS[task].request.model_validate_json(text)
    return request


def result_of(task: str, text: str) -> TaskResult:
    """Read a result record from its JSON."""
    result: TaskResult = WORKS[task].result.model_validate_json(text)
    return result
