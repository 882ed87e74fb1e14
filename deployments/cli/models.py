"""`ai-server models`: what a configuration file offers, without starting anything."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from configs.load import ConfigError, load_config
from configs.schema import HubSource, ModelConfig, ServerConfig
from configs.settings import Settings
from pipelines.errors import ModelLoadError, SourceNotFound
from pipelines.sources import Places, find_weights


def models(
    config_file: Annotated[Path, typer.Argument(help="A Serve configuration file.")] = Path(
        "serve_config.yaml"
    ),
) -> None:
    """List the models of a configuration and say where their weights lie on this machine."""
    try:
        config = load_config(config_file)
    except ConfigError as error:
        typer.echo(error, err=True)
        raise typer.Exit(2) from error
    settings = Settings.from_environment()
    places = Places(settings.data_dir, settings.models_dir)
    table = Table("model", "tasks", "also called", Column("weights", overflow="fold"))
    for model in config.args.models:
        names = ", ".join(model.aliases)
        table.add_row(model.id, ", ".join(model.tasks), names, _weights(model, places, config.args))
    Console().print(table)


def _weights(model: ModelConfig, places: Places, config: ServerConfig) -> str:
    try:
        path = find_weights(model.id, model.source, model.sha256, places)
    except SourceNotFound as error:
        hubs = [source.hub for source in model.source if isinstance(source, HubSource)]
        if config.allow_downloads and hubs:
            return f"fetched from {hubs[0]} at the start"
        return f"[red]{escape(str(error))}[/red]"
    except ModelLoadError as error:
        return f"[red]{escape(str(error))}[/red]"
    return str(path) if path else "in the engine's package"
