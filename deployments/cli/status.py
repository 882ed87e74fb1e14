"""`ai-server status`: what a running server can do at the moment."""

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from configs.settings import Settings
from deployments.cli.client import ask, connect


def status() -> None:
    """Show every model's state; ends with 1 while the server is not ready."""
    with connect(Settings.from_environment()) as client:
        answer = ask(client, "GET", "/ready")
    report = answer.json()
    counts = ("replicas", "running", "waiting")
    table = Table("model", "state", "tasks", *counts, Column("detail", overflow="fold"))
    for model in report["models"]:
        numbers = (str(model[count]) for count in counts)
        table.add_row(
            model["id"], model["state"], ", ".join(model["tasks"]), *numbers, escape(model["detail"])
        )
    console = Console()
    console.print(f"{client.base_url}: {report['status']} ({report['profile']})")
    console.print(table)
    if answer.is_error:
        raise typer.Exit(1)
