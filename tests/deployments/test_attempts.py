"""What becomes of attempts when the process stops."""

from typing import Any

import pytest

from cluster.usage import UsageLedger
from deployments import attempts
from deployments.attempts import AttemptBook
from deployments.failover import Attempt
from pipelines.tasks.base import Usage
from tests.deployments.queue import LocalQueue
from tests.deployments.test_usage import TODAY

ATTEMPT = Attempt("3", "chat", "gpt", "openai", "ok", 0.5, Usage(prompt_tokens=10), 0.25)


class CountedMetrics:
    """Counts what is exported."""

    def __init__(self) -> None:
        self.added = self.exported = 0

    def add(self, **_: Any) -> None:
        self.added += 1

    def export(self) -> None:
        self.exported = self.added


async def test_a_process_that_stops_writes_what_it_noted_last(queue: LocalQueue) -> None:
    metrics: Any = CountedMetrics()
    book = AttemptBook(UsageLedger(queue.database), metrics)
    book.start()
    book.note(ATTEMPT)
    await book.stop()
    assert metrics.exported == 1
    (row,) = await UsageLedger(queue.database).rows(TODAY, TODAY)
    assert (row.totals.requests, row.totals.prompt_tokens, row.totals.cost) == (1, 10, 0.25)


async def test_a_database_that_is_away_does_not_hold_up_the_end(
    queue: LocalQueue, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(attempts, "STOP_S", 0.01)
    book = AttemptBook(UsageLedger(queue.database), CountedMetrics())  # type: ignore[arg-type]
    book.note(ATTEMPT)
    with queue.database.write():  # nobody else can write now
        await book.stop()
    assert "lost" in caplog.text
