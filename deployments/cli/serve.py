"""`ai-server serve`: a Ray cluster on this machine, the application on it, until Ctrl-C."""

import os
import signal
import sys
import threading
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from cluster.api_keys import EmptyKeyFile, load_or_create_admin_key
from configs.load import ConfigError, ConfigFile, load_config
from configs.settings import Settings
from deployments.cli import environment
from deployments.cli.local_cluster import check_port_is_free
from deployments.cli.supervisor import CONFIG_ERROR, Link, Supervisor, adopt_orphans, block_stop_signals


def serve(
    config_file: Annotated[Path, typer.Argument(help="A Serve configuration file.")] = Path(
        "serve_config.yaml"
    ),
    host: Annotated[str | None, typer.Option(help="Address to listen on, instead of the file's.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on, instead of the file's.")] = None,
) -> None:
    """Start a Ray cluster on this machine and serve the configuration on it; Ctrl-C stops both."""
    console = Console()
    link = Link.of_child(os.environ)
    try:
        config = load_config(config_file).listening_on(host, port)
        settings = Settings.from_environment()
        load_or_create_admin_key(settings.api_key_file)
        if link is None:
            raise typer.Exit(_supervise(config, console))
        _check_database(settings.database_url)
        _serve(config, console, link)
    except (ConfigError, EmptyKeyFile) as error:
        console.print(str(error), style="red", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(CONFIG_ERROR) from error


def _check_database(url: str) -> None:
    # Imported here, because the supervisor itself shall stay small.
    from cluster.jobs.database import Database, DatabaseUrlError

    try:
        Database(url).close()
    except DatabaseUrlError as error:
        raise ConfigError(str(error)) from error


def _supervise(config: ConfigFile, console: Console) -> int:
    """Run this very command once more, as a child that serves, as often as it takes."""
    address = (config.http_options.host, config.http_options.port)
    check_port_is_free(*address)

    def port_is_free() -> bool:
        try:
            check_port_is_free(*address)
        except ConfigError:
            return False
        return True

    def say(line: str) -> None:
        console.show_cursor()  # A progress bar that was killed has left it hidden.
        console.print(line, style="yellow", markup=False, highlight=False, soft_wrap=True)

    adopt_orphans()
    return Supervisor([sys.executable, *sys.orig_argv[1:]], say, port_is_free).run()


def _serve(config: ConfigFile, console: Console, link: Link) -> None:
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    block_stop_signals(signal.SIG_UNBLOCK)
    environment.prepare(os.environ)
    # Imported here, because Ray reads the environment when it is imported.
    from deployments.cli.local_server import run

    run(config, console, stop, link)
