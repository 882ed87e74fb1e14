"""What an operation of AI Server is made of; the tables are in the modules beside this one."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeAlias, TypeVar

from deployments.calls import Served
from deployments.routers.aiserver.responses import (
    Answer,
    ArtifactItem,
    ArtifactResponse,
    ObjectResponse,
    TextItem,
    TextResponse,
)
from deployments.routers.aiserver.wire import WireT
from deployments.uploads import UploadedFile
from pipelines.tasks.base import MediaKey, TaskRequest, TaskResult

ResultT = TypeVar("ResultT", bound=TaskResult)
Files: TypeAlias = Mapping[str, UploadedFile]
UrlOf: TypeAlias = Callable[[MediaKey], str]


def key_name(key: MediaKey) -> str:
    """Give the file name of a key."""
    return key.rpartition("/")[2]


@dataclass(frozen=True)
class MadeFile:
    """One file that was made, and what there is to tell of it."""

    key: MediaKey
    width: int | None = None
    height: int | None = None
    seed: int | None = None


@dataclass(frozen=True)
class Artifacts(Generic[ResultT]):
    """The outputs are files."""

    of: Callable[[ResultT], Sequence[MadeFile]]
    name_of: Callable[[MediaKey, Files], str] = lambda key, _: key_name(key)
    """What a person would call a file."""
    notes_of: Callable[[ResultT], Sequence[str]] = lambda _: ()
    """What was done otherwise than asked."""
    response: type[Answer] = ArtifactResponse

    def respond(self, served: Served[ResultT], files: Files, url_of: UrlOf) -> Answer:
        """Make the answer's body."""
        items = (
            ArtifactItem(
                url=url_of(made.key),
                file_name=self.name_of(made.key, files),
                provider=served.provider,
                width=made.width,
                height=made.height,
                seed=made.seed,
            )
            for made in self.of(served.result)
        )
        return ArtifactResponse.of(items, served.duration_s, self.notes_of(served.result))


@dataclass(frozen=True)
class Texts(Generic[ResultT]):
    """The outputs are texts."""

    of: Callable[[ResultT], Sequence[str]]
    response: type[Answer] = TextResponse

    def respond(self, served: Served[ResultT], files: Files, url_of: UrlOf) -> Answer:
        """Make the answer's body."""
        return TextResponse.of((TextItem(text=text) for text in self.of(served.result)), served.duration_s)


@dataclass(frozen=True)
class Objects(Generic[ResultT]):
    """The output is an object of another wire format."""

    of: Callable[[ResultT], dict[str, Any]]
    is_chat: bool = True
    """Whether clients of the first generation look for it as ``chatResponse``."""
    response: type[Answer] = ObjectResponse

    def respond(self, served: Served[ResultT], files: Files, url_of: UrlOf) -> Answer:
        """Make the answer's body."""
        body = self.of(served.result)
        return ObjectResponse(result=body, chat_response=body if self.is_chat else None)


@dataclass(frozen=True)
class Operation(Generic[WireT, ResultT]):
    """One operation; its route, its documentation and its checks follow from this."""

    name: str
    """As clients ask for it: ``/api/{name}``."""
    task: str
    summary: str
    wire: type[WireT]
    """The fields, without the files."""
    to_request: Callable[[WireT, Files], TaskRequest[ResultT]]
    outputs: Artifacts[ResultT] | Texts[ResultT] | Objects[ResultT]
    example: Mapping[str, Any]
    """Fields of an example request; a file's value is its name."""
    example_response: Mapping[str, Any]
    files: tuple[str, ...] = ()
    model_fields: tuple[str, ...] = ()
    """Attributes of `wire` that may name the model; the first that is given wins."""
    field_names: Mapping[str, str] = field(default_factory=dict)
    """Field of the task's request -> its name on the wire, where they differ."""
    post_only: bool = False
    """AI Server answers most operations under every verb, and a few under POST alone."""


AnyOperation: TypeAlias = Operation[Any, Any]


def artifact_example(file_name: str, **facts: int) -> dict[str, Any]:
    """Give an example body of an operation whose output is a file; `facts` are those of `MadeFile`."""
    key = f"2026/11/23/0/{'9f86d081' * 8}.{file_name.rpartition('.')[2]}"
    url = f"http://127.0.0.1:8000/artifacts/{key}"
    item = ArtifactItem(url=url, file_name=file_name, provider="ai-server", **facts)
    return ArtifactResponse.of([item], 0.41).model_dump(mode="json", by_alias=True, exclude_none=True)


def text_example(*texts: str) -> dict[str, Any]:
    """Give an example body of an operation whose outputs are texts."""
    return TextResponse.of([TextItem(text=text) for text in texts], 0.98).model_dump(
        mode="json", by_alias=True
    )
