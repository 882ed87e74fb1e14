"""When will it be done? From the measured times of earlier runs, and the line in front."""

from dataclasses import dataclass

from sqlalchemy import Connection, func, insert, select, update

from cluster.jobs.database import Database
from cluster.jobs.job import Clock, Job, JobState, system_clock
from cluster.jobs.schema import IN_LINE, WAITING, jobs, run_times

MEMORY_RUNS = 20
"""The mean follows about the last so many runs."""
TRUSTED_PROGRESS = 0.05
"""Before that, a run's own progress says less of its length than the mean of earlier ones."""
MAX_POSITION = 1_000
"""Counting stops here, so that looking at a job costs the same however many wait; it means "or more"."""


class RunTimes:
    """The times of runs that just ended, on their way into the moving means."""

    def __init__(self) -> None:
        """Begin with none."""
        self._seconds: dict[tuple[str, str], list[float]] = {}

    def add(self, task: str, model: str, seconds: float) -> None:
        """Take the time of a run."""
        self._seconds.setdefault((task, model), []).append(seconds)

    def write(self, connection: Connection) -> None:
        """Write the new means; always in the same order, so that two writers cannot block each other."""
        for (task, model), seconds in sorted(self._seconds.items()):
            this = (run_times.c.task == task) & (run_times.c.model == model)
            known = connection.execute(select(run_times).where(this).with_for_update()).one_or_none()
            mean_s, runs = (known.mean_s, known.runs) if known else (0.0, 0)
            for each in seconds:
                runs = min(runs + 1, MEMORY_RUNS)
                mean_s += (each - mean_s) / runs
            values = {"task": task, "model": model, "mean_s": mean_s, "runs": runs}
            change = update(run_times).where(this) if known else insert(run_times)
            connection.execute(change.values(values))


@dataclass(frozen=True)
class Estimate:
    """Where a job stands."""

    queue_position: int | None
    """Jobs that will start before this one, at most `MAX_POSITION`; None when it does not wait."""
    seconds_left: float | None
    """None while nothing was measured, and when the job has ended."""


class Estimates:
    """Tells when an unfinished job will be done."""

    def __init__(self, database: Database, clock: Clock = system_clock) -> None:
        """Take the database and the time."""
        self._database = database
        self._clock = clock

    def of(self, job: Job, places: int = 1) -> Estimate:
        """Estimate for a job whose model runs `places` at once."""
        if job.state.is_final:
            return Estimate(None, None)
        with self._database.read() as connection:
            mean_s = _mean_s(connection, job)
            if job.state == JobState.STARTED:
                return Estimate(None, self._running_s(job, mean_s))
            position = _ahead(connection, job)
        if mean_s is None:
            return Estimate(position, None)
        wait_s = max(0.0, (job.run_after or 0.0) - self._clock())
        return Estimate(position, wait_s + mean_s * (position // max(1, places) + 1))

    def _running_s(self, job: Job, mean_s: float | None) -> float | None:
        elapsed_s = self._clock() - (job.started_at or self._clock())
        if job.progress >= TRUSTED_PROGRESS:
            return elapsed_s / job.progress * (1 - job.progress)
        # A run that takes longer than others did: nobody knows how much longer.
        return None if mean_s is None or mean_s <= elapsed_s else mean_s - elapsed_s


def _mean_s(connection: Connection, job: Job) -> float | None:
    query = select(run_times.c.mean_s).where(run_times.c.task == job.task, run_times.c.model == job.model)
    return connection.execute(query).scalar_one_or_none()


def _ahead(connection: Connection, job: Job) -> int:
    """Count who starts before `job`.

    Higher priorities, older jobs of its owner, and for each of these turns one job of every other owner.
    """
    same = (WAITING, jobs.c.model == job.model)
    higher = (
        select(jobs.c.id).where(*same, jobs.c.priority > job.priority).order_by(*IN_LINE).limit(MAX_POSITION)
    )
    own = (*same, jobs.c.priority == job.priority, jobs.c.owner == job.owner)
    older = select(jobs.c.id).where(*own, jobs.c.id < job.id).order_by(*IN_LINE).limit(MAX_POSITION)
    ahead = connection.execute(select(func.count()).select_from(higher.subquery())).scalar_one()
    turns = connection.execute(select(func.count()).select_from(older.subquery())).scalar_one()
    ahead += turns
    other = ""
    while ahead < MAX_POSITION:
        line = (*same, jobs.c.priority == job.priority)
        next_owner = select(func.min(jobs.c.owner)).where(*line, jobs.c.owner > other)
        found = connection.execute(next_owner).scalar_one()
        if found is None:
            break
        other = found
        if other != job.owner:
            taken = select(jobs.c.id).where(*line, jobs.c.owner == other).order_by(*IN_LINE).limit(turns + 1)
            ahead += connection.execute(select(func.count()).select_from(taken.subquery())).scalar_one()
    return min(ahead, MAX_POSITION)
