"""`ai-server serve`: a Ray cluster on this machine, the application on it, until Ctrl-C."""

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from cluster.api_keys import EmptyKeyFile, load_or_create_admin_key
from configs.load import ConfigError, load_config
from configs.settings import Settings
from deployments.cli import environment


def serve(
    config_file: Annotated[Path, typer.Argument(help="A Serve configuration file.")] = Path(
        "serve_config.yaml"
    ),
    host: Annotated[str | None, typer.Option(help="Address to listen on, instead of the file's.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on, instead of the file's.")] = None,
) -> None:
    """Start a Ray cluster on this machine and serve the configuration on it; Ctrl-C stops both."""
    console = Console()
    try:
        config = load_config(config_file).listening_on(host, port)
        load_or_create_admin_key(Settings.from_environment().api_key_file)
        environment.prepare(os.environ)
        # Imported here, because Ray reads the environment when it is imported.
        from deployments.cli.local_server import run

        run(config, console)
    except (ConfigError, EmptyKeyFile) as error:
        console.print(str(error), style="red", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(2) from error
