"""The contract between a task, the pipelines that solve it and the server that runs them."""

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Generic, Protocol, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict, Field

MediaKey: TypeAlias = str
"""Names one file of the artifact store: ``2026/11/23/0/<sha256>.wav``. Blobs travel by key, not by value."""


class Record(BaseModel):
    """An immutable value that crosses process borders; unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Usage(Record):
    """What a run used, as whoever pays for it counts."""

    prompt_tokens: int = Field(default=0, ge=0)
    completion_tokens: int = Field(default=0, ge=0)
    images: int = Field(default=0, ge=0)
    """Pictures made."""
    audio_s: float = Field(default=0.0, ge=0.0)
    """Seconds heard or spoken."""


NO_USAGE = Usage()
OURSELVES = "ai-server"
"""Who served what a model of our own did."""


class TaskResult(Record):
    """What a run produced."""

    provider: str = OURSELVES
    """Who served it: an id of the configuration's ``providers``, or `OURSELVES`."""

    @property
    def usage(self) -> Usage:
        """Tell what the run used."""
        return NO_USAGE


ResultT = TypeVar("ResultT", bound=TaskResult)
ResultT_co = TypeVar("ResultT_co", bound=TaskResult, covariant=True)
RequestT = TypeVar("RequestT", bound="TaskRequest[Any]")


class TaskRequest(Record, Generic[ResultT]):
    """What a run is asked to do; the type parameter is the result that it gives."""

    provider: str | None = None
    """Who alone may serve it; None leaves the choice to the routing."""
    model: str | None = None
    """What the model is called where the request goes; the routing sets it."""

    def estimated_usage(self, events: int) -> Usage:
        """Guess what a run used that said nothing of it: it was left, or broke off, after so many events."""
        return NO_USAGE


@dataclass(frozen=True)
class MediaLimits:
    """How much sound or video one run may take, and how ffmpeg runs (``limits.media`` and ``transforms``)."""

    video_pixels: int = 36_000_000
    """Width x height of one frame."""
    duration_s: float = 14_400.0
    frames: int = 1_000_000
    streams: int = 32
    output_bytes: int = 4 * 1024**3
    memory_bytes: int = 4 * 1024**3
    cpu_s: int = 14_400
    """Computing time of all cores together."""
    wall_s: float = 7_200.0
    threads: int = 1
    ffmpeg: str | None = None
    """Path or name of the program; None is the one of the package imageio-ffmpeg."""


@dataclass(frozen=True)
class RunLimits:
    """How much one run may take."""

    image_pixels: int = 100_000_000
    """Width x height x frames of a decoded picture (``limits.image_pixels`` of the configuration)."""
    media: MediaLimits = MediaLimits()


class OutputFile(Protocol):
    """A file of the artifact store in the making; it becomes visible when its block ends well."""

    @property
    def file(self) -> BinaryIO:
        """The writable, seekable file."""

    @property
    def key(self) -> MediaKey:
        """The key under which the finished file lies; only known after the block has ended."""


class Workspace(Protocol):
    """What one run may touch: its input files, its outputs, and the wish of its caller to stop."""

    @property
    def limits(self) -> RunLimits:
        """What this run must stay within."""

    def input(self, key: MediaKey) -> Path:
        """Give a readable local path for an input file."""

    def output(self, extension: str) -> AbstractContextManager[OutputFile]:
        """Open a new output file, e.g. ``extension="wav"``; an exception in the block discards it."""

    @property
    def priority(self) -> int:
        """Who goes first where a pipeline has a line of its own: the higher."""

    @property
    def is_cancelled(self) -> bool:
        """Whether the run should stop; to look is no sign of life."""

    def check_cancelled(self) -> None:
        """Raise `Cancelled` if the run should stop. Call it between steps; it also says "I am alive"."""

    def report(self, progress: float, message: str = "") -> None:
        """Tell how far the run is, from 0 to 1."""


@dataclass(frozen=True)
class Task(Generic[RequestT, ResultT]):
    """One kind of work: its records, and how a pipeline's answer becomes its result."""

    name: str
    """As the configuration and the metrics spell it: ``speech-to-text``."""
    protocol: type[Any]
    """A runtime-checkable Protocol: what a pipeline must offer to be configured for this task."""
    request: type[RequestT]
    result: type[ResultT]
    run: Callable[[Any, RequestT, Workspace], ResultT]
    """Takes (pipeline, request, workspace)."""
    stream: Callable[[Any, RequestT, Workspace], Generator[Any, None, None]] | None = None
    """The same work as an iterator of events, for tasks whose answer is useful before it is whole."""


@dataclass(frozen=True)
class Transform(Generic[RequestT, ResultT]):
    """A media operation without a model."""

    name: str
    """As the metrics spell it: ``scale-image``."""
    request: type[RequestT]
    result: type[ResultT]
    do: Callable[[RequestT, Workspace], ResultT]
    check: Callable[[RequestT], None] = lambda _: None
    """Raises `InvalidInput` for what is wrong whatever the files are, so that no job is queued in vain."""

    def run(self, request: RequestT, workspace: Workspace) -> ResultT:
        """Do it, if nothing is wrong with the request."""
        self.check(request)
        return self.do(request, workspace)
