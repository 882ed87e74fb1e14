"""Reading a Serve configuration file; errors name the file's key."""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from configs.base import Config
from configs.documents import read_yaml
from configs.schema import ServerConfig


class ConfigError(Exception):
    """The configuration file cannot be used; the message names the file, the key and the fault."""


class HttpOptions(Config):
    """Where the server listens; the rest of Serve's options would only be in the way of `deployments`."""

    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=1, le=65_535)
    keep_alive_timeout_s: int = Field(default=65, ge=1)
    """Above the 60 s of the usual load balancers, which would otherwise reuse a closed connection."""


class ApplicationConfig(Config):
    """One entry of ``applications``."""

    name: str = "ai-server"
    route_prefix: str = Field(default="/", pattern="^/")
    import_path: Literal["deployments.app:build"] = "deployments.app:build"
    args: ServerConfig = ServerConfig()


class ConfigFile(Config):
    """A Serve configuration file: the keys of Ray Serve's schema that this server uses."""

    applications: tuple[ApplicationConfig]
    http_options: HttpOptions = HttpOptions()
    proxy_location: Literal["HeadOnly", "EveryNode"] = "HeadOnly"
    logging_config: dict[str, Any] = Field(default_factory=dict)
    """Ray Serve's own, passed on as it is."""

    @property
    def application(self) -> ApplicationConfig:
        """The only application."""
        return self.applications[0]

    @property
    def args(self) -> ServerConfig:
        """What the application is built from."""
        return self.application.args

    @property
    def url(self) -> str:
        """Where a client on this machine finds the server."""
        host = self.http_options.host
        host = "127.0.0.1" if host in {"0.0.0.0", "::"} else host  # noqa: S104  # compared, not bound
        return f"http://{host}:{self.http_options.port}{self.application.route_prefix.rstrip('/')}"

    def listening_on(self, host: str | None, port: int | None) -> "ConfigFile":
        """Give the same file with another address, where one is given."""
        given = {name: value for name, value in (("host", host), ("port", port)) if value}
        return self.model_copy(update={"http_options": self.http_options.model_copy(update=given)})


def load_config(path: Path) -> ConfigFile:
    """Read and validate a file such as ``serve_config.yaml``.

    Raises:
        ConfigError: the file is missing, is not YAML, or breaks the schema.
    """
    try:
        return ConfigFile.model_validate(_read_yaml(path))
    except ValidationError as error:
        lines = (f"{path}: {_key(fault['loc'])}: {fault['msg']}" for fault in error.errors())
        raise ConfigError("\n".join(lines)) from error


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        document = read_yaml(path)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    if not isinstance(document, dict):
        raise ConfigError(f"{path}: the file must hold a mapping with the key 'applications'")
    return document


def _key(location: tuple[int | str, ...]) -> str:
    parts = [part for place, part in enumerate(location) if not _is_kind(location, place)]
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts).lstrip(".")


def _is_kind(location: tuple[int | str, ...], place: int) -> bool:
    # pydantic puts the kind of a source behind its index; the file has no such key.
    return place >= 2 and location[place - 2] == "source"
