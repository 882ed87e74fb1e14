"""The `ai-server` command: one file for each subcommand, one line here."""

import typer

from deployments.cli.jobs import jobs
from deployments.cli.keys import keys
from deployments.cli.models import models
from deployments.cli.serve import serve
from deployments.cli.status import status
from deployments.cli.tour import tour
from deployments.cli.usage import usage

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
for name, command in (
    ("serve", serve),
    ("status", status),
    ("models", models),
    ("try", tour),
    ("usage", usage),
):
    app.command(name)(command)
for name, group in (("keys", keys), ("jobs", jobs)):
    app.add_typer(group, name=name)


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
)
def bench(context: typer.Context) -> None:
    """Compare with the bare libraries and peers: bench speech, transforms, media, queue, memory, startup."""
    # Imported here because the benchmarks load the engines, and `serve` should not wait for that.
    from deployments.cli.bench.main import app as benchmarks

    benchmarks(context.args, prog_name="ai-server bench")


if __name__ == "__main__":
    app()
