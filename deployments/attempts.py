"""What becomes of an attempt that has ended: it is counted for the metrics, and noted for who pays."""

import asyncio
import logging

from cluster.jobs.errors import StoreUnavailable
from cluster.metrics import ProviderMetrics
from cluster.usage import UsageLedger
from cluster.usage_records import Totals, UsageEntry
from deployments.failover import Attempt

logger = logging.getLogger("ai_server.usage")

EXPORT_S = 1.0
STOP_S = 3.0
"""How long the end of a process may wait for the database."""


class AttemptBook:
    """Notes attempts in memory, which costs next to nothing, and passes the sums on in the background."""

    def __init__(self, ledger: UsageLedger, metrics: ProviderMetrics) -> None:
        """Take who keeps the sums; `start` begins to pass them on."""
        self._ledger = ledger
        self._metrics = metrics
        self._loops: list[asyncio.Task[None]] = []

    def note(self, attempt: Attempt) -> None:
        """Note an attempt."""
        self._metrics.add(
            task=attempt.task,
            model=attempt.model,
            provider=attempt.provider,
            outcome=attempt.outcome,
            seconds=attempt.seconds,
            tokens=(attempt.usage.prompt_tokens, attempt.usage.completion_tokens),
            cost=attempt.cost,
        )
        totals = Totals(
            requests=1,
            failures=int(attempt.outcome != "ok"),
            **attempt.usage.model_dump(),
            seconds=attempt.seconds,
            cost=attempt.cost,
        )
        self._ledger.add(UsageEntry(attempt.owner, attempt.task, attempt.model, attempt.provider, totals))

    def start(self) -> None:
        """Pass the sums on from now on; more than one call does nothing. Needs a running event loop."""
        if not self._loops:
            self._loops = [
                asyncio.create_task(self._ledger.keep()),
                asyncio.create_task(self._keep_exporting()),
            ]

    async def stop(self) -> None:
        """Pass on what is left; a database that does not answer in time holds up nobody."""
        for loop in self._loops:
            loop.cancel()
        self._export()
        try:
            async with asyncio.timeout(STOP_S):
                await self._ledger.flush()
        except (TimeoutError, StoreUnavailable) as error:
            logger.warning("the usage of the last seconds is lost: %r", error)

    async def _keep_exporting(self) -> None:
        while True:
            await asyncio.sleep(EXPORT_S)
            self._export()

    def _export(self) -> None:
        try:
            self._metrics.export()
        except Exception:
            logger.exception("the metrics of providers could not be exported")
