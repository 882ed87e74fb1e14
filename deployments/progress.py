"""How a replica tells the runner of a job how far the run is."""

import logging
import time
from collections.abc import Callable
from typing import Any

import ray

from deployments.runs import JobRun

logger = logging.getLogger("ai_server.jobs")

PAUSE_S = 0.5
"""Between two reports of one run; a run that is shorter sends none."""
ACTOR_NAMESPACE = "ai-server"


class ProgressReporter:
    """Sends a run's progress to its runner, now and then, and never waits for it."""

    def __init__(self, job: JobRun, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin to count; nothing is sent in the first moment."""
        self._job = job
        self._clock = clock
        self._sent_at = clock()
        self._runner: Any = None

    def __call__(self, progress: float, message: str) -> None:
        """Tell that the run is at `progress` (0 to 1); called in the run's thread."""
        now = self._clock()
        if now - self._sent_at < PAUSE_S:
            return
        self._sent_at = now
        try:
            if self._runner is None:
                self._runner = ray.get_actor(self._job.runner, ACTOR_NAMESPACE)
            self._runner.note_progress.remote(self._job.id, self._job.fence, progress, message)
        except ValueError:
            self._sent_at = float("inf")  # the runner is gone, and so is everybody who would read this
        except Exception as error:  # noqa: BLE001  # a run must not fail because nobody hears of it
            logger.debug("progress of job %d could not be told: %r", self._job.id, error)
