"""Delivers the webhooks of ended jobs, again and again until they are taken or hours have gone."""

import asyncio
import json
import logging
import random
import time

from cluster.jobs.database import Database
from cluster.jobs.deliveries import Deliveries, Delivery, message_id_of
from cluster.jobs.job import Job
from cluster.key_store import KeyStore
from cluster.webhook_sender import Delivered, WebhookSender, next_delay_s
from deployments.routers.aiserver.job_outputs import webhook_body

logger = logging.getLogger("ai_server.jobs")

LOOK_S = 0.5
AT_ONCE = 16
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
        self._under_way: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Deliver for ever; what is under way when this is cancelled is taken up again later."""
        while True:
            if free := AT_ONCE - len(self._under_way):
                for job in await self._database.run(self._deliveries.take, free):
                    task = asyncio.create_task(self._deliver(job))
                    self._under_way.add(task)
                    task.add_done_callback(self._under_way.discard)
            await asyncio.sleep(LOOK_S)

    async def _deliver(self, job: Job) -> None:
        try:
            await self._deliver_once(job)
        except Exception:
            # Nothing is lost: the job stays due, and is taken again in a while.
            logger.exception("The webhook of job %d could not be sent", job.id)

    async def _deliver_once(self, job: Job) -> None:
        url = job.reply_to
        secret = await self._database.run(self._keys.webhook_secret, job.owner)
        if url is None or secret is None:
            return
        sent_at, message_id = time.time(), message_id_of(job)
        body = json.dumps(webhook_body(job), ensure_ascii=False).encode()
        delivered = await self._sender.send(url, message_id, body, secret)
        delivery = Delivery(
            message_id=message_id,
            url=url,
            attempt=job.webhook_attempts,
            sent_at=sent_at,
            duration_s=delivered.duration_s,
            status=delivered.status,
            error=delivered.error,
        )
        await self._database.run(
            self._deliveries.note, job, delivery, _again_in_s(delivered, job.webhook_attempts)
        )


def _again_in_s(delivered: Delivered, attempts: int) -> float | None:
    if delivered.ok or delivered.is_final:
        return None
    planned_s = next_delay_s(attempts, random.random)
    return None if planned_s is None else max(planned_s, delivered.retry_after_s or 0.0)
