"""From a dotted path in the configuration to a pipeline that is loaded and fits its tasks."""

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from pipelines.errors import ModelLoadError
from pipelines.tasks import TASKS
from pipelines.tasks.base import Record


class PipelineOptions(Record):
    """Base of a pipeline's own options; ``options:`` in the configuration is validated against it."""


@dataclass(frozen=True)
class EngineSettings:
    """The share of the machine that one replica's engine may use."""

    threads: int = 1
    """Threads of one run."""
    concurrency: int = 1
    """Runs that may enter the pipeline at once."""
    device: Literal["cpu", "cuda"] = "cpu"
    model_id: str = ""
    """How the configuration calls the model."""


def load_pipeline(
    dotted_path: str,
    tasks: Sequence[str],
    weights: Path | None,
    options: Mapping[str, Any],
    engine: EngineSettings,
) -> Any:
    """Import the pipeline's class, validate its options and load it.

    A pipeline class has an attribute ``Options`` (a `PipelineOptions`), a constructor that takes
    ``(weights, options, engine)`` and returns when everything is loaded, and one method per task
    (see `pipelines.tasks`).

    Args:
        dotted_path: ``pipelines.whisper:WhisperPipeline``.
        tasks: names of the tasks that the model is configured for.
        weights: the folder or file that the model's source led to; None where it has no source.
        options: the raw ``options`` of the configuration.
        engine: threads, concurrency and device.

    Raises:
        ModelLoadError: with the remedy.
        Exception: whatever else the pipeline's module or its engine raised while it loaded.
    """
    pipeline_class = import_class("pipeline", dotted_path)
    _check_tasks(dotted_path, pipeline_class, tasks)
    try:
        validated = pipeline_class.Options.model_validate(dict(options))
    except ValidationError as error:
        raise ModelLoadError(f"options: {_first_problem(error)}") from error
    return pipeline_class(weights, validated, engine)


def import_class(setting: str, dotted_path: str) -> type[Any]:
    """Import the class that a setting of the configuration names.

    Raises:
        ModelLoadError: there is none; names the setting.
    """
    module_name, _, class_name = dotted_path.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise ModelLoadError(
            f"{dotted_path} cannot be imported ({error}). Check '{setting}', or install the package it needs."
        ) from error
    found = getattr(module, class_name, None)
    if not isinstance(found, type):
        raise ModelLoadError(f"{module_name} has no class {class_name}. Check '{setting}'.")
    return found


def _check_tasks(dotted_path: str, pipeline_class: Any, tasks: Sequence[str]) -> None:
    if not hasattr(pipeline_class, "Options"):
        raise ModelLoadError(f"{dotted_path} has no 'Options'; pipelines.loading says what a pipeline needs.")
    for name in tasks:
        if name not in TASKS:
            raise ModelLoadError(f"unknown task {name!r}. Tasks: {', '.join(sorted(TASKS))}")
        if not issubclass(pipeline_class, TASKS[name].protocol):
            raise ModelLoadError(f"{dotted_path} does not solve {name}. Check 'tasks'.")


def _first_problem(error: ValidationError) -> str:
    problem = error.errors()[0]
    return f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}"
