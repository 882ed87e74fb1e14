"""A backend that plays prepared events, and the application on top of it."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from cluster.address_guard import AddressGuard
from cluster.api_keys import ApiKeys
from cluster.artifacts.local import LocalArtifactStore
from cluster.artifacts.store import ArtifactNotFound
from cluster.usage import UsageLedger
from configs.schema import ServerConfig
from deployments.api import create_api
from deployments.chat_images import ChatImages
from deployments.gateway import Gateway, Route
from deployments.runs import ModelStatus, RunInfo
from deployments.services import Services
from pipelines.tasks.base import TaskRequest
from tests.deployments.fakes import ListMetrics
from tests.deployments.queue import LocalQueue, open_queue

KEY = "ak-test"

Step = Any | Exception | Callable[[], Awaitable[object]]
"""An event to yield, an error to raise, or something to wait for."""


@dataclass
class ScriptedBackend:
    """Plays its steps; remembers what it was asked and how its stream ended."""

    store: LocalArtifactStore
    steps: Sequence[Step] = ()
    requests: list[Any] = field(default_factory=list)
    uploads: list[bytes] = field(default_factory=list)
    closed: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, task: str, request: TaskRequest[Any], info: RunInfo) -> Any:
        *_, result = [event async for event in self.stream(task, request, info)]
        return result

    async def stream(self, task: str, request: TaskRequest[Any], info: RunInfo) -> AsyncGenerator[Any, None]:
        self.requests.append(request)
        if key := getattr(request, "audio", None):
            self.uploads.append(self.store.local_path(key).read_bytes())
        try:
            for step in self.steps:
                if isinstance(step, Exception):
                    raise step
                if callable(step):
                    await step()
                else:
                    yield step
        finally:
            self.closed.set()

    def upload_is_gone(self) -> bool:
        """Tell whether the file of the last request has been removed."""
        try:
            self.store.stat(self.requests[-1].audio)
        except ArtifactNotFound:
            return True
        return False


@dataclass
class Server:
    """The application with two models that hear and two that speak."""

    api: FastAPI
    ears: ScriptedBackend
    other_ears: ScriptedBackend
    joe: ScriptedBackend
    alloy: ScriptedBackend
    metrics: ListMetrics
    queue: LocalQueue


def make_server(folder: Path) -> Server:
    """Make the application on a store in `folder`."""
    store = LocalArtifactStore(folder / "artifacts")
    ears, other_ears, joe, alloy = (ScriptedBackend(store) for _ in range(4))
    metrics = ListMetrics()
    gateway = Gateway(
        [
            Route("whisper-base", ("speech-to-text",), ears, ("whisper-1", "org/whisper")),
            Route("whisper-tiny-en", ("speech-to-text",), other_ears),
            Route("piper-joe", ("text-to-speech",), joe, ("tts-1", "echo")),
            Route("hibari", ("text-to-speech",), alloy, ("alloy", "nova")),
            Route("transforms", ("scale-image",), ears),
        ]
    )
    queue = LocalQueue(folder, store, gateway)
    services = Services(
        config=ServerConfig(),
        gateway=gateway,
        artifacts=store,
        api_keys=ApiKeys(KEY),
        metrics=metrics,
        jobs=queue.jobs,
        chat_images=ChatImages(AddressGuard()),
        ledger=UsageLedger(queue.database),
        queue_state=open_queue,
        model_states=_no_states,
    )
    return Server(create_api(services), ears, other_ears, joe, alloy, metrics, queue)


async def _no_states() -> tuple[ModelStatus, ...]:
    return ()
