"""The workers' side of the job store: claim, give signs of life, finish, and take back what was lost."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import BindParameter, ColumnElement, Connection, Row, bindparam, case, func, select, update
from sqlalchemy.exc import IntegrityError

from cluster.jobs.database import Database
from cluster.jobs.estimates import RunTimes
from cluster.jobs.job import (
    Attempt,
    Broken,
    ClaimedJob,
    Clock,
    Completed,
    Finished,
    JobState,
    Sign,
    system_clock,
)
from cluster.jobs.schema import DELAYED, IN_LINE, RUNNING, WAITING, jobs
from cluster.jobs.turns import Turns
from configs.schema import JobsConfig

LOST_CODE = "WorkerLost"
MAX_HISTORY = 20
"""Failed attempts that a job remembers."""


def owed_webhook(now: float | BindParameter[Any]) -> ColumnElement[Any]:
    """Give the value of `webhook_due` for a job that ends `now`."""
    return case((jobs.c.reply_to.is_not(None), now), else_=None)


class JobQueue:
    """Who runs jobs works with this. Every method blocks, and is one transaction.

    A claim gives a lease that ends unless its holder renews it, and a fence number. Whatever a
    holder says later counts only while the job still has that fence: nothing finishes twice.
    """

    def __init__(
        self, database: Database, *, max_attempts: int, lease_s: float, clock: Clock = system_clock
    ) -> None:
        """Take the database and the rules."""
        self._database = database
        self._max_attempts = max_attempts
        self._lease_s = lease_s
        self._clock = clock
        self._turns = Turns()

    @classmethod
    def of(cls, database: Database, config: JobsConfig) -> "JobQueue":
        """Make the queue that the configuration describes."""
        return cls(database, max_attempts=config.max_attempts, lease_s=config.lease_s)

    def claim(self, free: Mapping[str, int]) -> list[ClaimedJob]:
        """Take jobs for the free places of each model, in the order in which they should run."""
        if not any(free.values()):
            return []
        with self._database.read() as connection:
            chosen = [
                job_id
                for model, count in free.items()
                if count > 0
                for job_id in self._turns.next(connection, model, count)
            ]
        if not chosen:
            return []
        now = self._clock()
        with self._database.write() as connection:
            claimed = connection.execute(
                update(jobs)
                .where(WAITING, jobs.c.id.in_(chosen))
                .values(
                    state=JobState.STARTED.value,
                    attempts=jobs.c.attempts + 1,
                    fence=jobs.c.fence + 1,
                    lease_until=now + self._lease_s,
                    started_at=now,
                    progress=0.0,
                    step="",
                )
                .returning(*_CLAIMED)
            ).all()
        by_id = {row.id: ClaimedJob(*row) for row in claimed}
        return [by_id[job_id] for job_id in chosen if job_id in by_id]

    def renew(self, signs: Sequence[Sign]) -> set[int]:
        """Prolong the leases of running jobs and note their progress.

        Returns the ids of those that are still held; the others were cancelled or given to somebody else.
        """
        ids = [sign.id for sign in signs]
        # Locked, so that nobody claims one meanwhile; whoever locks many does so in the order of their ids.
        held_rows = (
            select(jobs.c.id, jobs.c.fence, jobs.c.progress, jobs.c.step)
            .where(RUNNING, jobs.c.id.in_(ids))
            .order_by(jobs.c.id)
            .with_for_update()
        )
        with self._database.write() as connection:
            rows = {row.id: row for row in connection.execute(held_rows)}
            held = [sign for sign in signs if sign.id in rows and rows[sign.id].fence == sign.fence]
            connection.execute(
                update(jobs)
                .where(RUNNING, jobs.c.id.in_([sign.id for sign in held]))
                .values(lease_until=self._clock() + self._lease_s)
            )
            for sign in held:
                row = rows[sign.id]
                if (row.progress, row.step) != (sign.progress, sign.step):
                    connection.execute(
                        update(jobs)
                        .where(_is(sign.id, sign.fence))
                        .values(progress=sign.progress, step=sign.step)
                    )
        return {sign.id for sign in held}

    def finish(self, finished: Sequence[Finished]) -> set[int]:
        """Write what became of runs.

        Returns the ids of those whose outcome was taken; the others' jobs had ended or been lost before.
        """
        try:
            return self._finish(finished)
        except IntegrityError:
            # Two were the first to measure a model; the row of its mean is there now.
            return self._finish(finished)

    def _finish(self, finished: Sequence[Finished]) -> set[int]:
        taken: set[int] = set()
        times = RunTimes()
        with self._database.write() as connection:
            for each in sorted(finished, key=lambda each: each.id):
                if self._finish_one(connection, each, times):
                    taken.add(each.id)
            times.write(connection)
        return taken

    def _finish_one(self, connection: Connection, finished: Finished, times: RunTimes) -> bool:
        outcome = finished.outcome
        if isinstance(outcome, Broken):
            return self._break(connection, finished.id, finished.fence, outcome)
        return self._complete(connection, finished, outcome, times)

    def _complete(
        self, connection: Connection, finished: Finished, outcome: Completed, times: RunTimes
    ) -> bool:
        values = {
            "of_id": finished.id,
            "of_fence": finished.fence,
            "now": self._clock(),
            "outcome": outcome.result,
            "seconds": outcome.duration_s,
        }
        row = connection.execute(_COMPLETE, values).one_or_none()
        if row is None:
            return False
        times.add(row.task, row.model, outcome.duration_s)
        return True

    def _break(self, connection: Connection, job_id: int, fence: int, broken: Broken) -> bool:
        """Put a job back into the queue, or end it if it has had its attempts or cannot be healed."""
        row = connection.execute(
            select(jobs.c.attempts, jobs.c.started_at, jobs.c.history)
            .where(_is(job_id, fence))
            .with_for_update()
        ).one_or_none()
        if row is None:
            return False
        now = self._clock()
        values = self._after(broken, row, now)
        connection.execute(update(jobs).where(_is(job_id, fence)).values(lease_until=None, **values))
        return True

    def _after(self, broken: Broken, row: Row[*tuple[Any, ...]], now: float) -> dict[str, Any]:
        attempt = Attempt(
            attempt=row.attempts,
            started_at=row.started_at,
            ended_at=now,
            error_code=broken.code,
            message=broken.message,
        )
        history = {"history": [*row.history, attempt.model_dump()][-MAX_HISTORY:]}
        heals = broken.retry_in_s is not None
        if broken.retry_in_s is not None and (row.attempts < self._max_attempts or not broken.counts):
            return {
                **history,
                "state": JobState.QUEUED.value,
                "attempts": row.attempts - (0 if broken.counts else 1),
                "run_after": now + broken.retry_in_s,
                "progress": 0.0,
                "step": "",
            }
        return {
            **history,
            "state": JobState.FAILED.value,
            "error_code": broken.code,
            "error_message": broken.message,
            "error_field": broken.field,
            "dead": heals,
            "finished_at": now,
            "webhook_due": owed_webhook(now),
        }

    def touch(self) -> None:
        """Write to a running job, if there is one, without a change.

        Raises:
            StoreUnavailable: nobody can write, so no holder can renew its lease either.
        """
        one = select(jobs.c.id).where(RUNNING).limit(1)
        with self._database.read() as connection:
            job_id = connection.execute(one).scalar_one_or_none()
        if job_id is not None:
            with self._database.write() as connection:
                same = {"lease_until": jobs.c.lease_until}
                connection.execute(update(jobs).where(RUNNING, jobs.c.id == job_id).values(same))

    def reap(self, retry_in_s: float) -> int:
        """Take back the jobs whose lease has ended: their holder is gone. Gives their number."""
        lost = select(jobs.c.id, jobs.c.fence).where(RUNNING, jobs.c.lease_until < self._clock())
        broken = Broken(LOST_CODE, "The process that ran this job disappeared.", retry_in_s)
        with self._database.read() as connection:
            if connection.execute(lost.limit(1)).first() is None:
                return 0
        with self._database.write() as connection:
            # Looked for again and locked: a holder may have renewed its lease just now.
            rows = connection.execute(lost.order_by(jobs.c.id).with_for_update()).all()
            return sum(self._break(connection, row.id, row.fence, broken) for row in rows)

    def wake_delayed(self) -> float | None:
        """Let those waiting for their next attempt into the queue whose time has come.

        Gives the time of the next one, None if there is none.
        """
        due = (DELAYED, jobs.c.run_after <= self._clock())
        with self._database.read() as connection:
            has_due = connection.execute(select(jobs.c.id).where(*due).limit(1)).first()
        if has_due:
            with self._database.write() as connection:
                connection.execute(update(jobs).where(*due).values(run_after=None))
        with self._database.read() as connection:
            query = select(func.min(jobs.c.run_after)).where(DELAYED)
            following: float | None = connection.execute(query).scalar_one()
            return following

    def running(self) -> dict[int, str]:
        """Give the model of every job that somebody runs, by the job's id."""
        with self._database.read() as connection:
            rows = connection.execute(select(jobs.c.id, jobs.c.model).where(RUNNING))
            return {row.id: row.model for row in rows}

    def waiting(self, limits: Mapping[str, int]) -> dict[str, int]:
        """Count the waiting jobs of each model, as far as its limit."""
        counts: dict[str, int] = {}
        with self._database.read() as connection:
            for model, limit in limits.items():
                line = select(jobs.c.id).where(WAITING, jobs.c.model == model).order_by(*IN_LINE).limit(limit)
                counts[model] = connection.execute(
                    select(func.count()).select_from(line.subquery())
                ).scalar_one()
        return counts

    def waiting_models(self) -> list[str]:
        """Give the models that have waiting jobs, by a look-up for each."""
        with self._database.read() as connection:
            return list(_waiting_models(connection))

    def refuse(self, model: str) -> int:
        """Make dead letters of the jobs that wait for a model that is not configured. Gives their number."""
        now = self._clock()
        with self._database.write() as connection:
            return connection.execute(
                update(jobs)
                .where(WAITING, jobs.c.model == model)
                .values(
                    state=JobState.FAILED.value,
                    error_code="NotFound",
                    error_message=f"The model {model} is not configured any more.",
                    dead=True,
                    finished_at=now,
                    webhook_due=owed_webhook(now),
                )
            ).rowcount


