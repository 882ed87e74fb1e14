"""The contract between a provider and the routing."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Protocol, TypeAlias, TypeVar

from pipelines.tasks.base import Record, TaskRequest, TaskResult, Workspace

ResultT = TypeVar("ResultT", bound=TaskResult)
CheckAddress: TypeAlias = Callable[[str], Awaitable[str | None]]
"""Says why the server must not contact an address; None where it may."""


class ProviderOptions(Record):
    """Base of a provider's own options; ``options:`` in the configuration is validated against it."""


@dataclass(frozen=True)
class ProviderSettings:
    """One configured provider."""

    id: str
    base_url: str
    """Without a slash at the end; what comes behind it is the vendor's documented path."""
    key: str | None = field(default=None, repr=False)
    """The secret; it shall not be seen anywhere."""
    key_name: str = ""
    """The environment variable that it came from, which errors may name."""
    connect_s: float = 5.0
    first_byte_s: float = 60.0
    """Until the answer begins."""
    silence_s: float = 60.0
    """Between two pieces of an answer."""
    check_address: CheckAddress | None = field(default=None, repr=False)
    """Looks at addresses that its answers name before they are asked; None trusts it."""


@dataclass(frozen=True)
class ListedModel:
    """A model that the provider says it has."""

    name: str
    tasks: tuple[str, ...]


class Provider(Protocol):
    """Somebody's API. Used in one event loop; its connections open with the first request.

    A class has beside these an attribute ``Options`` (a `ProviderOptions`) and a constructor that takes
    ``(settings, options)`` and contacts nobody. All errors are `pipelines.errors.ProviderError`, or
    `InvalidInput` for what the vendor's wire format cannot say. ``request.model`` names the model.
    """

    tasks: frozenset[str]
    """Names of the tasks that it can do."""
    fetches_images: bool
    """Whether it takes the address of a picture; else pictures must come in the request (``data:``)."""

    async def run(self, task: str, request: TaskRequest[ResultT], workspace: Workspace) -> ResultT:
        """Do the work and give its result; cancelling closes the connection."""

    def stream(self, task: str, request: TaskRequest[Any], workspace: Workspace) -> AsyncGenerator[Any, None]:
        """Do the work and give the task's events; closing the generator closes the connection.

        A stream that ends before the vendor says so raises `ProviderFailed`. Nothing is kept but the
        piece at hand.
        """

    async def models(self) -> Sequence[ListedModel]:
        """Ask the provider which models it has; empty where it has no such list."""

    async def close(self) -> None:
        """Close the connections."""


def fits(model: str, patterns: Sequence[str]) -> bool:
    """Tell whether one of the patterns (``gpt-5*``) fits the model's name."""
    return any(fnmatchcase(model, pattern) for pattern in patterns)


def without_none(**fields: Any) -> dict[str, Any]:
    """Make a body of the fields that are given."""
    return {name: value for name, value in fields.items() if value is not None}


def renamed(body: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Take those fields of `body` that are given, under the names that they have elsewhere."""
    return {new: body[old] for old, new in names.items() if body.get(old) is not None}
