"""`ai-server bench media`: the transforms beside bare ffmpeg, `cp`, Pillow and libvips."""

import os
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from configs.settings import usable_cores
from deployments.cli.bench.measure import report
from deployments.cli.bench.media_files import compare_files
from deployments.cli.bench.media_pictures import compare_pictures
from deployments.cli.bench.media_queue import compare_queue


def media(
    runs: Annotated[int, typer.Option(help="How often each side acts; medians are printed.")] = 5,
    only: Annotated[str, typer.Option(help="Which parts: files, queue, pictures.")] = "files,queue,pictures",
    photographs: Annotated[
        Path | None, typer.Option(help="A folder of photographs; without one those of scikit-image.")
    ] = None,
    port: Annotated[int, typer.Option(help="A free port for a server of our own.")] = 8126,
) -> None:
    """Compare whole transforms, from stored file to stored file, with the bare tools."""
    parts = only.split(",")
    _say_load("before")
    with tempfile.TemporaryDirectory(prefix="ai-server-bench-") as name:
        if "files" in parts:
            report("Video, from a stored file to a stored file", list(compare_files(Path(name), runs)))
        if "queue" in parts:
            report("Queued video", [compare_queue(Path(name), runs, port)])
        if "pictures" in parts:
            compare_pictures(Path(name), runs, photographs)
    _say_load("after")


def _say_load(when: str) -> None:
    load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    Console().print(f"Load of the machine {when}: {load}, on {usable_cores()} cores.")
