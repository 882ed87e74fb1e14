"""The time and the outcome of a call, for the metrics."""

import time

from deployments.errors import problem_of
from deployments.services import Metrics


class Timer:
    """Reports one call's outcome and time to the metrics when its block ends."""

    def __init__(self, metrics: Metrics, task: str, model: str) -> None:
        """Begin to count."""
        self._metrics = metrics
        self._task = task
        self._model = model
        self._started = time.perf_counter()
        self._report_ok = True
        self.seconds = 0.0

    def unless_ok(self) -> "Timer":
        """Report only a failure of the next block: more of this call is to come."""
        self._report_ok = False
        return self

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        self.seconds = time.perf_counter() - self._started
        if error is not None or self._report_ok:
            self._metrics.observe(
                task=self._task, model=self._model, outcome=_outcome(error), seconds=self.seconds
            )
        self._report_ok = True


def _outcome(error: BaseException | None) -> str:
    if error is None:
        return "ok"
    if isinstance(error, Exception):
        return problem_of(error).code
    return "disconnected"
