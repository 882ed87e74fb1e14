"""A model that does nothing, for measuring what surrounds it."""

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pipelines.loading import EngineSettings, PipelineOptions
from pipelines.tasks.base import Workspace
from pipelines.tasks.speech_to_text import Segment, SpeechToTextRequest, SpeechToTextSummary
from pipelines.tasks.text_to_speech import SpokenAudio, TextToSpeechRequest


class NoopPipeline:
    """Hears the time at which it was called, and says nothing."""

    Options = PipelineOptions

    def __init__(self, weights: Path | None, options: PipelineOptions, engine: EngineSettings) -> None:
        """Load nothing."""

    def speech_to_text(
        self, request: SpeechToTextRequest, workspace: Workspace
    ) -> Iterator[Segment | SpeechToTextSummary]:
        """Yield the time, in seconds since the epoch."""
        yield Segment(id=0, start_s=0.0, end_s=0.0, text=repr(time.time()))
        yield SpeechToTextSummary(language="en", duration_s=0.0)

    def text_to_speech(self, request: TextToSpeechRequest, workspace: Workspace) -> Iterator[SpokenAudio]:
        """Yield a moment of silence."""
        yield SpokenAudio(np.zeros(160, dtype=np.int16), 16_000)
