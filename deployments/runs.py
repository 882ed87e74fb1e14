"""The records that travel between the ingress and the replicas beside a task's own request and result."""

from dataclasses import dataclass
from enum import StrEnum

from cluster.gate import Priority


@dataclass(frozen=True)
class JobRun:
    """The job that a run belongs to, and who wants to hear how far it is."""

    id: int
    fence: int
    runner: str
    """Name of the Ray actor that waits for it."""


@dataclass(frozen=True)
class RunInfo:
    """For whom a run is done."""

    owner: str
    """Id of the API key; names the folder of its results."""
    priority: int = Priority.SYNCHRONOUS
    job: JobRun | None = None
    """None: somebody waits for the answer at the other end of the line."""
    providers: tuple[str, ...] | None = None
    """Who alone may serve it, as far as the API key goes; None restricts nothing."""
    limit_s: float | None = None
    """How long the run itself may take, once it has its permit; the wait for that does not count."""


@dataclass(frozen=True)
class Activity:
    """What one replica is doing."""

    running: int
    waiting: int
    silent_s: float
    """How long the quietest run has shown no progress."""


class ModelState(StrEnum):
    """What a model can do at the moment."""

    READY = "ready"
    LOADING = "loading"
    SLEEPING = "sleeping"
    """Scaled to zero; the first request wakes it."""
    UNAVAILABLE = "unavailable"
    """It could not be loaded; the detail names the remedy."""
    STALLED = "stalled"
    """A run shows no progress, or the replica does not answer."""


@dataclass(frozen=True)
class CandidateStatus:
    """Who may serve a model, as seen from the process that was asked."""

    provider: str
    model: str
    """What the model is called there."""
    circuit: str
    """``closed`` when it is well, ``open`` while it is left alone, ``half-open`` when it is tried again."""
    running: int
    detail: str = ""


@dataclass(frozen=True)
class ModelStatus:
    """The state of one model, as /ready shows it."""

    id: str
    state: ModelState
    tasks: tuple[str, ...]
    detail: str = ""
    replicas: int = 0
    running: int = 0
    waiting: int = 0
    candidates: tuple[CandidateStatus, ...] = ()
    """Where there is somebody beside our own replicas."""


@dataclass(frozen=True)
class QueueState:
    """What the queue is doing, as /ready shows it."""

    is_open: bool
    """Whether the job store can be reached."""
    running: int
    paused_because: str = ""
