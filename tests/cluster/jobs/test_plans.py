"""What is asked again and again is answered from an index, however many jobs there are."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Connection, event, insert, text

from cluster.jobs.database import Database
from cluster.jobs.deliveries import Deliveries
from cluster.jobs.estimates import Estimates
from cluster.jobs.job import JobFilter, JobState
from cluster.jobs.retention import Retention
from cluster.jobs.rows import values_of
from cluster.jobs.schema import jobs
from tests.cluster.jobs.builders import MODEL, Bench, new_job

ROWS = 10_000


def fill(bench: Bench) -> None:
    """Put waiting, delayed, running and ended jobs of twenty owners into the table."""
    now = bench.clock.now
    states: list[dict[str, Any]] = [
        {"state": JobState.QUEUED.value},
        {"state": JobState.QUEUED.value, "run_after": now + 60},
        {"state": JobState.STARTED.value, "lease_until": now + 60},
        {"state": JobState.COMPLETED.value, "finished_at": now, "webhook_due": now + 60},
    ]
    blank = {"run_after": None, "lease_until": None, "finished_at": None, "webhook_due": None}
    rows = []
    for number in range(ROWS):
        job = new_job(owner=f"owner-{number % 20:02}", priority=number % 3, tag=f"tag-{number % 10}")
        state = states[number % 5] if number % 5 < 3 else states[3]  # most have ended
        rows.append({**values_of(job, now), **blank, **state})
    with bench.database.write() as connection:
        connection.execute(insert(jobs), rows)
        if connection.dialect.name == "postgresql":
            connection.execute(text("ANALYZE jobs"))


@contextmanager
def recorded(database: Database) -> Iterator[list[tuple[str, Any]]]:
    statements: list[tuple[str, Any]] = []

    def record(_c: Connection, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        statements.append((statement, parameters))

    event.listen(database.engine, "before_cursor_execute", record)
    yield statements
    event.remove(database.engine, "before_cursor_execute", record)


def plans(bench: Bench, ask: Callable[[], object]) -> list[str]:
    """Give the plan of each of the queries that `ask` sends."""
    with recorded(bench.database) as statements:
        ask()
    queries = [
        (query, values) for query, values in statements if query.startswith("SELECT") and "jobs" in query
    ]
    assert queries
    explain = "EXPLAIN QUERY PLAN" if bench.database.engine.dialect.name == "sqlite" else "EXPLAIN"
    with bench.database.read() as connection:
        return [
            "\n".join(str(row[-1]) for row in connection.exec_driver_sql(f"{explain} {query}", values).all())
            for query, values in queries
        ]


QUESTIONS: dict[str, tuple[str, Callable[[Bench], object]]] = {
    "claim": ("jobs_waiting", lambda bench: bench.claim(7)),
    "waiting": ("jobs_waiting", lambda bench: bench.queue.waiting({MODEL: 20})),
    "waiting_models": ("jobs_waiting", lambda bench: bench.queue.waiting_models()),
    "wake_delayed": ("jobs_delayed", lambda bench: bench.queue.wake_delayed()),
    "reap": ("jobs_running", lambda bench: bench.reap()),
    "running": ("jobs_running", lambda bench: bench.queue.running()),
    "webhooks": ("jobs_webhook", lambda bench: Deliveries(bench.database, bench.clock).take(5)),
    "forget": ("jobs_finished", lambda bench: Retention(bench.database, bench.clock).forget_jobs(60)),
    "listing": ("jobs_by_owner", lambda bench: bench.store.some(JobFilter(owner="rare"), 20)),
    "of a tag": (
        "jobs_by_tag",
        lambda bench: bench.store.some(JobFilter(owner="owner-07", tag="rare"), 20),
    ),
}


@pytest.fixture
def full(bench: Bench) -> Bench:
    fill(bench)
    return bench


def test_every_question_is_answered_from_its_index(full: Bench) -> None:
    last = full.get(full.submit(owner="owner-07"))
    questions = {
        **QUESTIONS,
        "position": ("jobs_waiting", lambda bench: Estimates(bench.database, bench.clock).of(last)),
    }
    for name, (index, ask) in questions.items():
        for plan in plans(full, lambda ask=ask: ask(full)):  # type: ignore[misc]
            assert index in plan, f"{name}:\n{plan}"


def test_a_question_costs_no_more_queries_when_more_jobs_wait(full: Bench) -> None:
    with recorded(full.database) as statements:
        assert len(full.claim(3)) == 3
    assert len(statements) <= 10
