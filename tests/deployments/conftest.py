"""A complete API on fake models: no Ray, a real artifact store in a temporary folder."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from cluster.address_guard import AddressGuard
from cluster.api_keys import ApiKey, ApiKeys
from cluster.artifacts.local import LocalArtifactStore
from cluster.key_store import KeyStore, digest_of
from cluster.usage import UsageLedger
from configs.schema import LimitsConfig, ServerConfig
from deployments.api import create_api
from deployments.chat_images import ChatImages
from deployments.gateway import Gateway, Route
from deployments.runs import ModelState, ModelStatus
from deployments.services import Services
from pipelines.transforms import TRANSFORMS
from tests.deployments.fakes import (
    Doubler,
    HeldBackend,
    LineReader,
    ListMetrics,
    LocalBackend,
    SeedPainter,
    SizeReader,
    TonePipeline,
)
from tests.deployments.queue import LocalQueue, open_queue
from tests.deployments.receiver import Receiver, receiving

KEY = "ak-0123456789abcdef0123456789abcdef"
LIMITS = LimitsConfig(upload_bytes=2_000_000, json_bytes=40_000)


@pytest.fixture
def artifacts(tmp_path: Path) -> LocalArtifactStore:
    return LocalArtifactStore(tmp_path / "artifacts")


@pytest.fixture
def listener() -> LineReader:
    return LineReader()


@pytest.fixture
def painter() -> SeedPainter:
    return SeedPainter()


@pytest.fixture
def metrics() -> ListMetrics:
    return ListMetrics()


async def _all_ready() -> tuple[ModelStatus, ...]:
    return (ModelStatus("reader", ModelState.READY, ("speech-to-text",), replicas=1),)


@pytest.fixture
def speaker(artifacts: LocalArtifactStore) -> HeldBackend:
    """The backend of the model ``tone``; it holds nothing up unless a test says so."""
    return HeldBackend(LocalBackend(artifacts, TonePipeline()))


@pytest.fixture
def gateway(
    artifacts: LocalArtifactStore, listener: LineReader, speaker: HeldBackend, painter: SeedPainter
) -> Gateway:
    drawing = ("text-to-image", "image-to-image", "image-with-mask")
    routes = (
        Route("painter", drawing, LocalBackend(artifacts, painter), aliases=("sdxl-lightning",)),
        Route("second-painter", drawing[:1], LocalBackend(artifacts, SeedPainter())),
        Route("doubler", ("image-upscale",), LocalBackend(artifacts, Doubler())),
        Route("seer", ("image-to-text",), LocalBackend(artifacts, SizeReader())),
        Route("reader", ("speech-to-text",), LocalBackend(artifacts, listener), aliases=("whisper-1",)),
        Route("tone", ("text-to-speech",), speaker, aliases=("alloy",)),
        Route("second-tone", ("text-to-speech",), LocalBackend(artifacts, TonePipeline())),
        Route("transforms", tuple(TRANSFORMS), LocalBackend(artifacts)),
    )
    return Gateway(routes)


@pytest.fixture
async def queue(tmp_path: Path, artifacts: LocalArtifactStore, gateway: Gateway) -> AsyncIterator[LocalQueue]:
    """A queue that accepts jobs; nothing runs before a test dispatches."""
    queue = LocalQueue(tmp_path, artifacts, gateway)
    async with queue.keeper:
        yield queue
    queue.database.close()


@pytest.fixture
def services(
    artifacts: LocalArtifactStore, gateway: Gateway, metrics: ListMetrics, queue: LocalQueue
) -> Services:
    keys = KeyStore(queue.database)

    async def look_up(key: str) -> ApiKey | None:
        return await queue.database.run(keys.find, digest_of(key))

    return Services(
        config=ServerConfig(limits=LIMITS),
        gateway=gateway,
        artifacts=artifacts,
        api_keys=ApiKeys(KEY, look_up),
        metrics=metrics,
        jobs=queue.jobs,
        chat_images=ChatImages(AddressGuard()),
        ledger=UsageLedger(queue.database),
        queue_state=open_queue,
        model_states=_all_ready,
    )


def with_states(services: Services, *states: ModelState) -> Services:
    """Let /ready see one model per state."""

    async def model_states() -> tuple[ModelStatus, ...]:
        return tuple(ModelStatus(f"model-{state}", state, ("text-to-speech",)) for state in states)

    return replace(services, model_states=model_states)


@pytest.fixture
def app(services: Services) -> FastAPI:
    return create_api(services)


def client_of(app: FastAPI, **headers: str) -> httpx.AsyncClient:
    """Give a client that calls the application in this process."""
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app, raise_app_exceptions=False),
        base_url="http://server.test",
        headers=headers,
    )


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A client with a valid key."""
    async with client_of(app, Authorization=f"Bearer {KEY}") as client:
        yield client


@pytest.fixture
async def stranger(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A client without a key."""
    async with client_of(app) as client:
        yield client


@pytest.fixture
async def other(app: FastAPI, queue: LocalQueue) -> AsyncIterator[httpx.AsyncClient]:
    """A client with another valid key, which is not the admin's."""
    _, key = KeyStore(queue.database).create("other")
    async with client_of(app, Authorization=f"Bearer {key}") as client:
        yield client


@pytest.fixture
def quick_webhooks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let webhooks be looked for and repeated at once."""
    monkeypatch.setattr("deployments.webhooks.LOOK_S", 0.01)
    monkeypatch.setattr("cluster.webhook_sender.RETRY_DELAYS_S", (0.01, 0.01))


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """Somebody who hears of jobs."""
    async with receiving() as receiver:
        yield receiver


def stored_files(tmp_path: Path) -> list[str]:
    """Name every file of the artifact store, drafts too."""
    root = tmp_path / "artifacts"
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def refusal(answer: httpx.Response, status: int = 400) -> Mapping[str, Any]:
    """Check the status and give AI Server's `responseStatus`."""
    assert answer.status_code == status, answer.text
    body: Mapping[str, Any] = answer.json()["responseStatus"]
    return body
