"""`ai-server models`: what a configuration file offers, without starting anything."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from configs.load import ConfigError, load_config
from configs.schema import ModelConfig
from configs.settings import Settings
from pipelines.errors import ModelLoadError
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
    table = Table("model", "tasks", "also called", "weights")
    for model in config.args.models:
        names = ", ".join(model.aliases)
        table.add_row(model.id, ", ".join(model.tasks), names, _weights(model, places))
    Console().print(table)


def _weights(model: ModelConfig, places: Places) -> str:
    try:
        path = find_weights(model.id, model.source, model.sha256, places)
    except ModelLoadError as error:
        return f"[red]{error}[/red]"
    return str(path) if path else "in the engine's package"
