"""Which webhooks are owed, and what became of every attempt to deliver one."""

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import insert, select, update

from cluster.jobs.database import Database
from cluster.jobs.errors import JobConflict
from cluster.jobs.job import Clock, Job, system_clock
from cluster.jobs.rows import job_of
from cluster.jobs.schema import WEBHOOK_OWED, deliveries, jobs

TAKEN_S = 60.0
"""Whoever takes a webhook has so long to deliver it before somebody else may; well above a sender's limit."""


@dataclass(frozen=True)
class Delivery:
    """One attempt. Times are seconds since the epoch."""

    message_id: str
    url: str
    attempt: int
    sent_at: float
    duration_s: float
    status: int | None
    """HTTP status of the answer; None if there was none."""
    error: str
    """Empty if the receiver took it."""


def message_id_of(job: Job) -> str:
    """Name the message about this end of the job; every attempt to deliver it has the same name."""
    return f"msg_{job.id}_{job.fence}"


class Deliveries:
    """The log of webhooks. Every method blocks, and is one transaction."""

    def __init__(self, database: Database, clock: Clock = system_clock) -> None:
        """Take the database and the time."""
        self._database = database
        self._clock = clock

    def take(self, limit: int, except_of: Collection[str] = ()) -> list[Job]:
        """Give ended jobs whose webhook is due, and keep others from delivering them for a while.

        Args:
            limit: so many at most, those that are due longest.
            except_of: owners whose jobs have to wait.
        """
        now = self._clock()
        due = (
            select(jobs.c.id)
            .where(WEBHOOK_OWED, jobs.c.webhook_due <= now, jobs.c.owner.not_in(except_of))
            .order_by(jobs.c.webhook_due)
            .limit(limit)
        )
        with self._database.read() as connection:
            ids = list(connection.execute(due).scalars())
        if not ids:
            return []
        with self._database.write() as connection:
            rows = connection.execute(
                update(jobs)
                .where(jobs.c.id.in_(ids), WEBHOOK_OWED, jobs.c.webhook_due <= now)
                .values(webhook_due=now + TAKEN_S, webhook_attempts=jobs.c.webhook_attempts + 1)
                .returning(jobs)
            ).all()
        return [job_of(row) for row in rows]

    def note(self, job: Job, delivery: Delivery, retry_in_s: float | None) -> None:
        """Log an attempt; None ends the delivery, be it well or for good."""
        due = None if retry_in_s is None else self._clock() + retry_in_s
        with self._database.write() as connection:
            connection.execute(insert(deliveries).values(job_id=job.id, **vars(delivery)))
            # If it was requeued, replayed or taken by others meanwhile, its next webhook is another matter.
            same = (jobs.c.id == job.id) & (jobs.c.fence == job.fence)
            mine = jobs.c.webhook_due == job.webhook_due
            connection.execute(update(jobs).where(same, mine).values(webhook_due=due))

    def of(self, job_id: int) -> list[Delivery]:
        """Give every attempt for a job, the oldest first."""
        columns = (column for column in deliveries.c if column.name not in ("id", "job_id"))
        query = select(*columns).where(deliveries.c.job_id == job_id).order_by(deliveries.c.id)
        with self._database.read() as connection:
            return [Delivery(**row._mapping) for row in connection.execute(query)]

    def replay(self, job: Job) -> None:
        """Deliver the webhook of an ended job once more, with all its attempts.

        Raises:
            JobConflict: the job has not ended, or has no `replyTo`.
        """
        if job.reply_to is None:
            raise JobConflict(f"Job {job.id} has no replyTo, so it has no webhook.", "replyTo")
        if not job.state.is_final:
            raise JobConflict(f"Job {job.id} is {job.state}; its webhook is sent when it has ended.", "jobId")
        with self._database.write() as connection:
            connection.execute(
                update(jobs)
                .where(jobs.c.id == job.id, jobs.c.fence == job.fence)  # not requeued meanwhile
                .values(webhook_due=self._clock(), webhook_attempts=0)
            )
