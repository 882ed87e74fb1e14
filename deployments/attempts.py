"""What becomes of an attempt that has ended: it is counted for the metrics, and noted for who pays."""

import asyncio
import logging

from cluster.metrics import ProviderMetrics
from cluster.usage import UsageLedger
from cluster.usage_records import UsageEntry
from deployments.failover import Attempt

logger = logging.getLogger("ai_server.usage")

EXPORT_S = 1.0


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
        self._ledger.add(
            UsageEntry(
                owner=attempt.owner,
                task=attempt.task,
                model=attempt.model,
                provider=attempt.provider,
                failed=attempt.outcome != "ok",
                prompt_tokens=attempt.usage.prompt_tokens,
                completion_tokens=attempt.usage.completion_tokens,
                images=attempt.usage.images,
                audio_s=attempt.usage.audio_s,
                seconds=attempt.seconds,
                cost=attempt.cost,
            )
        )

    def start(self) -> None:
        """Pass the sums on from now on; more than one call does nothing. Needs a running event loop."""
        if not self._loops:
            self._loops = [
                asyncio.create_task(self._ledger.keep()),
                asyncio.create_task(self._export()),
            ]

    async def _export(self) -> None:
        while True:
            await asyncio.sleep(EXPORT_S)
            try:
                self._metrics.export()
            except Exception:
                logger.exception("the metrics of providers could not be exported")
