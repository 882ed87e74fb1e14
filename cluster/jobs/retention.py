"""What is forgotten after a while: ended jobs, and which uploads nobody needs any more."""

from collections.abc import Sequence

from sqlalchemy import delete, or_, select

from cluster.jobs.database import Database
from cluster.jobs.job import UNFINISHED, Clock, system_clock
from cluster.jobs.schema import FINISHED, deliveries, inputs, jobs

BATCH = 500
"""Rows of one transaction; between two of them others may write."""


class Retention:
    """Clears the tables. Every method blocks."""

    def __init__(self, database: Database, clock: Clock = system_clock) -> None:
        """Take the database and the time."""
        self._database = database
        self._clock = clock

    def forget_jobs(self, keep_s: float) -> int:
        """Delete the jobs that ended longer ago than `keep_s`, with their logs. Gives their number."""
        old = select(jobs.c.id).where(FINISHED, jobs.c.finished_at < self._clock() - keep_s).limit(BATCH)
        forgotten = 0
        while True:
            with self._database.write() as connection:
                ids = list(connection.execute(old).scalars())
                for table, column in (
                    (deliveries, deliveries.c.job_id),
                    (inputs, inputs.c.job_id),
                    (jobs, jobs.c.id),
                ):
                    connection.execute(delete(table).where(column.in_(ids)))
            forgotten += len(ids)
            if len(ids) < BATCH:
                return forgotten

    def needed(self, keys: Sequence[str], keep_s: float) -> set[str]:
        """Give those of the uploads whose job has not ended, or did so no longer ago than `keep_s`."""
        recent = or_(jobs.c.state.in_(UNFINISHED), jobs.c.finished_at >= self._clock() - keep_s)
        query = (
            select(inputs.c.key)
            .join(jobs, jobs.c.id == inputs.c.job_id)
            .where(inputs.c.key.in_(keys), recent)
        )
        with self._database.read() as connection:
            return set(connection.execute(query).scalars())
