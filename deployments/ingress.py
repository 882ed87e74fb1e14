"""The HTTP deployment, and the door for Ray handles: both end in the same gateway."""

import logging
import sys
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from ray import serve
from ray.serve.handle import DeploymentHandle

from cluster.api_keys import ApiKeys, load_or_create_admin_key
from cluster.artifacts.local import LocalArtifactStore
from cluster.artifacts.store import Area
from cluster.metrics import ServeMetrics
from configs.schema import TRANSFORMS_ID, ServerConfig
from configs.settings import Settings
from deployments.api import create_api
from deployments.backends import HandleBackend
from deployments.calls import Call, Served
from deployments.errors import ApiError
from deployments.gateway import Gateway, Route
from deployments.model_states import ModelStates
from deployments.runs import RunInfo
from deployments.services import Services
from pipelines.errors import PipelineError
from pipelines.tasks.base import TaskRequest, TaskResult
from pipelines.transforms import TRANSFORMS


class Ingress:
    """Routes HTTP requests and handle calls. Holds no model and imports no model's engine."""

    def __init__(
        self, config: ServerConfig, settings: Settings, deployments: Mapping[str, DeploymentHandle[Any]]
    ) -> None:
        """Take the handles of the model deployments by model id, and of the transforms."""
        gateway = Gateway(_routes(config, deployments))
        self._artifacts = LocalArtifactStore(settings.artifacts_dir)
        application = serve.get_replica_context().app_name
        states = ModelStates(application, deployments, config.timeouts.stall_s)
        self._services = Services(
            config=config,
            gateway=gateway,
            artifacts=self._artifacts,
            api_keys=ApiKeys(load_or_create_admin_key(settings.api_key_file)),
            metrics=ServeMetrics(),
            model_states=lambda: states.of(gateway.routes),
        )

    def __serve_build_asgi_app__(self) -> FastAPI:
        """Make the HTTP application in the replica, where its clients and locks belong."""
        _log_to_stdout("ai_server.access", "%(message)s")
        _log_to_stdout("ai_server.errors", "%(asctime)s %(levelname)s %(message)s")
        return create_api(self._services, behind_serve=True)

    async def run(
        self, task: str, request: TaskRequest[Any], model: str | None, info: RunInfo
    ) -> TaskResult | PipelineError | ApiError:
        """Do a task for another service of the cluster (`deployments.handles`); errors are values."""
        call = Call(self._services, info, limit_s=None)
        try:
            route = self._services.gateway.resolve(task, model)
            served: Served[TaskResult] = await call.run(task, request, route)
        except (PipelineError, ApiError) as error:
            return error
        return served.result

    def upload(self, data: bytes, extension: str, owner: str) -> str:
        """Store an input for a handle's call and give its key."""
        with self._artifacts.create(area=Area.INPUT, owner=owner, extension=extension) as writer:
            writer.file.write(data)
        return writer.key

    def read(self, key: str) -> bytes:
        """Give the bytes of a result."""
        return self._artifacts.local_path(key).read_bytes()

    def delete(self, key: str) -> None:
        """Remove an input that is no longer needed."""
        self._artifacts.delete(key)


def _log_to_stdout(name: str, line_format: str) -> None:
    """Let a logger write lines of its own: Ray keeps a replica's output and shows it in the dashboard."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter(line_format))
    logger = logging.getLogger(name)
    logger.handlers = [handler]
    logger.setLevel(logging.INFO)
    logger.propagate = False


def _routes(config: ServerConfig, deployments: Mapping[str, DeploymentHandle[Any]]) -> list[Route]:
    routes = [Route.of(model, HandleBackend(deployments[model.id])) for model in config.models]
    if config.transforms.enabled:
        backend = HandleBackend(deployments[TRANSFORMS_ID])
        routes.append(Route(id=TRANSFORMS_ID, tasks=tuple(TRANSFORMS), backend=backend))
    return routes
