"""`ai-server keys`: where the admin key lies (it is made if there is none), and the keys of others.

Works on the job store's database, so no server has to run.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from cluster.api_keys import ADMIN_ID, REMEMBERED_S, ApiKey, load_or_create_admin_key
from cluster.jobs.errors import StoreUnavailable
from configs.settings import Settings

if TYPE_CHECKING:
    from cluster.key_store import KeyStore, StoredKey

MAX_NAME = 255
"""As many characters as the database holds."""

keys = typer.Typer(invoke_without_command=True)

KeyId = Annotated[str, typer.Argument(metavar="ID", help="As `ai-server keys list` shows it.")]


@keys.callback()
def where(
    context: typer.Context, show: Annotated[bool, typer.Option(help="Print the key itself.")] = False
) -> None:
    """Say where the admin key lies; make, list and revoke keys for others."""
    if context.invoked_subcommand is not None:
        return
    path = Settings.from_environment().api_key_file
    key = load_or_create_admin_key(path)
    typer.echo(key if show else f"admin: {path}")


Budget = Annotated[
    float | None, typer.Option(min=0, help="US dollars that it may cost a month, by the configured prices.")
]
Models = Annotated[str | None, typer.Option(help="Patterns of the models that it may use: 'gpt-*,smollm2*'.")]
Providers = Annotated[
    str | None, typer.Option(help="Providers that it may use: 'openai,ai-server' (the server's own models).")
]


@keys.command()
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whose key it is.")],
    budget: Budget = None,
    models: Models = None,
    providers: Providers = None,
) -> None:
    """Make a key and print it, this once: only its digest is kept. Without options nothing is limited."""
    if not name.strip() or len(name) > MAX_NAME:
        raise typer.BadParameter(f"A name has 1 to {MAX_NAME} characters.", param_hint="NAME")
    with _store() as store:
        key_id, key = store.create(name, budget, _listed(models), _listed(providers))
    typer.echo(key)  # alone on its stream, so that a script can take it
    typer.echo(f"This is key {key_id}, for {name}. Keep it now: it cannot be shown again.", err=True)


@keys.command("list")
def list_keys() -> None:
    """List all keys; the first one is the admin's."""
    table = Table("id", Column("name", overflow="fold"), "created", "state", "limits")
    table.add_row(*_admin_row(Settings.from_environment().api_key_file))
    with _store() as store:
        for key in store.all():
            state = "valid" if key.revoked_at is None else "revoked"
            table.add_row(key.id, escape(key.name), _moment(key.created_at), state, escape(_limits(key.key)))
    Console().print(table)


@keys.command()
def limit(key_id: KeyId, budget: Budget = None, models: Models = None, providers: Providers = None) -> None:
    """Set what a key may do; what is not given is not limited any more."""
    with _store() as store:
        key = _existing(store, key_id)
        store.update(key.id, budget, _listed(models), _listed(providers))
        typer.echo(f"Key {key.id} ({key.name}): {_limits(_existing(store, key_id).key) or 'no limits'}.")


@keys.command()
def revoke(key_id: KeyId) -> None:
    """Let a key open nothing any more."""
    if key_id == ADMIN_ID:
        path = Settings.from_environment().api_key_file
        raise _failure(f"The admin key cannot be revoked. Delete {path} and start the server again.")
    with _store() as store:
        key = _existing(store, key_id)
        if not store.revoke(key.id):
            typer.echo(f"Key {key.id} ({key.name}) was revoked already.")
            return
    typer.echo(
        f"Key {key.id} ({key.name}) is revoked. It may take {REMEMBERED_S:.0f} s until every server knows it."
    )


@keys.command("webhook-secret")
def webhook_secret(key_id: KeyId = ADMIN_ID) -> None:
    """Print what signs the webhooks of a key; without an ID, the admin's."""
    with _store() as store:
        known_id = key_id if key_id == ADMIN_ID else _existing(store, key_id).id
        typer.echo(store.webhook_secret(known_id))


@contextmanager
def _store() -> Iterator["KeyStore"]:
    """Open the store with its schema up to date; end the command with the reason if that fails."""
    # Imported here because `ai-server serve` should not wait for SQLAlchemy.
    from cluster.jobs.database import Database, DatabaseUrlError
    from cluster.jobs.upgrade import NewerSchema, upgrade
    from cluster.key_store import KeyStore

    settings = Settings.from_environment()
    try:
        database = Database(settings.database_url)
    except DatabaseUrlError as error:
        raise _failure(str(error)) from error
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    try:
        upgrade(database)
        yield KeyStore(database)
    except StoreUnavailable as error:
        # SQLAlchemy leaves the password out.
        raise _failure(f"{error} ({database.engine.url!r}: {_first_line(error.__cause__)})") from error
    except NewerSchema as error:
        raise _failure(str(error)) from error
    finally:
        database.close()


def _existing(store: "KeyStore", key_id: str) -> "StoredKey":
    for key in store.all():
        if key.id == key_id:
            return key
    raise _failure(f"There is no key with the id {key_id}. `ai-server keys list` shows those that there are.")


def _listed(text: str | None) -> list[str] | None:
    return None if text is None else [each.strip() for each in text.split(",") if each.strip()]


def _limits(key: ApiKey) -> str:
    parts = []
    if key.monthly_budget is not None:
        parts.append(f"${key.monthly_budget:,.2f} a month")
    if key.models is not None:
        parts.append(f"models {', '.join(key.models) or 'none'}")
    if key.providers is not None:
        parts.append(f"providers {', '.join(key.providers) or 'none'}")
    return "; ".join(parts)


def _admin_row(path: Path) -> tuple[str, str, str, str]:
    name = escape(f"admin ({path})")
    try:
        return ADMIN_ID, name, _moment(path.stat().st_mtime), "valid"
    except FileNotFoundError:
        return ADMIN_ID, name, "", "not made yet"


def _moment(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}Z"


def _first_line(error: BaseException | None) -> str:
    return str(error).partition("\n")[0]


def _failure(reason: str) -> typer.Exit:
    typer.echo(reason, err=True)
    return typer.Exit(1)
