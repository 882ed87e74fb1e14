"""What the HTTP layer works with; the ingress makes it once, the tests put fakes in."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from cluster.api_keys import ApiKeys
from cluster.artifacts.store import ArtifactStore
from cluster.usage import UsageLedger
from configs.schema import ServerConfig
from deployments.chat_images import ChatImages
from deployments.gateway import Gateway
from deployments.jobs import Jobs
from deployments.runs import ModelStatus, QueueState


class Metrics(Protocol):
    """Counts and times what the routes do."""

    def observe(self, *, task: str, model: str, outcome: str, seconds: float) -> None:
        """Record one finished call; `outcome` is ``ok`` or an error code."""


@dataclass(frozen=True)
class Services:
    """Everything that a route may use."""

    config: ServerConfig
    gateway: Gateway
    artifacts: ArtifactStore
    api_keys: ApiKeys
    metrics: Metrics
    jobs: Jobs
    chat_images: ChatImages
    ledger: UsageLedger
    queue_state: Callable[[], Awaitable[QueueState]]
    """Asks the JobServer how the queue is."""
    model_states: Callable[[], Awaitable[tuple[ModelStatus, ...]]]
    """Asks the cluster for the state of every configured model."""
