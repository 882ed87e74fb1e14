"""Facts of the machine and secrets, from the environment only."""

import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """What the environment says; made once by whoever starts a process, then passed on."""

    model_config = ConfigDict(frozen=True)

    data_dir: Path
    """Artifacts, assembled weights and the API key lie here (``AI_SERVER_DATA``)."""
    url: str
    """Where clients, `try` and `bench` find the server (``AI_SERVER_URL``)."""
    api_key: str | None
    """The key that they send (``AI_SERVER_API_KEY``); None reads the file in `data_dir`."""
    database_url: str
    """The job store (``AI_SERVER_DATABASE_URL``); ``jobs.db`` in `data_dir` where it is not set."""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> "Settings":
        """Read the environment; relative folders are taken from the current one."""
        data_dir = Path(environ.get("AI_SERVER_DATA", "data")).expanduser().absolute()
        return cls(
            data_dir=data_dir,
            url=environ.get("AI_SERVER_URL", "http://127.0.0.1:8000").rstrip("/"),
            api_key=environ.get("AI_SERVER_API_KEY"),
            database_url=environ.get("AI_SERVER_DATABASE_URL") or f"sqlite:///{data_dir / 'jobs.db'}",
        )

    @property
    def artifacts_dir(self) -> Path:
        """Where the local artifact store keeps its files."""
        return self.data_dir / "artifacts"

    @property
    def models_dir(self) -> Path:
        """Where assembled and downloaded weights lie."""
        return self.data_dir / "models"

    @property
    def api_key_file(self) -> Path:
        """The file that holds the admin key."""
        return self.data_dir / "api-key"

    def cluster_file(self, port: int) -> Path:
        """What a shell sources to join the local cluster whose server listens on `port`."""
        return self.data_dir / f"cluster-{port}.env"


def usable_cores() -> int:
    """Count the cores that this process may use; where the system cannot say (macOS), all of them."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
