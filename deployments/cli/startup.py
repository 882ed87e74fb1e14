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

POLL_S = 0.25

_DONE = {
    "ready": "[green]ready[/green]",
    "sleeping": "sleeping, wakes with the first request",
    "unavailable": "[red]unavailable[/red]",
}


class Startup:
    """Follows an application from its deployment until it can take requests."""

    def __init__(self, config: ConfigFile, console: Console) -> None:
        """Take what is being started."""
        self._config = config
        self._console = console
        self._rows: dict[str, TaskID] = {}

    def wait_until_ready(self, stop: threading.Event) -> bool:
        """Show the progress until every model is ready, asleep or unavailable; False if `stop` was set first.

        Raises:
            ConfigError: the application cannot run at all.
        """
        columns = (SpinnerColumn(finished_text="•"), TextColumn("{task.description}"), BarColumn(20),
                   TextColumn("{task.fields[state]}"), TimeElapsedColumn())  # fmt: skip
        with Progress(*columns, console=self._console) as progress:
            self._say(progress, f"Loading {', '.join(self._names())} …")
            for name in self._names():
                self._rows[name] = progress.add_task(name, total=1, state="starting")
            while not stop.wait(POLL_S):
                if self._show(progress):
                    return True
        return False

    def _names(self) -> list[str]:
        names = [model.id for model in self._config.args.models]
        return [*names, TRANSFORMS_ID] if self._config.args.transforms.enabled else names

    def _show(self, progress: Progress) -> bool:
        _fail_if_impossible(self._config.application.name)
        states = self._ask()
        for state in states:
            row = self._rows[state["id"]]
            if progress.tasks[row].finished:
                continue
            if shown := _DONE.get(state["state"]):
                shown = f"{shown} {escape(state['detail'])}".rstrip()
                progress.update(row, completed=1, state=shown)
                self._say(progress, f"{state['id']}: {shown}")
            else:
                progress.update(row, state=state["state"])
        return bool(states) and progress.finished

    def _say(self, progress: Progress, line: str) -> None:
        """Write a line where there is no terminal to redraw."""
        if not self._console.is_terminal:
            progress.console.print(line, highlight=False, soft_wrap=True)

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
