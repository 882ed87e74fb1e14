"""The routing table: (task, model name) to whoever may do the work."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from deployments.backend import Backend
from deployments.candidates import Candidates
from deployments.errors import BadRequest, ModelNotFound, TaskNotServed
from pipelines.providers.base import ListedModel
from pipelines.tasks.base import OURSELVES, TaskRequest


@dataclass(frozen=True)
class Route:
    """One model as the routing table knows it, or a provider with all its models."""

    id: str
    tasks: tuple[str, ...]
    backend: Backend
    aliases: tuple[str, ...] = ()
    owner: str = OURSELVES
    """Who serves it first."""
    candidates: Candidates | None = None
    """Who may serve it, where that is known here."""
    upstream: str | None = None
    """What the model is called at its provider, where only the client says so."""

    @property
    def names(self) -> tuple[str, ...]:
        """Every name that leads here, the id first."""
        return (self.id, *self.aliases)

    @property
    def all_names(self) -> tuple[str, ...]:
        """Every name under which an API key may be allowed to use it."""
        if self.upstream is None:
            return self.names
        return (self.upstream, f"{self.id}/{self.upstream}")

    @property
    def fetches_images(self) -> bool:
        """Whether everybody who may serve it takes the address of a picture."""
        return self.candidates is not None and all(each.fetches_images for each in self.candidates.all)

    def answers_to(self, name: str) -> bool:
        """Whether a client that says `name` means this model; the case does not matter."""
        return name.lower() in (known.lower() for known in self.names)

    def addressed(self, request: TaskRequest[Any]) -> TaskRequest[Any]:
        """Give the request with what only the name of the route says of it."""
        return request if self.upstream is None else request.model_copy(update={"model": self.upstream})


class Catalogue(Protocol):
    """Knows the models that providers say they have."""

    def provider_of(self, task: str, model: str) -> str | None:
        """Give the provider that lists `model` for `task`."""

    def listed(self, provider: str) -> Sequence[ListedModel]:
        """Give what a provider lists."""


class _Empty:
    """Knows none."""

    def provider_of(self, task: str, model: str) -> str | None:
        """Give nobody."""
        return None

    def listed(self, provider: str) -> Sequence[ListedModel]:
        """Give nothing."""
        return ()


NOTHING_LISTED: Catalogue = _Empty()


@dataclass
class Gateway:
    """Finds the route for a task. Routes are in order of preference: the first is the default."""

    routes: Sequence[Route]
    """Of the models, and one for the transforms if they are on."""
    providers: Mapping[str, Route] = field(default_factory=dict)
    """Of each provider, which takes any of its models: ``openai/gpt-5.4``."""
    catalogue: Catalogue = NOTHING_LISTED
    off: Mapping[str, str] = field(default_factory=dict)
    """Providers that are switched off -> what to do to have them."""
    hints: Mapping[str, str] = field(default_factory=dict)
    """Other names that nobody serves now -> what to do about it."""

    def resolve(self, task: str, model: str | None = None, pin: str | None = None) -> Route:
        """Find who solves `task` under the name `model`, or the task's default where it is empty.

        A name is an id or an alias, without regard to case; ``provider/name``, or the bare name of a model
        that a provider lists, or the one that `pin` names. The task's own name asks for the default, as AI
        Server's clients do (``speech-to-text``).

        Raises:
            TaskNotServed: no configured model solves this task.
            ModelNotFound: none that solves it has this name; the error lists those that there are.
            BadRequest: no model is named, and there is no default.
        """
        candidates = [route for route in self.routes if task in route.tasks]
        if not candidates and not any(task in route.tasks for route in self.providers.values()):
            raise TaskNotServed(task)
        if candidates and (not model or model.lower() == task):
            return candidates[0]
        if not model:
            raise BadRequest(f"'model' must not be empty. {self._hint(task, '')}", "model", "NotEmpty")
        name = model
        for route in candidates:
            if route.answers_to(name):
                return route
        if found := self._at_provider(task, name, pin):
            return found
        raise ModelNotFound(name, task, tuple(route.id for route in candidates), self._hint(task, name))

    def by_id(self, route_id: str, task: str) -> Route:
        """Find the route that a job was given when it was accepted.

        Raises:
            ModelNotFound: it is not configured any more, or not for this task.
        """
        for route in (*self.routes, *self.providers.values()):
            if route.id == route_id and task in route.tasks:
                return route
        raise ModelNotFound(route_id, task, tuple(route.id for route in self.routes if task in route.tasks))

    def _at_provider(self, task: str, name: str, pin: str | None) -> Route | None:
        prefix, slash, upstream = name.partition("/")
        route = self.providers.get(prefix.lower())
        if not (slash and upstream and route):
            upstream = name
            pinned = self.providers.get((pin or "").lower())
            route = pinned or self.providers.get(self.catalogue.provider_of(task, name) or "")
        if route is None or task not in route.tasks:
            return None
        return replace(route, upstream=upstream)

    def _hint(self, task: str, name: str) -> str:
        other = next((route for route in self.routes if route.answers_to(name)), None)
        if other is not None:
            return f"It is known, for {', '.join(other.tasks)}."
        for each in (name.lower(), name.partition("/")[0].lower()):
            if reason := self.hints.get(each):
                return reason
        open_for = [f"{each.id}/…" for each in self.providers.values() if task in each.tasks]
        return f"Any model of {', '.join(open_for)} can be asked for by that name." if open_for else ""
