"""The HTTP deployment, and the door for Ray handles: both end in the same gateway."""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from ray import serve
from ray.serve.handle import DeploymentHandle

from cluster.address_guard import AddressGuard
from cluster.api_keys import ApiKey, ApiKeys, load_or_create_admin_key
from cluster.artifacts.local import local_store
from cluster.artifacts.store import Area, StoreFull
from cluster.jobs.database import Database
from cluster.jobs.errors import JobStoreError
from cluster.jobs.job import Job, Submitted
from cluster.jobs.keeper import JobKeeper
from cluster.jobs.queue import JobQueue
from cluster.key_store import KeyStore, digest_of
from cluster.metrics import ProviderMetrics, ServeMetrics
from cluster.usage import UsageLedger
from configs.schema import JOBS_ID, ServerConfig
from configs.settings import Settings
from deployments.api import create_api
from deployments.attempts import AttemptBook
from deployments.backends import HandleBackend
from deployments.calls import Call, Served, Work
from deployments.catalogue import ProviderCatalogue
from deployments.chat_images import ChatImages
from deployments.errors import ApiError
from deployments.forms import Form
from deployments.job_signals import HandleSignals
from deployments.jobs import Jobs
from deployments.log_lines import log_to_stdout
from deployments.model_states import ModelStates
from deployments.outside import Outside
from deployments.preferences import JobWish
from deployments.provider_backend import ProviderBackend, run_limits
from deployments.routes import Builder
from deployments.runs import RunInfo
from deployments.services import Services
from deployments.uploads import UploadedFile
from pipelines.errors import PipelineError
from pipelines.tasks.base import TaskRequest, TaskResult


class Ingress:
    """Routes HTTP requests and handle calls. Holds no model and imports no model's engine."""

    def __init__(
        self, config: ServerConfig, settings: Settings, deployments: Mapping[str, DeploymentHandle[Any]]
    ) -> None:
        """Take the handles of the model deployments by model id, and of the transforms."""
        self._artifacts = local_store(settings, config)
        database = Database(settings.database_url)
        ledger = UsageLedger(database)
        self._book = AttemptBook(ledger, ProviderMetrics())
        guard = AddressGuard(config.outside.allow_networks)
        outside = Outside.of(config.providers, os.environ, guard)
        catalogue = ProviderCatalogue(outside.discoverable(config.providers))
        self._catalogue = catalogue
        metrics = ServeMetrics()
        gateway = Builder(
            config,
            native=lambda name: HandleBackend(deployments[name]),
            external=lambda provider: ProviderBackend(provider, self._artifacts, run_limits(config)),
            outside=outside,
            observe=self._book.note,
        ).gateway(catalogue)
        application = serve.get_replica_context().app_name
        states = ModelStates(application, deployments, config.timeouts.stall_s)
        signals = HandleSignals(deployments[JOBS_ID])
        keys = KeyStore(database)

        async def key_of(presented: str) -> ApiKey | None:
            return await database.run(keys.find, digest_of(presented))

        self._services = Services(
            config=config,
            gateway=gateway,
            artifacts=self._artifacts,
            api_keys=ApiKeys(load_or_create_admin_key(settings.api_key_file), key_of),
            metrics=metrics,
            jobs=Jobs(
                database,
                self._artifacts,
                signals,
                JobKeeper(database, JobQueue.of(database, config.jobs)),
                guard,
                config.jobs.lease_s,
            ),
            chat_images=ChatImages(
                guard, max_length=config.limits.chat_bytes, max_pixels=config.limits.image_pixels
            ),
            ledger=ledger,
            queue_state=signals.state,
            model_states=lambda: states.of(tuple(gateway.routes)),
        )

    @asynccontextmanager
    async def _background(self, _: FastAPI) -> AsyncIterator[None]:
        """What goes on beside the requests, until the replica stops in order."""
        self._book.start()
        listing = asyncio.create_task(self._catalogue.keep_fresh())
        try:
            yield
        finally:
            listing.cancel()
            await self._book.stop()

    def __serve_build_asgi_app__(self) -> FastAPI:
        """Make the HTTP application in the replica, where its clients and locks belong."""
        log_to_stdout("ai_server.access", "%(message)s")
        for name in ("ai_server.errors", "ai_server.providers", "ai_server.usage"):
            log_to_stdout(name, "%(asctime)s %(levelname)s %(message)s")
        return create_api(self._services, behind_serve=True, lifespan=self._background)

    async def run(
        self, task: str, request: TaskRequest[Any], model: str | None, info: RunInfo
    ) -> TaskResult | PipelineError | ApiError | StoreFull:
        """Do a task for another service of the cluster (`deployments.handles`); errors are values."""
        call = Call(self._services, info, limit_s=None)
        try:
            route = self._services.gateway.resolve(task, model)
            served: Served[TaskResult] = await call.run(Work(task, request, route))
        except (PipelineError, ApiError, StoreFull) as error:
            return error
        return served.result

    async def queue(
        self, task: str, request: TaskRequest[Any], model: str | None, info: RunInfo, wish: JobWish
    ) -> Submitted | PipelineError | ApiError | JobStoreError | StoreFull:
        """Queue a task for another service of the cluster; errors are values."""
        call = Call(self._services, info, limit_s=None)
        try:
            route = self._services.gateway.resolve(task, model)
            (submitted,) = await call.submit([Work(task, request, route, _form_of(request), wish)])
        except (PipelineError, ApiError, JobStoreError, StoreFull) as error:
            return error
        return submitted

    async def job(self, job_id: int, wait_s: float) -> Job | JobStoreError:
        """Look at a job, after it has ended or `wait_s` have passed."""
        try:
            job = await self._services.jobs.get(job_id, owner=None)
            return await self._services.jobs.wait(job, wait_s)
        except JobStoreError as error:
            return error

    async def cancel(self, job_id: int) -> JobStoreError | None:
        """End a job."""
        try:
            await self._services.jobs.cancel(job_id, owner=None)
        except JobStoreError as error:
            return error
        return None

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


def _form_of(request: TaskRequest[Any]) -> Form:
    """Find the uploads that a request names."""
    files = {}
    for name, value in request.model_dump().items():
        if isinstance(value, str) and value.startswith(f"{Area.INPUT}/"):
            file_name = value.rpartition("/")[2]
            files[name] = UploadedFile(value, file_name, "application/octet-stream", size_bytes=0)
    return Form(files=files)
