"""`ai-server jobs`: list, look at, follow, cancel and requeue the jobs of a running server."""

import json
import re
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Annotated, Any, TypeAlias

import httpx
import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.table import Column, Table

from cluster.jobs.job import JobState
from configs.settings import Settings
from deployments.cli.client import ask, connect

Shown: TypeAlias = dict[str, Any]
"""A job as /jobs shows it; what is not known is left out."""

MAX_PAGE = 200
"""As many jobs as the server shows at once."""
MAX_POSITION = 1000
"""The server counts no further; it means that many or more."""
LOOK_AGAIN_S = 2.0
"""The pause before a job is followed again whose stream broke."""

JobId = Annotated[int, typer.Argument(metavar="ID", min=1, help="The job's id.")]
JobIds = Annotated[list[int], typer.Argument(metavar="ID", min=1, help="Ids of jobs.")]
MaybeJobIds = Annotated[list[int] | None, typer.Argument(metavar="ID", min=1, help="Ids of jobs.")]

jobs = typer.Typer(no_args_is_help=True, help="List, look at, follow, cancel and requeue jobs.")


@jobs.command("list")
def list_jobs(
    state: Annotated[JobState | None, typer.Option(case_sensitive=False, help="Only in this state.")] = None,
    task: Annotated[str | None, typer.Option(help="Only of this task, e.g. speech-to-text.")] = None,
    tag: Annotated[str | None, typer.Option(help="Only with this tag.")] = None,
    dead: Annotated[bool, typer.Option("--dead", help="Only dead letters: out of attempts.")] = False,
    everybody: Annotated[bool, typer.Option("--all", help="Every key's; needs the admin key.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
) -> None:
    """List the newest jobs first."""
    wanted = {"state": state, "task": task, "tag": tag, "deadLetter": dead or None, "all": everybody or None}
    table = Table(
        *("id", "key", "state", "task", "model", Column("progress", justify="right"), "attempts", "created"),
        *("tag", Column("error", overflow="fold")),
    )
    there_are_more = False
    with _client() as client:
        for number, job in enumerate(_found(client, wanted, limit + 1)):
            there_are_more = number == limit
            if not there_are_more:
                table.add_row(*(escape(_plain(cell)) for cell in _row(job)))
    console = Console()
    console.print(table)
    if there_are_more:
        console.print(f"There are more: --limit {2 * limit}")


@jobs.command()
def show(job_id: JobId) -> None:
    """Show everything about a job, with its failed attempts and its webhook's deliveries."""
    with _client() as client:
        job = ask(client, "GET", f"/jobs/{job_id}").json()
    lists = {name: job.pop(name, None) or [] for name in ("results", "history", "deliveries")}
    for name, value in _facts(job).items():
        _print_fact(_words(name), value)
    for result in lists["results"]:
        _print_fact("result", _result(result))
    _print_table("failed attempts", lists["history"])
    _print_table("deliveries of the webhook", lists["deliveries"])


@jobs.command()
def watch(job_id: JobId) -> None:
    """Follow a job to its end and print its results; ends with 1 if it was not completed."""
    job: Shown = {}
    with _client() as client, _progress() as progress:
        bar = progress.add_task("", total=1.0, detail="")
        for job in _followed(client, job_id):
            done = 1.0 if job["state"] == JobState.COMPLETED else job["progress"]
            detail = escape(_plain(_detail(job)))
            progress.update(bar, completed=done, description=f"{job['jobId']}: {job['state']}", detail=detail)
    if job["state"] != JobState.COMPLETED:
        raise _failure(_plain(_error(job) or job["state"]))
    for result in job.get("results", ()):
        typer.echo(_plain(_result(result)))


@jobs.command()
def cancel(job_ids: JobIds) -> None:
    """Cancel jobs: a waiting one at once, a running one at its next step."""
    with _client() as client:
        _ask_for_each(client, "DELETE", "/jobs/{}", job_ids)


@jobs.command()
def requeue(
    job_ids: MaybeJobIds = None,
    dead: Annotated[bool, typer.Option("--dead", help="All of your dead letters.")] = False,
) -> None:
    """Give jobs that failed or were cancelled their attempts back."""
    if bool(job_ids) == dead:
        raise typer.BadParameter("Name jobs, or use --dead.", param_hint="ID")
    with _client() as client:
        letters = (job["jobId"] for job in _found(client, {"deadLetter": True}))
        if not _ask_for_each(client, "POST", "/jobs/{}/requeue", job_ids or letters):
            typer.echo("There are no dead letters.")


@jobs.command()
def replay(job_id: JobId) -> None:
    """Deliver the webhook of an ended job once more."""
    with _client() as client:
        job = ask(client, "POST", f"/jobs/{job_id}/webhook").json()
    typer.echo(f"{job_id}: the webhook goes to {_plain(job.get('replyTo', ''))} once more.")


def _client() -> httpx.Client:
    return connect(Settings.from_environment())


def _found(client: httpx.Client, wanted: Shown, limit: int | None = None) -> Iterator[Shown]:
    """Yield jobs, the newest first, page by page; without a limit, all of them."""
    filters = {name: value for name, value in wanted.items() if value is not None}
    cursor: dict[str, str] = {}
    left = limit
    while left is None or left > 0:
        size = MAX_PAGE if left is None else min(left, MAX_PAGE)
        page = ask(client, "GET", "/jobs", params={**filters, **cursor, "limit": size}).json()
        yield from page["jobs"]
        if "next" not in page:
            return
        cursor = {"cursor": page["next"]}
        left = None if left is None else left - size


def _ask_for_each(client: httpx.Client, method: str, path: str, job_ids: Iterable[int]) -> int:
    """Ask for one job after the other, and say how each is then; give how many there were.

    Where the server refuses one of them, the others are still tried before the command ends with 1.
    """
    answered = refused = 0
    for job_id in job_ids:
        try:
            job = ask(client, method, path.format(job_id)).json()
        except typer.Exit as refusal:
            if refusal.__cause__ is not None:  # no answer at all
                raise
            refused += 1
            continue
        answered += 1
        typer.echo(f"{job_id}: {job['state']}")
    if refused:
        raise typer.Exit(1)
    return answered


def _followed(client: httpx.Client, job_id: int) -> Iterator[Shown]:
    """Yield a job whenever it has changed, until it has ended; a stream that breaks is opened again."""
    while True:
        job = ask(client, "GET", f"/jobs/{job_id}").json()
        yield job
        if JobState(job["state"]).is_final:
            return
        with suppress(httpx.TransportError):
            for job in _events(client, f"/jobs/{job_id}/events"):
                yield job
                if JobState(job["state"]).is_final:
                    return
        time.sleep(LOOK_AGAIN_S)


def _events(client: httpx.Client, path: str) -> Iterator[Shown]:
    """Yield what the events carry; end the command with the server's own words if it tells an error."""
    with client.stream("GET", path) as answer:
        if answer.is_error:
            answer.read()
            raise _failure(f"GET {path}: {answer.status_code} {answer.text}")
        for is_error, data in _parsed(answer.iter_bytes()):
            if is_error:
                raise _failure(f"GET {path}: {data.decode()}")
            yield json.loads(data)


def _parsed(chunks: Iterable[bytes]) -> Iterator[tuple[bool, bytes]]:
    """Take server-sent events apart; httpx's own lines would end at U+2028, which a text may contain."""
    rest = b""
    for chunk in chunks:
        *events, rest = (rest + chunk).split(b"\n\n")
        for event in events:
            fields = dict(line.partition(b": ")[::2] for line in event.split(b"\n"))
            if b"data" in fields:  # else a comment, which keeps the connection alive
                yield fields.get(b"event") == b"error", fields[b"data"]


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    # The results alone go to the standard output.
    return Progress(*columns, TextColumn("{task.fields[detail]}"), console=Console(stderr=True))


def _detail(job: Shown) -> str:
    """Say what a job does, how many stand before it and how long it will take, as far as is known."""
    parts = [job["step"]] if "step" in job else []
    if "queuePosition" in job:
        more = "+" if job["queuePosition"] == MAX_POSITION else ""
        parts.append(f"{job['queuePosition']}{more} before it")
    if "estimatedSecondsLeft" in job:
        parts.append(f"about {job['estimatedSecondsLeft']:.0f} s left")
    return ", ".join(parts)


def _facts(job: Shown) -> Shown:
    readable = {"deadLetter": "yes" if job["deadLetter"] else "no", "progress": f"{job['progress']:.0%}"}
    if "responseStatus" in job:
        readable["responseStatus"] = "{errorCode}: {message}".format_map(job["responseStatus"])
    return {**job, **readable}


def _row(job: Shown) -> tuple[str, ...]:
    state = f"{job['state']} (dead letter)" if job["deadLetter"] else job["state"]
    created = job["createdDate"].replace("T", " ").partition(".")[0] + "Z"
    counts = (f"{job['progress']:.0%}", str(job["attempts"]))
    work = (str(job["jobId"]), job["apiKeyId"], state, job["task"], job["model"])
    return (*work, *counts, created, job.get("tag", ""), _error(job))


def _error(job: Shown) -> str:
    message: str = job.get("responseStatus", {}).get("message", "")
    return message


def _result(result: Shown) -> str:
    """Give a file's address, or a text."""
    text: str = result["url"] if "url" in result else result["text"]
    return text


def _print_fact(name: str, value: object) -> None:
    typer.echo(f"{name:24}{_plain(value)}")


def _print_table(title: str, rows: list[Shown]) -> None:
    if not rows:
        return
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = (Column(_words(name), overflow="fold") for name in names)
    table = Table(*columns, title=title, title_justify="left")
    for row in rows:
        table.add_row(*(escape(_plain(row.get(name, ""))) for name in names))
    Console().print(table)


def _words(name: str) -> str:
    """Write ``estimatedSecondsLeft`` as ``estimated seconds left``."""
    return re.sub(r"(?=[A-Z])", " ", name).lower()


def _plain(value: object) -> str:
    """Give the text without the control characters with which a stranger's tag could move the cursor."""
    return re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", "\N{REPLACEMENT CHARACTER}", str(value))


def _failure(reason: str) -> typer.Exit:
    typer.echo(reason, err=True)
    return typer.Exit(1)
