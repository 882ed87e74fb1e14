"""Which models the providers say they have; asked now and then, in the background."""

import asyncio
import logging
from collections.abc import Mapping

from pipelines.errors import ProviderError
from pipelines.providers.base import ListedModel, Provider

logger = logging.getLogger("ai_server.providers")

REFRESH_S = 600.0
AGAIN_S = 30.0
"""After a provider could not be asked."""


class ProviderCatalogue:
    """The lists of some providers, in order of preference."""

    def __init__(self, providers: Mapping[str, Provider]) -> None:
        """Take those whose lists are wanted, by id; nobody is asked yet."""
        self._providers = providers
        self._listed: dict[str, dict[str, ListedModel]] = {}

    def provider_of(self, task: str, model: str) -> str | None:
        """Give the first provider that lists `model` for `task`."""
        for name in self._providers:
            listed = self._listed.get(name, {}).get(model)
            if listed is not None and task in listed.tasks:
                return name
        return None

    def listed(self, provider: str) -> tuple[ListedModel, ...]:
        """Give what a provider listed when it was last asked."""
        return tuple(self._listed.get(provider, {}).values())

    async def refresh(self) -> bool:
        """Ask all of them once, at the same time; tell whether all answered."""
        answers = await asyncio.gather(*map(self._refresh, self._providers))
        return all(answers)

    async def keep_fresh(self) -> None:
        """Ask again and again."""
        while True:
            all_answered = await self.refresh()
            await asyncio.sleep(REFRESH_S if all_answered else AGAIN_S)

    async def _refresh(self, name: str) -> bool:
        try:
            models = await self._providers[name].models()
        except ProviderError as error:
            logger.warning("%s was asked for its models: %s", name, error)
            return False
        except Exception:
            logger.exception("%s was asked for its models", name)
            return False
        self._listed[name] = {model.name: model for model in models}
        return True
