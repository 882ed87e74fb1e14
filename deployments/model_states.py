"""The state of every configured model, asked of Serve and of the replicas themselves."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ray import serve
from ray.serve.handle import DeploymentHandle
from ray.serve.schema import DeploymentStatusOverview

from deployments.backends import within
from deployments.external_states import candidate_statuses, external_status
from deployments.gateway import Route
from deployments.runs import Activity, ModelState, ModelStatus

ANSWER_LIMIT_S = 1.5
"""A replica that lives answers in milliseconds; load balancers themselves often wait no longer than 2 s."""


# Keyed by the values of Serve's DeploymentStatus, whose class is private.
_WITHOUT_REPLICAS: dict[str, ModelState] = {
    "HEALTHY": ModelState.SLEEPING,
    "DOWNSCALING": ModelState.SLEEPING,
    # Its process dies while it loads; of anything milder the replica itself can tell.
    "DEPLOY_FAILED": ModelState.UNAVAILABLE,
}


class ModelStates:
    """Answers /ready. Never wakes a sleeping model: only running replicas are asked."""

    def __init__(
        self, application: str, handles: Mapping[str, DeploymentHandle[Any]], stall_s: float
    ) -> None:
        """Take the application's name, the handle of each deployment by its name, and when a run is stuck."""
        self._application = application
        self._stall_s = stall_s
        self._handles = handles

    async def of(self, routes: tuple[Route, ...]) -> tuple[ModelStatus, ...]:
        """Describe the deployments behind the routes."""
        status = await asyncio.to_thread(serve.status)
        deployments = status.applications[self._application].deployments
        return tuple(
            await asyncio.gather(*(self._describe(route, deployments.get(route.id)) for route in routes))
        )

    async def _describe(self, route: Route, overview: DeploymentStatusOverview | None) -> ModelStatus:
        if route.id not in self._handles:
            return external_status(route)
        status = await self._native(route, overview)
        return replace(status, candidates=candidate_statuses(route))

    async def _native(self, route: Route, overview: DeploymentStatusOverview | None) -> ModelStatus:
        replicas = running_replicas(overview)
        if replicas:
            return await self._ask(route, replicas)
        status = overview.status if overview else "UPDATING"
        state = _WITHOUT_REPLICAS.get(status, ModelState.LOADING)
        return ModelStatus(route.id, state, route.tasks, overview.message if overview else "")

    async def _ask(self, route: Route, replicas: int) -> ModelStatus:
        handle = self._handles[route.id]
        answers = asyncio.gather(handle.fault.remote(), handle.activity.remote())
        fault, activity = await within(ANSWER_LIMIT_S, answers, default=(None, None))
        state, detail = self._judge(fault, activity)
        running, waiting = (activity.running, activity.waiting) if activity else (0, 0)
        return ModelStatus(route.id, state, route.tasks, detail, replicas, running, waiting)

    def _judge(self, fault: str | None, activity: Activity | None) -> tuple[ModelState, str]:
        if activity is None:
            return ModelState.STALLED, "the replica does not answer"
        if activity.silent_s > self._stall_s:
            return ModelState.STALLED, f"a run has shown no progress for {activity.silent_s:.0f} s"
        if fault:
            return ModelState.UNAVAILABLE, fault
        return ModelState.READY, ""


def running_replicas(overview: DeploymentStatusOverview | None) -> int:
    """Count a deployment's replicas that take work."""
    replicas = overview.replica_states.items() if overview else ()
    return sum(count for state, count in replicas if state == "RUNNING")
