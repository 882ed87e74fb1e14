"""The subcommands of `ai-server bench`."""

import typer

from deployments.cli.bench.chat import chat_bench
from deployments.cli.bench.images import images
from deployments.cli.bench.machine import memory, startup
from deployments.cli.bench.media import media
from deployments.cli.bench.pictures import pictures
from deployments.cli.bench.queue import queue
from deployments.cli.bench.speech import speech
from deployments.cli.bench.transforms import transforms

app = typer.Typer(no_args_is_help=True, help="The server beside the bare libraries: ratios of medians.")
app.command("chat")(chat_bench)
for command in (speech, images, pictures, transforms, media, queue, memory, startup):
    app.command()(command)
