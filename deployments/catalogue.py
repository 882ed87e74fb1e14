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
        self._listed: dict[str, tuple[ListedModel, ...]] = {}
        self._task_of: dict[str, dict[str, tuple[str, ...]]] = {}

    def provider_of(self, task: str, model: str) -> str | None:
        """Give the first provider that lists `model` for `task`."""
        for name in self._providers:
            if task in self._task_of.get(name, {}).get(model, ()):
                return name
        return None

    def listed(self, provider: str) -> tuple[ListedModel, ...]:
        """Give what a provider listed when it was last asked."""
        return self._listed.get(provider, ())

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
            models = tuple(await self._providers[name].models())
        except ProviderError as error:
            logger.warning("%s was asked for its models: %s", name, error)
            return False
        except Exception:
            logger.exception("%s was asked for its models", name)
            return False
        self._listed[name] = models
        self._task_of[name] = {model.name: model.tasks for model in models}
        return True
