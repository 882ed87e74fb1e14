"""From the configuration to the routing table: who may serve each model."""

from collections.abc import Callable
from dataclasses import dataclass

from configs.routing import BreakerConfig, ExternalConfig, PriceConfig, ProviderConfig, RoutingConfig
from configs.schema import TRANSFORMS_ID, ModelConfig, ServerConfig
from deployments.backend import Backend
from deployments.breaker import Breaker
from deployments.candidates import NO_PRICE, Candidate, Candidates
from deployments.failover import Failover, Observer
from deployments.gateway import NOTHING_LISTED, Catalogue, Gateway, Route
from deployments.outside import Outside
from pipelines.providers.base import Provider, fits
from pipelines.tasks.base import OURSELVES
from pipelines.transforms import TRANSFORMS

_NEVER_OPENS = BreakerConfig(failures=10**9)
"""Serve watches our own replicas; with nobody else to ask, leaving them alone would only refuse more."""


@dataclass(frozen=True)
class Builder:
    """Makes the routes of one process."""

    config: ServerConfig
    native: Callable[[str], Backend]
    """Gives the backend of a deployment by its name."""
    external: Callable[[Provider], Backend]
    """Gives the backend of a provider."""
    outside: Outside
    observe: Observer

    def gateway(self, catalogue: Catalogue = NOTHING_LISTED) -> Gateway:
        """Make the routing table."""
        routes = [self._route(model) for model in self.config.models]
        served = [route for route in routes if route is not None]
        if self.config.transforms.enabled:
            served.append(Route(TRANSFORMS_ID, tuple(TRANSFORMS), self.native(TRANSFORMS_ID)))
        by_provider = {
            each.id: self._provider_route(each)
            for each in self.config.providers
            if each.id in self.outside.providers
        }
        return Gateway(tuple(served), by_provider, catalogue, self.outside.switched_off, self._hints())

    def _route(self, model: ModelConfig) -> Route | None:
        external = [each for each in model.external if each.provider in self.outside.providers]
        candidates = [self._external(each) for each in external]
        if model.is_native:
            candidates.insert(0, self._native(model, is_alone=not external))
        if not candidates:
            return None
        first = max(candidates, key=lambda each: each.routing.priority)
        return self._routed(model.id, model.tasks, model.aliases, candidates, first.provider)

    def _provider_route(self, config: ProviderConfig) -> Route:
        tasks = tuple(sorted(self.outside.providers[config.id].tasks))
        candidate = self._candidate(config, RoutingConfig(concurrency=config.concurrency))
        return self._routed(config.id, tasks, (), [candidate], config.id)

    def _routed(
        self,
        name: str,
        tasks: tuple[str, ...],
        aliases: tuple[str, ...],
        candidates: list[Candidate],
        owner: str,
    ) -> Route:
        choice = Candidates(candidates)
        backend = Failover(
            name, choice, self.config.failover, self.observe, self.config.limits.queued_requests
        )
        return Route(name, tasks, backend, aliases, owner, choice)

    def _native(self, model: ModelConfig, is_alone: bool) -> Candidate:
        breaker = _NEVER_OPENS if is_alone else self.config.failover.breaker
        return Candidate(
            provider=OURSELVES,
            backend=self.native(model.id),
            breaker=Breaker(breaker),
            model=model.id,
            routing=model.routing,
        )

    def _external(self, external: ExternalConfig) -> Candidate:
        limited = external.model_copy(update={"concurrency": self.config.concurrency_at(external)})
        return self._candidate(self.config.provider(external.provider), limited, external.model)

    def _candidate(
        self, config: ProviderConfig, routing: RoutingConfig, model: str | None = None
    ) -> Candidate:
        provider = self.outside.providers[config.id]
        return Candidate(
            provider=config.id,
            backend=self.external(provider),
            breaker=Breaker(self.config.failover.breaker),
            model=model,
            tasks=provider.tasks,
            fetches_images=provider.fetches_images,
            routing=routing,
            price_of=lambda name: price_of(config, name),
        )

    def _hints(self) -> dict[str, str]:
        hints = {
            name: f"{name} is switched off: {reason}." for name, reason in self.outside.switched_off.items()
        }
        for model in self.config.models:
            lacking = [hints[each.provider] for each in model.external if each.provider in hints]
            if not model.is_native and len(lacking) == len(model.external):
                hints |= dict.fromkeys(
                    (name.lower() for name in (model.id, *model.aliases)), " ".join(lacking)
                )
        return hints


def price_of(config: ProviderConfig, model: str) -> PriceConfig:
    """Give the price of a provider's model."""
    prices = (price for pattern, price in config.prices.items() if fits(model, (pattern,)))
    return next(prices, NO_PRICE)
