"""ModelServer: one configured model in one deployment. Constructed means loaded."""

import logging
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from cluster.artifacts.local import local_store
from configs.schema import ModelConfig, ServerConfig
from configs.settings import Settings, usable_cores
from deployments.runs import RunInfo
from deployments.task_server import ReplicaError, TaskServer
from pipelines.errors import ModelLoadError
from pipelines.loading import EngineSettings, load_pipeline
from pipelines.sources import Places, find_weights
from pipelines.tasks import TASKS
from pipelines.tasks.base import TaskRequest, TaskResult

logger = logging.getLogger("ray.serve")


class ModelServer(TaskServer):
    """Serves one model.

    A model that cannot be loaded does not take the application down: the replica stays, answers
    every call with the remedy, and shows it in /ready; the other models serve.
    """

    def __init__(self, model: ModelConfig, config: ServerConfig, settings: Settings) -> None:
        """Load the model, or remember why that is impossible."""
        super().__init__(local_store(settings, config), config, model.resources.concurrency)
        self._model = model
        self._fault: str | None = None
        self._pipeline: Any = None
        started = time.perf_counter()
        try:
            self._pipeline = _load(model, config, settings)
        except ModelLoadError as error:
            self._fault = f"{model.id}: {error}"
            logger.exception("model %s cannot be loaded", model.id)
        else:
            logger.info("model %s loaded in %.1f s", model.id, time.perf_counter() - started)

    async def fault(self) -> str | None:
        """Say why the model could not be loaded, with the remedy; None when all is well."""
        return self._fault

    async def run(self, task: str, request: TaskRequest[Any], info: RunInfo) -> TaskResult | ReplicaError:
        """Do the work and give its result, or the error that it raised on purpose."""
        if self._fault is not None:
            return ModelLoadError(self._fault)
        return await self._run(info, lambda space: TASKS[task].run(self._pipeline, request, space))

    async def stream(self, task: str, request: TaskRequest[Any], info: RunInfo) -> AsyncGenerator[Any, None]:
        """Do the work and give its events one by one; an error raised on purpose is the last of them."""
        if self._fault is not None:
            yield ModelLoadError(self._fault)
            return
        stream = TASKS[task].stream
        assert stream is not None, f"{task} has no stream"
        events = self._stream(info, lambda space: stream(self._pipeline, request, space))
        async with aclosing(events):
            async for event in events:
                yield event


def _load(model: ModelConfig, config: ServerConfig, settings: Settings) -> Any:
    """Find the weights and load the pipeline.

    Raises:
        ModelLoadError: for whatever goes wrong, because anything else would fail the whole application.
    """
    assert model.pipeline is not None, "a model without a pipeline has no deployment"
    places = Places(settings.data_dir, settings.models_dir, config.allow_downloads)
    try:
        weights = find_weights(model.id, model.source, model.sha256, places)
        return load_pipeline(model.pipeline, model.tasks, weights, model.options, _engine(model))
    except ModelLoadError:
        raise
    except Exception as error:
        raise ModelLoadError(f"{model.pipeline} could not load: {error!r}") from error


def _engine(model: ModelConfig) -> EngineSettings:
    on_gpu = model.resources.num_gpus > 0
    return EngineSettings(
        threads=model.resources.threads or (1 if on_gpu else usable_cores()),
        concurrency=model.resources.concurrency,
        device="cuda" if on_gpu else "cpu",
        model_id=model.id,
    )
