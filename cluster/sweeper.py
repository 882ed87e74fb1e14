"""Deletes what has been kept for long enough: ended jobs, results, and uploads that no job needs."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice

from cluster.artifacts.store import Area, ArtifactStore
from cluster.jobs.job import Clock, system_clock
from cluster.jobs.retention import Retention
from configs.schema import StorageConfig

BATCH = 500
DAY_S = 86_400.0


@dataclass(frozen=True)
class Swept:
    """How much was deleted."""

    jobs: int
    artifacts: int
    inputs: int

    def __bool__(self) -> bool:
        return any(vars(self).values())


class Sweeper:
    """Sweeps the job store and the artifact store."""

    def __init__(
        self,
        artifacts: ArtifactStore,
        retention: Retention,
        storage: StorageConfig,
        clock: Clock = system_clock,
    ) -> None:
        """Take the stores, how long things are kept, and the time."""
        self._artifacts = artifacts
        self._retention = retention
        self._storage = storage
        self._clock = clock

    def sweep(self) -> Swept:
        """Delete what is due. Blocks, for as long as there is something to delete."""
        self._artifacts.clear_leftovers()
        # Inputs first: the rows that say who needs them go with the jobs.
        inputs = self._sweep_inputs()
        return Swept(
            inputs=inputs,
            artifacts=self._delete(self._old(Area.RESULT, self._storage.keep_artifacts_days)),
            jobs=self._retention.forget_jobs(self._storage.keep_jobs_days * DAY_S),
        )

    def _sweep_inputs(self) -> int:
        days = self._storage.keep_inputs_days
        old = self._old(Area.INPUT, days)
        deleted = 0
        while keys := list(islice(old, BATCH)):
            needed = self._retention.needed(keys, days * DAY_S)
            deleted += self._delete(key for key in keys if key not in needed)
        return deleted

    def _old(self, area: Area, days: float) -> Iterator[str]:
        now = datetime.fromtimestamp(self._clock(), UTC)
        return iter(self._artifacts.older_than(now - timedelta(days=days), area))

    def _delete(self, keys: Iterable[str]) -> int:
        return sum(self._artifacts.delete(key) for key in keys)
