from pathlib import Path
from typing import Any

import pytest

from pipelines.errors import ModelLoadError
from pipelines.loading import EngineSettings, PipelineOptions, load_pipeline

HERE = f"{__name__}:"


class HearingOptions(PipelineOptions):
    beam_size: int = 5


class Hears:
    Options = HearingOptions

    def __init__(self, weights: Path | None, options: HearingOptions, engine: EngineSettings) -> None:
        self.options = options

    def speech_to_text(self, request: Any, workspace: Any) -> Any:
        raise NotImplementedError


class LacksOptions:
    pass


def load(name: str, task: str = "speech-to-text", **options: object) -> Any:
    return load_pipeline(HERE + name, [task], None, options, EngineSettings())


def test_a_pipeline_gets_its_validated_options() -> None:
    assert load("Hears", beam_size=1).options == HearingOptions(beam_size=1)


@pytest.mark.parametrize(
    ("name", "task", "options", "message"),
    [
        ("Hears", "speech-to-text", {"beams": 1}, "options: beams: Extra inputs are not permitted"),
        ("Hears", "text-to-speech", {}, "does not solve text-to-speech"),
        ("Hears", "mind-reading", {}, "unknown task 'mind-reading'. Tasks: .*speech-to-text"),
        ("Absent", "speech-to-text", {}, "has no class Absent"),
        ("LacksOptions", "speech-to-text", {}, "has no 'Options'"),
        ("load", "speech-to-text", {}, "has no class load"),
    ],
)
def test_what_cannot_load_says_why(name: str, task: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelLoadError, match=message):
        load(name, task, **options)


def test_a_module_that_is_not_installed_is_named() -> None:
    with pytest.raises(ModelLoadError, match="install the package it needs"):
        load_pipeline("no_such_module:X", [], None, {}, EngineSettings())