# Made once, because putting a statement together takes longer than executing it.
_COMPLETE = (
    update(jobs)
    .where(jobs.c.id == bindparam("of_id"), jobs.c.fence == bindparam("of_fence"), RUNNING)
    .values(
        state=JobState.COMPLETED.value,
        result=bindparam("outcome"),
        duration_s=bindparam("seconds"),
        finished_at=bindparam("now"),
        lease_until=None,
        progress=1.0,
        webhook_due=owed_webhook(bindparam("now")),
    )
    .returning(jobs.c.task, jobs.c.model)
)

_CLAIMED = (
    jobs.c.id,
    jobs.c.fence,
    jobs.c.attempts,
    jobs.c.owner,
    jobs.c.task,
    jobs.c.model,
    jobs.c.priority,
    jobs.c.request,
)
"""In the order of `ClaimedJob`."""


def _is(job_id: int, fence: int) -> ColumnElement[bool]:
    return (jobs.c.id == job_id) & (jobs.c.fence == fence) & (jobs.c.state == JobState.STARTED.value)


def _waiting_models(connection: Connection) -> Iterable[str]:
    """Step through the index from one model to the next, past all the rows between."""
    model = ""
    while True:
        query = select(func.min(jobs.c.model)).where(WAITING, jobs.c.model > model)
        found = connection.execute(query).scalar_one()
        if found is None:
            return
        yield found
        model = found
