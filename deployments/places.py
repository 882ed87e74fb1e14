"""How many jobs of each model may run at once: what its replicas take, and what wakes a sleeping one."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ray import serve
from ray.serve.handle import DeploymentHandle

from configs.schema import Autoscaling, Resources, ServerConfig
from deployments.model_states import running_replicas

logger = logging.getLogger("ai_server.jobs")

MAX_DEMANDS = 32
"""At once; a deployment that shall grow further does so in steps. They take room from synchronous calls."""
DEMAND_S = 5.0
"""One call that only asks for replicas lasts so long; it is repeated while there is a reason."""


@dataclass(frozen=True)
class Scale:
    """What the configuration says of one deployment."""

    per_replica: int
    max_replicas: int

    @classmethod
    def of(cls, resources: Resources, autoscaling: Autoscaling) -> "Scale":
        """Take it from a model's entry."""
        return cls(resources.concurrency, autoscaling.max_replicas)


def scales_of(config: ServerConfig) -> dict[str, Scale]:
    """Give the scale of every deployment of a model, and of what stands for providers, by its name."""
    scales = {model.id: Scale.of(model.resources, model.autoscaling) for model in config.native_models}
    for model in config.models:
        if not model.is_native:
            scales[model.id] = Scale(sum(map(config.concurrency_at, model.external)), 1)
    scales |= {each.id: Scale(each.concurrency, 1) for each in config.providers}
    return scales


class ReplicaPlaces:
    """Follows the number of replicas, and asks for more of them while more jobs wait than have places.

    Serve scales by the calls that it sees. To show it the waiting jobs they are not sent to the
    replicas (there they would stand in no fair order); calls that do nothing are, one for each place
    that is missing.
    """

    def __init__(
        self, application: str, scales: Mapping[str, Scale], handles: Mapping[str, DeploymentHandle[Any]]
    ) -> None:
        """Take the deployments of `application`."""
        self._application = application
        self._scales = scales
        self._handles = handles
        self._replicas = dict.fromkeys(scales, 1)
        self._demands: dict[str, set[asyncio.Task[None]]] = {name: set() for name in scales}

    def __call__(self) -> Mapping[str, int]:
        """Give the places of every deployment, from memory."""
        return {name: max(1, self._replicas[name]) * self._scales[name].per_replica for name in self._scales}

    @property
    def replicas(self) -> Mapping[str, int]:
        """How many each deployment had when Serve was last asked."""
        return self._replicas

    async def refresh(self) -> None:
        """Ask Serve for the numbers of replicas, unless they cannot matter: that takes 0.1 s of work."""
        if all(scale.max_replicas == 1 for scale in self._scales.values()):
            return
        status = await asyncio.to_thread(serve.status)
        application = status.applications.get(self._application)
        if application is not None:
            for name in self._scales:
                self._replicas[name] = running_replicas(application.deployments.get(name))

    def can_grow(self) -> dict[str, int]:
        """Give how many jobs more could run of those deployments that may have more replicas."""
        return {
            name: (scale.max_replicas - self._replicas[name]) * scale.per_replica
            for name, scale in self._scales.items()
            if self._replicas[name] < scale.max_replicas
        }

    def ask_for(self, waiting: Mapping[str, int]) -> None:
        """Show Serve the jobs that wait in vain, by deployment."""
        for name in self._scales:
            wanted = min(waiting.get(name, 0), self.can_grow().get(name, 0), MAX_DEMANDS)
            demands = self._demands[name]
            for task in list(demands)[wanted:]:
                task.cancel()  # a replica that seems busy with them would get no jobs
            for _ in range(wanted - len(demands)):
                task = asyncio.create_task(self._demand(name))
                demands.add(task)
                task.add_done_callback(demands.discard)

    async def _demand(self, name: str) -> None:
        response: Any = self._handles[name].demand.remote(DEMAND_S)
        try:
            await response
        except asyncio.CancelledError:
            response.cancel()
            raise
        except Exception as error:  # noqa: BLE001  # it is only a wish
            logger.debug("no demand for %s: %r", name, error)
