"""What a run may touch, on top of the artifact store."""

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from cluster.artifacts.store import Area, ArtifactStore, ArtifactWriter
from cluster.gate import Priority
from pipelines.errors import Cancelled
from pipelines.tasks.base import RunLimits


class RunWorkspace:
    """The `pipelines.tasks.base.Workspace` of one run; used by the run's thread and by the event loop."""

    def __init__(
        self,
        artifacts: ArtifactStore,
        owner: str,
        limits: RunLimits,
        priority: int = Priority.SYNCHRONOUS,
        clock: Callable[[], float] = time.monotonic,
        on_progress: Callable[[float, str], None] = lambda *_: None,
    ) -> None:
        """Open the workspace of a run for `owner`.

        Args:
            artifacts: where inputs and outputs lie.
            owner: id of the API key.
            limits: how much the run may take.
            priority: of the run, above others.
            clock: counts seconds.
            on_progress: gets what the run reports, in the run's thread.
        """
        self.limits = limits
        self.priority = priority
        self._artifacts = artifacts
        self._owner = owner
        self._clock = clock
        self._on_progress = on_progress
        self._cancelled = threading.Event()
        self._alive_at = clock()

    def input(self, key: str) -> Path:
        """Give a readable local path for an input file."""
        return self._artifacts.local_path(key)

    def output(self, extension: str) -> AbstractContextManager[ArtifactWriter]:
        """Open a new result file."""
        return self._artifacts.create(area=Area.RESULT, owner=self._owner, extension=extension)

    @property
    def is_cancelled(self) -> bool:
        """Whether the run should stop."""
        return self._cancelled.is_set()

    def check_cancelled(self) -> None:
        """Raise `Cancelled` if the run should stop; note that it is alive."""
        self._alive_at = self._clock()
        if self.is_cancelled:
            raise Cancelled("The run was cancelled.")

    def report(self, progress: float, message: str = "") -> None:
        """Note that the run is alive, and pass on how far it is."""
        self._alive_at = self._clock()
        self._on_progress(progress, message)

    def cancel(self) -> None:
        """Ask the run to stop at its next step."""
        self._cancelled.set()

    @property
    def silent_s(self) -> float:
        """Seconds since the run last gave a sign of life."""
        return self._clock() - self._alive_at
