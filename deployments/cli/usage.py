"""`ai-server usage`: what was used, and what it cost; from the job store's database."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from deployments.cli.opened import opened_database

if TYPE_CHECKING:
    from cluster.usage_records import Totals, UsageRow

_DAY = "%Y-%m-%d"


def usage(
    first: Annotated[
        datetime | None, typer.Option("--from", formats=[_DAY], help="The first day (UTC); else the month's.")
    ] = None,
    last: Annotated[
        datetime | None, typer.Option("--to", formats=[_DAY], help="The last day (UTC); else today.")
    ] = None,
    key: Annotated[
        str | None, typer.Option(help="Id of one API key, as `ai-server keys list` shows it.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object for each row.")] = False,
) -> None:
    """Show requests, tokens, pictures, seconds and dollars by day, key, task, model and provider.

    What a running server noted within the last two seconds may lack.
    """
    # Imported here because `ai-server serve` should not wait for SQLAlchemy.
    from cluster.usage_records import Totals
    from cluster.usage_store import UsageStore

    today = datetime.now(UTC)
    first = first or today.replace(day=1)
    last = last or today
    if f"{first:{_DAY}}" > f"{last:{_DAY}}":
        raise typer.BadParameter("The first day must not come after the last one.", param_hint="--from")
    with opened_database() as database:
        rows = UsageStore(database).rows(f"{first:{_DAY}}", f"{last:{_DAY}}", key)
    if as_json:
        for row in rows:
            typer.echo(json.dumps({**asdict(row.key), **asdict(row.totals)}))
        return
    _print(rows, Totals.sum_of(row.totals for row in rows))


def _print(rows: "list[UsageRow]", total: "Totals") -> None:
    names = [Column(name, overflow="fold") for name in ("day", "key", "task", "model", "provider")]
    figures = ("requests", "failed", "tokens in", "out", "images", "audio s", "US$")
    table = Table(*names, *(Column(name, justify="right") for name in figures))
    for row in rows:
        key = row.key
        table.add_row(
            key.day, key.owner, key.task, escape(key.model), escape(key.provider), *_told(row.totals)
        )
    table.add_section()
    table.add_row("all", "", "", "", "", *_told(total))
    Console().print(table)


def _told(totals: "Totals") -> list[str]:
    counts = (
        totals.requests,
        totals.failures,
        totals.prompt_tokens,
        totals.completion_tokens,
        totals.images,
    )
    return [*(f"{count:,}" for count in counts), f"{totals.audio_s:,.1f}", f"{totals.cost:,.4f}"]
