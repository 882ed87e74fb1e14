"""The way from the ingress to the JobServer."""

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import Any

from ray.serve.handle import DeploymentHandle

from deployments.backends import RAY_ERRORS, within
from deployments.runs import QueueState

logger = logging.getLogger("ai_server.jobs")

ANSWER_LIMIT_S = 1.5
PLACES_S = 1.0
"""Every watcher of a job asks for the places; the answer changes slowly."""


class HandleSignals:
    """Speaks to the JobServer by its handle. Nothing is lost if it does not hear: it looks by itself too."""

    def __init__(self, handle: DeploymentHandle[Any]) -> None:
        """Take the deployment's handle."""
        self._handle = handle
        self._waking: asyncio.Task[None] | None = None
        self._again = False
        self._places: Mapping[str, int] = {}
        self._asked_at = -PLACES_S

    def wake(self) -> None:
        """Tell it that there is a new job; one message stands for all that come until it has arrived."""
        self._again = True
        if self._waking is None or self._waking.done():
            self._waking = asyncio.create_task(self._wake())

    async def _wake(self) -> None:
        while self._again:
            self._again = False
            try:
                await self._handle.wake.remote()
            except RAY_ERRORS as error:
                logger.debug("the JobServer could not be woken: %r", error)

    async def stop(self, job_id: int) -> None:
        """Have it stop a run; if it does not answer, the run's keeper stops it a little later."""
        await within(ANSWER_LIMIT_S, self._handle.stop.remote(job_id), default=None)

    async def places(self) -> Mapping[str, int]:
        """Ask how many jobs of each model may run at once; nothing where it does not answer."""
        if time.monotonic() - self._asked_at > PLACES_S:
            self._asked_at = time.monotonic()
            self._places = await within(ANSWER_LIMIT_S, self._handle.places.remote(), default=self._places)
        return self._places

    async def state(self) -> QueueState:
        """Ask how the queue is."""
        away = QueueState(is_open=False, running=0, paused_because="the JobServer does not answer")
        state: QueueState = await within(ANSWER_LIMIT_S, self._handle.state.remote(), default=away)
        return state
