"""The clients' side of the job store: submit, look up, cancel, requeue."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, bindparam, false, insert, select, update
from sqlalchemy.exc import IntegrityError

from cluster.jobs.database import Database
from cluster.jobs.errors import JobConflict, JobNotFound
from cluster.jobs.job import UNFINISHED, Clock, Job, JobFilter, JobState, NewJob, Submitted, system_clock
from cluster.jobs.queue import owed_webhook
from cluster.jobs.rows import job_of, values_of
from cluster.jobs.schema import inputs, jobs

MAX_ID = 2**63 - 1
"""Of a row, in both databases."""


class JobStore:
    """What clients may ask of the store. Every method blocks, and is one transaction."""

    def __init__(self, database: Database, clock: Clock = system_clock) -> None:
        """Take the database and the time."""
        self._database = database
        self._clock = clock

    def submit(self, new: Sequence[NewJob]) -> list[Submitted]:
        """Accept jobs, all or none; when this returns they are on the disk.

        A job whose `ref_id` or `idempotency_key` its owner used before is not added: where both ask
        for the same, the first one is the answer.

        Raises:
            JobConflict: they ask for different things.
            StoreUnavailable: nothing was accepted.
        """
        for _ in new:
            with suppress(IntegrityError):
                # If somebody submits one of the ids at the same moment, it can be found the next time.
                return self._submit(new)
        return self._submit(new)

    def _submit(self, new: Sequence[NewJob]) -> list[Submitted]:
        with self._database.write() as connection:
            return [self._insert_once(connection, job) for job in new]

    def _insert_once(self, connection: Connection, job: NewJob) -> Submitted:
        if (known := _known(connection, job)) is not None:
            _check_same(known, job)
            return Submitted(known.id, known.ref_id, JobState(known.state), is_new=False)
        return _insert(connection, job, values_of(job, self._clock()))

    def adopt(self, job: NewJob, started_at: float, lease_s: float) -> Submitted:
        """Take in a run that is under way already; its fence is 1.

        Raises:
            JobConflict: the `ref_id` belongs to another job.
        """
        now = self._clock()
        running = {
            **values_of(job, started_at),
            "state": JobState.STARTED.value,
            "attempts": 1,
            "fence": 1,
            "started_at": started_at,
            "lease_until": now + lease_s,
        }
        conflict = JobConflict(f"refId {job.ref_id} belongs to another job.", "refId")
        try:
            with self._database.write() as connection:
                if _known(connection, job) is not None:
                    raise conflict
                return _insert(connection, job, running)
        except IntegrityError as error:
            # Somebody used the id at the same moment.
            raise conflict from error

    def get(self, job_id: int, owner: str | None = None) -> Job:
        """Give a job of `owner`, or of anybody for None.

        Raises:
            JobNotFound: there is none.
        """
        return self._one(_has_id(job_id), owner)

    def find(self, ref_id: str, owner: str) -> Job:
        """Give a job by its owner's own id.

        Raises:
            JobNotFound: there is none.
        """
        return self._one(jobs.c.ref_id == ref_id, owner)

    def _one(self, condition: ColumnElement[bool], owner: str | None) -> Job:
        if owner is not None:
            condition = and_(condition, jobs.c.owner == owner)
        with self._database.read() as connection:
            row = connection.execute(select(jobs).where(condition)).one_or_none()
        if row is None:
            raise JobNotFound("Job not found")
        return job_of(row)

    def some(self, wanted: JobFilter, limit: int) -> list[Job]:
        """Give the newest jobs that the filter lets through."""
        query = select(jobs).where(*_conditions(wanted)).order_by(jobs.c.id.desc()).limit(limit)
        with self._database.read() as connection:
            return [job_of(row) for row in connection.execute(query)]

    def changed(self, known: dict[int, tuple[Any, ...]]) -> list[Job]:
        """Give those of the jobs whose `version_of` is no longer the known one."""
        marks = select(jobs.c.id, *_VERSION).where(jobs.c.id.in_(known))
        with self._database.read() as connection:
            stale = [row[0] for row in connection.execute(marks) if tuple(row[1:]) != known[row[0]]]
            if not stale:
                return []
            return [job_of(row) for row in connection.execute(select(jobs).where(jobs.c.id.in_(stale)))]

    def cancel(self, job_id: int, owner: str | None = None) -> bool:
        """End a job at once; its result, should one still come, is not taken any more.

        Returns whether it had begun to run, so that somebody must stop the run.

        Raises:
            JobNotFound: there is none.
            JobConflict: it has ended already.
        """
        with self._database.write() as connection:
            before = _locked(connection, job_id, owner)
            if before.state not in UNFINISHED:
                raise JobConflict(f"Job {job_id} is {before.state} and cannot be cancelled.", "jobId")
            now = self._clock()
            connection.execute(
                update(jobs)
                .where(jobs.c.id == job_id)
                .values(
                    state=JobState.CANCELLED.value,
                    finished_at=now,
                    lease_until=None,
                    run_after=None,
                    webhook_due=owed_webhook(now),
                )
            )
            return bool(before.state == JobState.STARTED)

    def requeue(self, job_id: int, owner: str | None = None) -> None:
        """Give a failed or cancelled job its attempts back.

        Raises:
            JobNotFound: there is none.
            JobConflict: it has not ended, or has a result.
        """
        with self._database.write() as connection:
            before = _locked(connection, job_id, owner)
            if before.state not in (JobState.FAILED, JobState.CANCELLED):
                raise JobConflict(
                    f"Job {job_id} is {before.state}; only Failed and Cancelled jobs can be requeued.",
                    "jobId",
                )
            connection.execute(
                update(jobs)
                .where(jobs.c.id == job_id)
                .values(
                    state=JobState.QUEUED.value,
                    attempts=0,
                    fence=jobs.c.fence + 1,  # so that its next webhook is another message than its last
                    run_after=None,
                    started_at=None,
                    finished_at=None,
                    progress=0.0,
                    step="",
                    error_code=None,
                    error_message=None,
                    error_field=None,
                    dead=False,
                    webhook_due=None,
                    webhook_attempts=0,
                )
            )


_VERSION = (jobs.c.state, jobs.c.fence, jobs.c.progress, jobs.c.step, jobs.c.run_after)


def version_of(job: Job) -> tuple[Any, ...]:
    """Give what changes whenever a watcher should hear of it."""
    return (job.state.value, job.fence, job.progress, job.step, job.run_after)


# Made once, because putting a statement together takes longer than executing it.
_INSERT = insert(jobs).returning(jobs.c.id)
_OWN = select(jobs.c.id, jobs.c.ref_id, jobs.c.state, jobs.c.fingerprint).where(
    jobs.c.owner == bindparam("of_owner")
)
_BY_REF_ID = _OWN.where(jobs.c.ref_id == bindparam("wanted"))
_BY_IDEMPOTENCY_KEY = _OWN.where(jobs.c.idempotency_key == bindparam("wanted"))


def _insert(connection: Connection, job: NewJob, values: dict[str, Any]) -> Submitted:
    job_id: int = connection.execute(_INSERT, values).scalar_one()
    if job.inputs:
        connection.execute(insert(inputs), [{"key": each.key, "job_id": job_id} for each in job.inputs])
    return Submitted(job_id, job.ref_id, JobState(values["state"]), is_new=True)


def _known(connection: Connection, job: NewJob) -> Row[*tuple[Any, ...]] | None:
    by_ref_id = {"of_owner": job.owner, "wanted": job.ref_id}
    found = connection.execute(_BY_REF_ID, by_ref_id).first()
    if found is None and job.idempotency_key is not None:
        by_key = {"of_owner": job.owner, "wanted": job.idempotency_key}
        found = connection.execute(_BY_IDEMPOTENCY_KEY, by_key).first()
    return found


def _check_same(known: Row[*tuple[Any, ...]], job: NewJob) -> None:
    if known.fingerprint == job.fingerprint:
        return
    if known.ref_id == job.ref_id:
        raise JobConflict(
            f"refId {job.ref_id} belongs to job {known.id}, which asks for something else. Use another one.",
            "refId",
        )
    raise JobConflict(
        f"The Idempotency-Key belongs to job {known.id}, which asks for something else. Use another one.",
        "Idempotency-Key",
    )


def _has_id(job_id: int) -> ColumnElement[bool]:
    # A client may ask for any number; a larger one would be an error of the driver's.
    return jobs.c.id == job_id if abs(job_id) <= MAX_ID else false()


def _locked(connection: Connection, job_id: int, owner: str | None) -> Row[*tuple[Any, ...]]:
    query = select(jobs.c.state).where(_has_id(job_id))
    if owner is not None:
        query = query.where(jobs.c.owner == owner)
    row = connection.execute(query.with_for_update()).one_or_none()  # SQLite has locked everything already
    if row is None:
        raise JobNotFound("Job not found")
    return row


def _conditions(wanted: JobFilter) -> list[ColumnElement[bool]]:
    equal = {
        jobs.c.owner: wanted.owner,
        jobs.c.state: wanted.state,
        jobs.c.task: wanted.task,
        jobs.c.tag: wanted.tag,
        jobs.c.dead: wanted.dead,
    }
    conditions = [column == value for column, value in equal.items() if value is not None]
    if wanted.created_from is not None:
        conditions.append(jobs.c.created_at >= wanted.created_from)
    if wanted.created_to is not None:
        conditions.append(jobs.c.created_at < wanted.created_to)
    if wanted.before_id is not None:
        conditions.append(jobs.c.id < min(wanted.before_id, MAX_ID))
    return conditions
