"""`ai-server keys`: where the API key lies; it is made if there is none."""

import typer

from cluster.api_keys import load_or_create_admin_key
from configs.settings import Settings


def keys(show: bool = typer.Option(False, help="Print the key itself.")) -> None:
    """Say where the admin key lies."""
    path = Settings.from_environment().api_key_file
    key = load_or_create_admin_key(path)
    typer.echo(key if show else f"admin: {path}")
