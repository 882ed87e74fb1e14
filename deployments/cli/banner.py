"""What a person reads when the server is ready."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from configs.load import ConfigFile
from configs.settings import Settings
from deployments.cli.environment import token_file
from deployments.cli.local_cluster import LocalCluster
from deployments.runs import ModelState
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
{self._request()}
Ctrl-C stops it."""

    def _missing(self) -> str:
        missing = [name for name, state in self.states.items() if state == ModelState.UNAVAILABLE]
        return f", without {', '.join(missing)}" if missing else ""

    def _request(self) -> str:
        voices = [model.id for model in self.config.args.models if TEXT_TO_SPEECH.name in model.tasks]
        speaking = [voice for voice in voices if self.states[voice] != ModelState.UNAVAILABLE]
        if not speaking:
            return ""
        voice = f'"voice": "{speaking[0]}", ' if speaking[0] != voices[0] else ""
        return f"""
Try it:

  curl {self.config.url}/v1/audio/speech -H "Authorization: Bearer $(cat {self.settings.api_key_file})" \\
    -H "Content-Type: application/json" -d '{{{voice}"input": "Hello! Your server can speak."}}' -o hello.mp3
"""
