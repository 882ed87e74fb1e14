"""The API with providers behind it: real routing and real clients of theirs, in front of fake vendors."""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import httpx

from cluster.address_guard import AddressGuard
from configs.schema import ServerConfig
from deployments.api import create_api
from deployments.catalogue import ProviderCatalogue
from deployments.chat_images import ChatImages
from deployments.failover import Attempt
from deployments.outside import Outside
from deployments.provider_backend import ProviderBackend, run_limits
from deployments.routes import Builder
from deployments.services import Services
from pipelines.errors import BeyondModel
from pipelines.tasks.base import Usage, Workspace
from pipelines.tasks.chat import ChatRequest
from pipelines.tasks.chat_shapes import ChatDelta
from tests.deployments.conftest import KEY
from tests.deployments.fakes import LocalBackend
from tests.vendors.server import Vendor, serving


class Parrot:
    """A model of our own: says the last message again, word by word; calls no tools."""

    def chat(self, request: ChatRequest, workspace: Workspace) -> Iterator[ChatDelta | Usage]:
        """Repeat."""
        if request.body.get("tools"):
            raise BeyondModel("This model does not call tools. Leave tools out.", "tools")
        words = request.body["messages"][-1]["content"].split()
        yield ChatDelta({"role": "assistant", "content": ""})
        for place, word in enumerate(words):
            yield ChatDelta({"content": f" {word}" if place else word})
        yield ChatDelta(finish_reason="stop")
        yield Usage(prompt_tokens=len(words), completion_tokens=len(words))


@dataclass
class ChatServer:
    """A server with providers."""

    client: httpx.AsyncClient
    services: Services
    attempts: list[Attempt]
    catalogue: ProviderCatalogue

    async def chat(self, path: str = "/v1/chat/completions", **body: Any) -> httpx.Response:
        """Send a request to chat."""
        return await self.client.post(
            path, json={"messages": [{"role": "user", "content": "Hi you"}], **body}
        )


@asynccontextmanager
async def chat_server(
    services: Services,
    vendors: Mapping[str, Vendor],
    *,
    options: Mapping[str, Any] | None = None,
    native: Any = None,
    **config: Any,
) -> AsyncIterator[ChatServer]:
    """Serve ``parrot`` and what `config` says; each vendor is the provider of that name, with a key.

    Args:
        services: what else the server has.
        vendors: by the ids of their providers.
        options: of each of these providers.
        native: the pipeline behind every model of our own; a `Parrot` where it is not given.
        config: of the server; ``more_providers`` come beside those of the vendors.
    """
    async with AsyncExitStack() as stack:
        for vendor in vendors.values():
            await stack.enter_async_context(serving(vendor))
        providers = [
            {
                "id": name,
                "base_url": f"{vendor.url}/v1",
                "key_env": f"{name.upper()}_KEY",
                "options": dict(options or {}),
            }
            for name, vendor in vendors.items()
        ]
        parrot = {"id": "parrot", "tasks": ["chat"], "pipeline": "a:B"}
        given = {"models": [parrot], "providers": providers, "transforms": {"enabled": False}, **config}
        given["providers"] = [*providers, *config.get("more_providers", ())]
        given.pop("more_providers", None)
        settings = ServerConfig.model_validate({**given, "limits": services.config.limits})
        environ = {f"{name.upper()}_KEY": "sk-secret-key" for name in vendors}
        outside = Outside.of(settings.providers, environ, AddressGuard(("127.0.0.0/8",)))
        for provider in outside.providers.values():
            stack.push_async_callback(provider.close)
        attempts: list[Attempt] = []
        catalogue = ProviderCatalogue(outside.discoverable(settings.providers))
        artifacts = services.artifacts
        gateway = Builder(
            settings,
            native=lambda name: LocalBackend(artifacts, native or Parrot()),
            external=lambda provider: ProviderBackend(provider, artifacts, run_limits(settings)),
            outside=outside,
            observe=attempts.append,
        ).gateway(catalogue)
        own = replace(services, config=settings, gateway=gateway)
        client = await stack.enter_async_context(_client(own))
        yield ChatServer(client, own, attempts, catalogue)


def with_guard(services: Services, guard: AddressGuard) -> Services:
    """Let pictures be fetched where `guard` says so."""
    return replace(services, chat_images=ChatImages(guard))


def _client(services: Services) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(create_api(services), raise_app_exceptions=False)
    return httpx.AsyncClient(
        transport=transport, base_url="http://server.test", headers={"Authorization": f"Bearer {KEY}"}
    )
