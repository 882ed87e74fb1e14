"""`ai-server status`: what a running server can do at the moment."""

import typer
from rich.console import Console
from rich.table import Table

from configs.settings import Settings
from deployments.cli.client import ask, connect


def status() -> None:
    """Show every model's state; ends with 1 while the server is not ready."""
    with connect(Settings.from_environment()) as client:
        answer = ask(client, "GET", "/ready")
    report = answer.json()
    table = Table("model", "state", "tasks", "replicas", "running", "waiting", "detail")
    for model in report["models"]:
        counts = (str(model[count]) for count in ("replicas", "running", "waiting"))
        table.add_row(model["id"], model["state"], ", ".join(model["tasks"]), *counts, model["detail"])
    console = Console()
    console.print(f"{client.base_url}: {report['status']} ({report['profile']})")
    console.print(table)
    if answer.is_error:
        raise typer.Exit(1)
