"""What a person sees while the models load: each with its time, then what is ready and what is not."""

import threading
from typing import Any

import httpx
from ray import serve
from ray.serve.schema import ApplicationStatus
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from configs.load import ConfigError, ConfigFile
from configs.schema import INGRESS_ID, TRANSFORMS_ID
from configs.settings import Settings
from deployments.cli.weights import local_weights
from deployments.runs import ModelState
from pipelines.errors import ModelLoadError

POLL_S = 0.25

_SHOWN: dict[str, str] = {
    ModelState.READY: "[green]ready[/green]",
    ModelState.SLEEPING: "sleeping, wakes with the first request",
    ModelState.UNAVAILABLE: "[red]unavailable[/red]",
}
"""The states in which nothing more is to be waited for."""


class Startup:
    """Follows an application from its deployment until it can take requests."""

    def __init__(self, config: ConfigFile, settings: Settings, console: Console) -> None:
        """Take what is being started."""
        self._config = config
        self._settings = settings
        self._console = console
        self._rows: dict[str, TaskID] = {}
        self._states: dict[str, str] = {}

    def wait_until_ready(self, stop: threading.Event) -> dict[str, str] | None:
        """Show the progress until every model is ready, asleep or unavailable.

        Returns the state of each model, or None if `stop` was set first.

        Raises:
            ConfigError: the application cannot run at all.
        """
        columns = (SpinnerColumn(finished_text="•"), TextColumn("{task.description}"), BarColumn(20),
                   TextColumn("{task.fields[state]}"), TimeElapsedColumn())  # fmt: skip
        with Progress(*columns, console=self._console) as progress:
            if not self._console.is_terminal:
                self._say(f"Loading {', '.join(self._names())} …")
            for name in self._names():
                self._rows[name] = progress.add_task(name, total=1, state="starting")
            while not stop.wait(POLL_S):
                self._show(progress)
                if self._states.keys() >= self._rows.keys():
                    return self._states
        return None

    def _names(self) -> list[str]:
        names = [model.id for model in self._config.args.native_models]
        return [*names, TRANSFORMS_ID] if self._config.args.transforms.enabled else names

    def _show(self, progress: Progress) -> None:
        _fail_if_impossible(self._config.application.name)
        for model in self._ask():
            name, state, detail = model["id"], model["state"], model["detail"]
            if name in self._states or name not in self._rows:
                continue
            if state == ModelState.SLEEPING and (fault := self._missing_weights(name)):
                state, detail = ModelState.UNAVAILABLE, fault
            progress.update(self._rows[name], state=_SHOWN.get(state, state))
            if state in _SHOWN:
                self._states[name] = state
                progress.update(self._rows[name], completed=1)
                if detail or not self._console.is_terminal:
                    self._say(f"{name}: {_SHOWN[state]}. {escape(detail)}")

    def _missing_weights(self, name: str) -> str:
        """Look for the weights of a sleeping model: its replica will only do so when somebody asks for it."""
        model = next(model for model in self._config.args.models if model.id == name)
        try:
            local_weights(model, self._config.args, self._settings)
        except ModelLoadError as error:
            return str(error)
        return ""

    def _say(self, line: str) -> None:
        self._console.print(line.removesuffix(". "), highlight=False, soft_wrap=True)

    def _ask(self) -> list[dict[str, Any]]:
        try:
            answer = httpx.get(f"{self._config.url}/ready", timeout=10)
        except httpx.TransportError:
            return []
        if "application/json" not in answer.headers.get("content-type", ""):
            return []
        models: list[dict[str, Any]] = answer.json().get("models", [])
        return models


def _fail_if_impossible(application: str) -> None:
    overview = serve.status().applications.get(application)
    if overview is None or overview.status is not ApplicationStatus.DEPLOY_FAILED:
        return
    ingress = overview.deployments.get(INGRESS_ID)
    if ingress is None or ingress.status != "HEALTHY":
        raise ConfigError(f"The application could not be deployed: {overview.message}")
