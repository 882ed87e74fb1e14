"""The command line's HTTP client."""

from typing import Any

import httpx
import typer

from configs.settings import Settings


def connect(settings: Settings, timeout_s: float = 90) -> httpx.Client:
    """Make a client of the server that the environment names, with its key."""
    key = settings.api_key or (
        settings.api_key_file.read_text().strip() if settings.api_key_file.exists() else ""
    )
    return httpx.Client(
        base_url=settings.url,
        headers={"Authorization": f"Bearer {key}"},
        timeout=timeout_s,
    )


def ask(client: httpx.Client, method: str, path: str, **options: Any) -> httpx.Response:
    """Send a request; end the command with the server's own words if it fails."""
    try:
        answer = client.request(method, path, **options)
    except httpx.TransportError as error:
        typer.echo(f"No answer from {client.base_url} ({error}). Start the server with `make run`.", err=True)
        raise typer.Exit(1) from error
    if answer.is_error and path != "/ready":
        typer.echo(f"{method} {path}: {answer.status_code} {answer.text}", err=True)
        raise typer.Exit(1)
    return answer
