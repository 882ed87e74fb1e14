"""`ai-server keys`: where the admin key lies (it is made if there is none), and the keys of others.

Works on the job store's database, so no server has to run.
"""

import time
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
from cluster.usage_records import month_of
from configs.settings import Settings
from deployments.cli.opened import failure, opened_database

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
    _explain(budget)


@keys.command("list")
def list_keys() -> None:
    """List all keys, and what each has cost this month (UTC); the first one is the admin's."""
    # Imported here because `ai-server serve` should not wait for SQLAlchemy.
    from cluster.key_store import KeyStore
    from cluster.usage_store import UsageStore

    table = Table("id", Column("name", overflow="fold"), "created", "state", "US$ this month", "limits")
    with opened_database() as database:
        spent = UsageStore(database).spent(month_of(time.time()))
        others = KeyStore(database).all()
    table.add_row(*_admin_row(Settings.from_environment().api_key_file), _dollars(spent.get(ADMIN_ID)))
    for key in others:
        state = "valid" if key.revoked_at is None else "revoked"
        told = (key.id, escape(key.name), _moment(key.created_at), state, _dollars(spent.get(key.id)))
        table.add_row(*told, escape(_limits(key.key)))
    Console().print(table)


@keys.command()
def limit(key_id: KeyId, budget: Budget = None, models: Models = None, providers: Providers = None) -> None:
    """Set what a key may do; what is not given is not limited any more."""
    with _store() as store:
        key = _existing(store, key_id)
        store.update(key.id, budget, _listed(models), _listed(providers))
        typer.echo(f"Key {key.id} ({key.name}): {_limits(_existing(store, key_id).key) or 'no limits'}.")
    _explain(budget)


@keys.command()
def revoke(key_id: KeyId) -> None:
    """Let a key open nothing any more."""
    if key_id == ADMIN_ID:
        path = Settings.from_environment().api_key_file
        raise failure(f"The admin key cannot be revoked. Delete {path} and start the server again.")
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
    # Imported here because `ai-server serve` should not wait for SQLAlchemy.
    from cluster.key_store import KeyStore

    with opened_database() as database:
        yield KeyStore(database)


def _existing(store: "KeyStore", key_id: str) -> "StoredKey":
    for key in store.all():
        if key.id == key_id:
            return key
    raise failure(f"There is no key with the id {key_id}. `ai-server keys list` shows those that there are.")


def _explain(budget: float | None) -> None:
    if budget is not None:
        typer.echo(
            "What it spends follows the `prices` of the configured providers; without them nothing costs.",
            err=True,
        )


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


def _dollars(amount: float | None) -> str:
    return f"{amount:,.2f}" if amount else ""


def _moment(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}Z"
