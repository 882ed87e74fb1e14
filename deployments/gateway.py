"""The routing table: (task, model name) to the backend that does the work."""

from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from configs.schema import TRANSFORMS_ID, ModelConfig, ServerConfig
from deployments.errors import ModelNotFound, TaskNotServed
from deployments.runs import RunInfo
from pipelines.tasks.base import TaskRequest, TaskResult
from pipelines.transforms import TRANSFORMS

ResultT = TypeVar("ResultT", bound=TaskResult)


class Backend(Protocol):
    """Whatever can do tasks: a deployment's handle, a provider, or a fake in a test."""

    async def run(self, task: str, request: TaskRequest[ResultT], info: RunInfo) -> ResultT:
        """Do the work and give its result."""

    def stream(self, task: str, request: TaskRequest[Any], info: RunInfo) -> AsyncGenerator[Any, None]:
        """Do the work and give its events one by one; closing the stream stops the work."""


@dataclass(frozen=True)
class Route:
    """One model as the routing table knows it."""

    id: str
    tasks: tuple[str, ...]
    backend: Backend
    aliases: tuple[str, ...] = ()
    provider: str = "ai-server"
    """Who serves it, as ``results[].provider`` names it."""

    @property
    def names(self) -> tuple[str, ...]:
        """Every name that leads here, the id first."""
        return (self.id, *self.aliases)

    def answers_to(self, name: str) -> bool:
        """Whether a client that says `name` means this model; the case does not matter."""
        return name.lower() in (known.lower() for known in self.names)

    @classmethod
    def of(cls, model: ModelConfig, backend: Backend) -> "Route":
        """Make the route of a configured model."""
        return cls(id=model.id, tasks=model.tasks, aliases=model.aliases, backend=backend)


class Gateway:
    """Finds the backend for a task. Routes are in order of preference: the first is the default."""

    def __init__(self, routes: Sequence[Route]) -> None:
        """Take the routes of the models, and one for the transforms if they are on."""
        self.routes = tuple(routes)

    def resolve(self, task: str, model: str | None = None) -> Route:
        """Find who solves `task` under the name `model`, or the task's default where it is empty.

        A name is an id or an alias, without regard to case; the task's own name asks for the
        default, as AI Server's clients do (``speech-to-text``).

        Raises:
            TaskNotServed: no configured model solves this task.
            ModelNotFound: none that solves it has this name; the error lists those that there are.
        """
        candidates = [route for route in self.routes if task in route.tasks]
        if not candidates:
            raise TaskNotServed(task)
        if not model or model.lower() == task:
            return candidates[0]
        for route in candidates:
            if route.answers_to(model):
                return route
        raise ModelNotFound(model, task, tuple(route.id for route in candidates))

    def by_id(self, route_id: str, task: str) -> Route:
        """Find the route that a job was given when it was accepted.

        Raises:
            ModelNotFound: it is not configured any more, or not for this task.
        """
        for route in self.routes:
            if route.id == route_id and task in route.tasks:
                return route
        raise ModelNotFound(route_id, task, tuple(route.id for route in self.routes if task in route.tasks))


def routes_of(config: ServerConfig, backend_of: Callable[[str], Backend]) -> list[Route]:
    """Make the routes of a configuration; `backend_of` gives the backend of a deployment by its name."""
    routes = [Route.of(model, backend_of(model.id)) for model in config.models]
    if config.transforms.enabled:
        routes.append(Route(TRANSFORMS_ID, tuple(TRANSFORMS), backend_of(TRANSFORMS_ID)))
    return routes
