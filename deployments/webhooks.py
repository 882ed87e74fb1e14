"""Delivers the webhooks of ended jobs, again and again until they are taken or hours have gone."""

import asyncio
import json
import logging
import random
import time
from collections import Counter

from cluster.jobs.database import Database
from cluster.jobs.deliveries import Deliveries, Delivery, message_id_of
from cluster.jobs.errors import StoreUnavailable
from cluster.jobs.job import Job
from cluster.key_store import KeyStore
from cluster.webhook_sender import Delivered, WebhookSender, next_delay_s
from deployments.routers.aiserver.job_outputs import webhook_body

logger = logging.getLogger("ai_server.jobs")

LOOK_S = 0.5
AT_ONCE_FOR_ONE = 4
"""So that one key's dead receiver does not delay the others' webhooks."""
AT_ONCE = 32
"""Deliveries under way; a receiver that is slow holds one of them for as long as its limit."""


class Webhooks:
    """The loop between the log of deliveries and the sender."""

    def __init__(
        self, database: Database, deliveries: Deliveries, keys: KeyStore, sender: WebhookSender
    ) -> None:
        """Take the log, who knows the secrets, and the sender."""
        self._database = database
        self._deliveries = deliveries
        self._keys = keys
        self._sender = sender
        self._under_way: dict[asyncio.Task[None], str] = {}
        """Deliveries, and whose they are."""

    async def run(self) -> None:
        """Deliver for ever; what is under way when this is cancelled is taken up again later."""
        while True:
            free = min(AT_ONCE_FOR_ONE, AT_ONCE - len(self._under_way))
            due = await self._database.run(self._deliveries.take, free, self._busy_owners()) if free else []
            for job in due:
                task = asyncio.create_task(self._deliver(job))
                self._under_way[task] = job.owner
                task.add_done_callback(self._under_way.pop)
            if len(due) < AT_ONCE_FOR_ONE:
                await asyncio.sleep(LOOK_S)

    def _busy_owners(self) -> set[str]:
        """Give those whose receivers hold as many deliveries as one API key may have under way."""
        counts = Counter(self._under_way.values())
        return {owner for owner, count in counts.items() if count >= AT_ONCE_FOR_ONE}

    async def _deliver(self, job: Job) -> None:
        sent_at = time.time()
        try:
            delivered = await self._send(job)
            await self._note(job, delivered, sent_at)
        except StoreUnavailable as error:
            # Nothing is lost: the webhook stays due, and is taken again in a while.
            logger.warning("The webhook of job %d waits for the job store: %s", job.id, error)
        except Exception:
            logger.exception("The webhook of job %d could not be made", job.id)
            failed = Delivered(None, "The message could not be made; the server's log has the reason.")
            await self._note(job, failed, sent_at)

    async def _send(self, job: Job) -> Delivered:
        secret = await self._database.run(self._keys.webhook_secret, job.owner)
        assert job.reply_to is not None, "only jobs with a replyTo owe a webhook"
        if secret is None:
            return Delivered(None, "The API key is not there any more.", is_forbidden=True)
        body = json.dumps(webhook_body(job), ensure_ascii=False).encode()
        return await self._sender.send(job.reply_to, message_id_of(job), body, secret)

    async def _note(self, job: Job, delivered: Delivered, sent_at: float) -> None:
        delivery = Delivery(
            message_id=message_id_of(job),
            url=job.reply_to or "",
            attempt=job.webhook_attempts,
            sent_at=sent_at,
            duration_s=delivered.duration_s,
            status=delivered.status,
            error=delivered.error,
        )
        again_in_s = _again_in_s(delivered, job.webhook_attempts)
        await self._database.run(self._deliveries.note, job, delivery, again_in_s)


def _again_in_s(delivered: Delivered, attempts: int) -> float | None:
    if delivered.ok or delivered.is_final:
        return None
    planned_s = next_delay_s(attempts, random.random)
    return None if planned_s is None else max(planned_s, delivered.retry_after_s or 0.0)
