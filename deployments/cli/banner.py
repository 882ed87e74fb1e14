"""What a person reads when the server is ready."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from configs.load import ConfigFile
from configs.settings import Settings
from deployments.cli.environment import token_file
from deployments.cli.local_cluster import LocalCluster
from deployments.runs import ModelState
from pipelines.providers.loading import switched_off
from pipelines.tasks.base import Task
from pipelines.tasks.text_to_image import TEXT_TO_IMAGE
from pipelines.tasks.text_to_speech import TEXT_TO_SPEECH


@dataclass(frozen=True)
class Banner:
    """Where everything is, and a request to paste."""

    config: ConfigFile
    cluster: LocalCluster
    settings: Settings
    env_file: Path
    states: Mapping[str, str]
    """The state of each model, by its id."""

    @property
    def text(self) -> str:
        """The whole banner."""
        url, profile = self.config.url, self.config.args.profile
        return f"""
AI Server is ready{self._missing()} ({profile}): {url}   docs: {url}/docs
API key:   {self.settings.api_key_file}
Dashboard: {self.cluster.dashboard_url}   (its token: {token_file(os.environ)})
Metrics:   {self.cluster.metrics_url}   (Prometheus)
Cluster:   source {self.env_file}   (before a Python service that calls it by handle)
Providers: {self._providers()}
{self._request()}
Ctrl-C stops it."""

    def _providers(self) -> str:
        providers = self.config.args.providers
        on = [each.id for each in providers if switched_off(each, os.environ) is None]
        names = [each.key_env or each.base_url_env for each in providers if each.id not in on]
        off = f"set {', '.join(name for name in names if name)} for more" if any(names) else ""
        return "   ".join(part for part in (", ".join(on) or "none", f"({off})" if off else "") if part)

    def _missing(self) -> str:
        missing = [name for name, state in self.states.items() if state == ModelState.UNAVAILABLE]
        return f", without {', '.join(missing)}" if missing else ""

    def _request(self) -> str:
        """Give a request to paste: for the address of a picture if a model draws, else for speech."""
        drawing, speaking = self._working(TEXT_TO_IMAGE), self._working(TEXT_TO_SPEECH)
        if drawing is not None:
            body = f'{{{drawing}"positivePrompt": "a red apple on a blue background"}}'
            return self._curl("/api/TextToImage", body, "")
        if speaking is not None:
            body = f'{{{speaking}"input": "Hello! Your server can speak."}}'
            return self._curl("/v1/audio/speech", body, " -o hello.mp3")
        return ""

    def _working(self, task: Task[Any, Any]) -> str | None:
        """Give the field that names a working model: empty for the default, None if there is none."""
        models = [model.id for model in self.config.args.native_models if task.name in model.tasks]
        working = [model for model in models if self.states[model] != ModelState.UNAVAILABLE]
        if not working:
            return None
        return f'"model": "{working[0]}", ' if working[0] != models[0] else ""

    def _curl(self, path: str, body: str, end: str) -> str:
        return f"""
Try it:

  curl {self.config.url}{path} -H "Authorization: Bearer $(cat {self.settings.api_key_file})" \\
    -H "Content-Type: application/json" -d '{body}'{end}
"""
