"""Reading a Serve configuration file; errors name the file's key."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from configs.schema import ServerConfig


class ConfigError(Exception):
    """The configuration file cannot be used; the message names the file, the key and the fault."""


@dataclass(frozen=True)
class ConfigFile:
    """A Serve configuration file that was read and whose arguments are valid."""

    application: str
    """Name of the Serve application."""
    route_prefix: str
    host: str
    port: int
    args: ServerConfig

    @property
    def url(self) -> str:
        """Where a client on this machine finds the server."""
        host = "127.0.0.1" if self.host in {"0.0.0.0", "::"} else self.host  # noqa: S104  # compared, not bound
        return f"http://{host}:{self.port}{self.route_prefix.rstrip('/')}"

    def listening_on(self, host: str | None, port: int | None) -> "ConfigFile":
        """Give the same file with another address, where one is given."""
        return replace(self, host=host or self.host, port=port or self.port)


def load_config(path: Path) -> ConfigFile:
    """Read and validate a file such as ``serve_config.yaml``.

    Raises:
        ConfigError: the file is missing, is not YAML, or breaks the schema.
    """
    document = _read_yaml(path)
    application = _only_application(document, path)
    http = document.get("http_options") or {}
    try:
        args = ServerConfig.model_validate(application.get("args") or {})
    except ValidationError as error:
        raise ConfigError(_explain(error, path)) from error
    return ConfigFile(
        application=application.get("name", "ai-server"),
        route_prefix=application.get("route_prefix", "/"),
        host=http.get("host", "127.0.0.1"),
        port=http.get("port", 8000),
        args=args,
    )


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        document = yaml.safe_load(path.read_text())
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML: {error}") from error
    if not isinstance(document, dict):
        raise ConfigError(f"{path}: the file must hold a mapping with the key 'applications'")
    return document


def _only_application(document: dict[str, Any], path: Path) -> dict[str, Any]:
    applications = document.get("applications")
    if not isinstance(applications, list) or len(applications) != 1 or not isinstance(applications[0], dict):
        raise ConfigError(f"{path}: applications: exactly one application is expected")
    application: dict[str, Any] = applications[0]
    return application


def _explain(error: ValidationError, path: Path) -> str:
    lines = [f"{path}: applications[0].args{_key(e['loc'])}: {e['msg']}" for e in error.errors()]
    return "\n".join(lines)


def _key(location: tuple[int | str, ...]) -> str:
    parts = [part for place, part in enumerate(location) if not _is_kind(location, place)]
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts)


def _is_kind(location: tuple[int | str, ...], place: int) -> bool:
    # pydantic puts the kind of a source behind its index; the file has no such key.
    return place >= 2 and location[place - 2] == "source"
