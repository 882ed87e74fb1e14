"""`ai-server models`: what a configuration file offers, without starting anything."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from configs.load import ConfigError, load_config
from configs.schema import ModelConfig, ServerConfig
from configs.settings import Settings
from deployments.cli.weights import local_weights
from pipelines.errors import ModelLoadError


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
    table = Table("model", "tasks", "also called", Column("weights", overflow="fold"))
    for model in config.args.models:
        names = ", ".join(model.aliases)
        table.add_row(model.id, ", ".join(model.tasks), names, _weights(model, config.args, settings))
    Console().print(table)


def _weights(model: ModelConfig, config: ServerConfig, settings: Settings) -> str:
    try:
        return str(local_weights(model, config, settings))
    except ModelLoadError as error:
        return f"[red]{escape(str(error))}[/red]"
