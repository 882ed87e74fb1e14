"""The providers that take part in this process."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from cluster.address_guard import AddressError, AddressGuard
from configs.routing import ProviderConfig
from pipelines.providers.base import Provider
from pipelines.providers.loading import load_providers, switched_off


@dataclass(frozen=True)
class Outside:
    """Who takes part, and who does not."""

    providers: Mapping[str, Provider]
    """By id."""
    switched_off: Mapping[str, str]
    """Id -> what to do to have it."""

    @classmethod
    def of(
        cls, configs: Sequence[ProviderConfig], environ: Mapping[str, str], guard: AddressGuard
    ) -> "Outside":
        """Take those that the environment switches on; `guard` looks at what their answers name.

        Raises:
            ModelLoadError: a class or an option of the configuration is wrong.
        """
        off = {each.id: reason for each in configs if (reason := switched_off(each, environ))}
        return cls(load_providers(configs, environ, partial(_refusal, guard)), off)

    def discoverable(self, configs: Sequence[ProviderConfig]) -> dict[str, Provider]:
        """Give those whose lists of models are wanted, in order of preference."""
        return {
            each.id: self.providers[each.id]
            for each in configs
            if each.discover and each.id in self.providers
        }


async def _refusal(guard: AddressGuard, url: str) -> str | None:
    try:
        await guard.resolve(url)
    except AddressError as error:
        return str(error)
    return None
