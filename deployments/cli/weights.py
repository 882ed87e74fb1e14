"""Where a model's weights lie on this machine, without loading or fetching anything."""

from pathlib import Path

from configs.schema import HubSource, ModelConfig, ServerConfig
from configs.settings import Settings
from pipelines.errors import SourceNotFound
from pipelines.sources import Places, find_weights


def local_weights(model: ModelConfig, config: ServerConfig, settings: Settings) -> Path | str:
    """Give the path of the weights, or words for where they will come from.

    Raises:
        ModelLoadError: they are missing and will not be fetched either, or are not the right ones.
    """
    if model.engine is not None:
        return f"vLLM's: {model.options.get('model_source', 'options.model_source is missing')}"
    try:
        path = find_weights(
            model.id, model.source, model.sha256, Places(settings.data_dir, settings.models_dir)
        )
    except SourceNotFound:
        hubs = [source.hub for source in model.source if isinstance(source, HubSource)]
        if not (config.allow_downloads and hubs):
            raise
        return f"fetched from {hubs[0]} at the start"
    return path or "in the engine's package"
