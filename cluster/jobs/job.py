"""The records of a job: what a client submits, what the store keeps, what a runner gets."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from pydantic import BaseModel, ConfigDict

Clock: TypeAlias = Callable[[], float]
"""Gives seconds since the epoch; machines that share a database must agree on it within a second or two."""

system_clock: Clock = time.time


class JobState(StrEnum):
    """Where a job is; the words are AI Server's, its ``Executed`` (callback still owed) is not used."""

    QUEUED = "Queued"
    STARTED = "Started"
    COMPLETED = "Completed"
    FAILED = "Failed"
    CANCELLED = "Cancelled"

    @property
    def is_final(self) -> bool:
        """Whether nothing more will happen unless somebody requeues the job."""
        return self not in UNFINISHED


UNFINISHED = (JobState.QUEUED, JobState.STARTED)


class JobInput(BaseModel):
    """A file that came with the request; it lies in the artifact store for as long as the job needs it."""

    model_config = ConfigDict(frozen=True)

    field: str
    key: str
    file_name: str
    content_type: str
    size_bytes: int


class Attempt(BaseModel):
    """A run that did not finish the job."""

    model_config = ConfigDict(frozen=True)

    attempt: int
    started_at: float | None
    ended_at: float
    error_code: str
    message: str


@dataclass(frozen=True)
class NewJob:
    """What a client asks for, checked and routed."""

    owner: str
    """Id of the API key."""
    task: str
    model: str
    """Id of the model that will do it."""
    request: str
    """JSON of the task's request record."""
    ref_id: str
    """The client's own id, or one that was made for it; unique per owner."""
    fingerprint: str = ""
    """Two requests that share it ask for the same; compared where `ref_id` or `idempotency_key` repeat."""
    priority: int = 0
    tag: str | None = None
    client_state: str | None = None
    """Opaque; comes back in the webhook."""
    reply_to: str | None = None
    idempotency_key: str | None = None
    inputs: tuple[JobInput, ...] = ()


@dataclass(frozen=True)
class ClaimedJob:
    """What a runner needs to know."""

    id: int
    fence: int
    """Goes up with every claim; whoever comes with an older one has lost the job."""
    attempt: int
    owner: str
    task: str
    model: str
    priority: int
    request: str


@dataclass(frozen=True)
class Job:
    """Everything that the store knows about a job. Times are seconds since the epoch."""

    id: int
    owner: str
    ref_id: str
    idempotency_key: str | None
    fingerprint: str
    task: str
    model: str
    priority: int
    tag: str | None
    client_state: str | None
    reply_to: str | None
    request: str
    inputs: tuple[JobInput, ...]
    state: JobState
    attempts: int
    fence: int
    run_after: float | None
    """A failed attempt waits until then."""
    lease_until: float | None
    created_at: float
    started_at: float | None
    finished_at: float | None
    duration_s: float | None
    """Of the run that gave the result."""
    progress: float
    step: str
    result: str | None
    """JSON of the task's result record."""
    error_code: str | None
    error_message: str | None
    dead: bool
    """Whether it failed for want of further attempts: a dead letter."""
    history: tuple[Attempt, ...]
    webhook_due: float | None
    webhook_attempts: int
    error_field: str | None
    """The field of the request that the error is about."""


@dataclass(frozen=True)
class Submitted:
    """A job that is safely in the store."""

    id: int
    ref_id: str
    state: JobState
    is_new: bool
    """False if the same request had been submitted before."""


@dataclass(frozen=True)
class Completed:
    """A run gave a result."""

    result: str
    duration_s: float


@dataclass(frozen=True)
class Broken:
    """A run gave an error."""

    code: str
    message: str
    retry_in_s: float | None = None
    """None: repeating it cannot help."""
    counts: bool = True
    """Whether it uses up an attempt; a full disk is not the job's fault."""
    field: str | None = None
    """Of the request, that the error is about."""


Outcome: TypeAlias = Completed | Broken


@dataclass(frozen=True)
class Finished:
    """What became of a claimed job."""

    id: int
    fence: int
    outcome: Outcome


@dataclass(frozen=True)
class Sign:
    """A runner's sign of life for one job."""

    id: int
    fence: int
    progress: float = 0.0
    step: str = ""


@dataclass(frozen=True)
class JobFilter:
    """Which jobs a listing shows; None does not restrict."""

    owner: str | None = None
    state: JobState | None = None
    task: str | None = None
    tag: str | None = None
    created_from: float | None = None
    created_to: float | None = None
    dead: bool | None = None
    before_id: int | None = None
    """Only older ones: where the page before this one ended."""
