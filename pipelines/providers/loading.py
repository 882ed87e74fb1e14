"""From the configuration's ``providers`` to those that take part on this machine."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from configs.routing import ProviderConfig
from pipelines.errors import ModelLoadError
from pipelines.loading import import_class
from pipelines.providers.base import CheckAddress, Provider, ProviderSettings


def switched_off(config: ProviderConfig, environ: Mapping[str, str]) -> str | None:
    """Say what the environment lacks for a provider to take part; None if it does."""
    missing = []
    if config.key_env and not environ.get(config.key_env, "").strip():
        missing.append(config.key_env)
    elif config.key_env and not environ[config.key_env].strip().isascii():
        return f"{config.key_env} has characters that no key has: copy it again"
    if not _base_url(config, environ):
        missing.append(config.base_url_env or "base_url")
    return f"set {' and '.join(missing)}" if missing else None


def load_providers(
    configs: Sequence[ProviderConfig], environ: Mapping[str, str], check_address: CheckAddress | None = None
) -> dict[str, Provider]:
    """Make the client of each provider that is switched on, by the provider's id. Nobody is contacted.

    Args:
        configs: of all providers.
        environ: switches them on.
        check_address: looks at the addresses that their answers name.

    Raises:
        ModelLoadError: a class or an option of the configuration is wrong; names the provider.
    """
    on = (config for config in configs if switched_off(config, environ) is None)
    return {config.id: _load(config, environ, check_address) for config in on}


def check_provider(config: ProviderConfig) -> None:
    """Raise `ModelLoadError` for what is wrong with a provider's class or options, switched on or not."""
    _client(config)


def _load(config: ProviderConfig, environ: Mapping[str, str], check_address: CheckAddress | None) -> Provider:
    client, options = _client(config)
    settings = replace(_settings(config, environ), check_address=check_address)
    provider: Provider = client(settings, options)
    return provider


def _client(config: ProviderConfig) -> tuple[Any, Any]:
    """Give the class and its options."""
    try:
        client: Any = import_class("client", config.client)
        return client, client.Options.model_validate(dict(config.options))
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(map(str, fault["loc"]))
        raise ModelLoadError(f"providers: {config.id}: options: {where}: {fault['msg']}") from error
    except ModelLoadError as error:
        raise ModelLoadError(f"providers: {config.id}: {error}") from error


def _settings(config: ProviderConfig, environ: Mapping[str, str]) -> ProviderSettings:
    return ProviderSettings(
        id=config.id,
        base_url=_base_url(config, environ),
        key=(environ.get(config.key_env, "").strip() or None) if config.key_env else None,
        key_name=config.key_env or "",
        connect_s=config.connect_s,
        first_byte_s=config.first_byte_s,
        silence_s=config.silence_s,
    )


def _base_url(config: ProviderConfig, environ: Mapping[str, str]) -> str:
    given = environ.get(config.base_url_env, "").strip() if config.base_url_env else ""
    if given and not given.startswith(("http://", "https://")):
        raise ModelLoadError(
            f"providers: {config.id}: {config.base_url_env} must begin with https:// or http://"
        )
    return (given or config.base_url).rstrip("/")
