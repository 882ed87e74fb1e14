"""A model that takes as long as it is told, for tests of what happens meanwhile."""

from pathlib import Path
from typing import Any

SLEEPER = '''
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pipelines.loading import EngineSettings, PipelineOptions
from pipelines.tasks.base import Workspace
from pipelines.tasks.text_to_speech import SpokenAudio, TextToSpeechRequest


class SleeperPipeline:
    """Takes as many seconds as its text says first, in steps, and notes every run in a file."""

    class Options(PipelineOptions):
        log: str

    def __init__(self, weights: Path | None, options: Options, engine: EngineSettings) -> None:
        self._log = Path(options.log)

    def text_to_speech(self, request: TextToSpeechRequest, workspace: Workspace) -> Iterator[SpokenAudio]:
        with self._log.open("a") as log:
            log.write(f"{time.time()} {request.text}\\n")
        seconds = float(request.text.split()[0])
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            workspace.check_cancelled()
            workspace.report(1 - left / seconds, "sleeping")
            time.sleep(min(left, 0.05))
        loudness = 1 + sum(map(ord, request.text)) % 30_000
        yield SpokenAudio(np.full(1_600, loudness, dtype=np.int16), 16_000)
'''


def sleeper(folder: Path, **entry: Any) -> dict[str, Any]:
    """Write the pipeline that sleeps into `folder` and give its entry for the configuration."""
    (folder / "sleeper_pipeline.py").write_text(SLEEPER)
    return {
        "id": "sleeper",
        "tasks": ["text-to-speech"],
        "pipeline": "sleeper_pipeline:SleeperPipeline",
        "options": {"log": str(folder / "runs.log")},
        "resources": {"num_cpus": 0.1},
        **entry,
    }
