"""`ai-server bench memory` and `bench startup`: what the server takes from the machine."""

import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated

import httpx
import psutil
import typer
from rich.console import Console
from rich.table import Table

from configs.settings import Settings

START_LIMIT_S = 40.0
MIB = 1024 * 1024


def memory() -> None:
    """Print the resident and unshared memory of every process of the running server."""
    server = _server_process(httpx.URL(Settings.from_environment().url).port or 80)
    table = Table("process", "resident MiB", "unshared MiB", title="Memory")
    total = [0.0, 0.0]
    for process in [server, *server.children(recursive=True)]:
        info = process.memory_full_info()
        sizes = (info.rss / MIB, info.uss / MIB)
        table.add_row(_label(process), *(f"{size:.0f}" for size in sizes))
        total = [before + size for before, size in zip(total, sizes, strict=True)]
    table.add_row("[bold]all[/bold]", *(f"{size:.0f}" for size in total))
    Console().print(table)


def startup(
    config_file: Annotated[Path, typer.Argument(help="A Serve configuration file.")] = Path(
        "serve_config.yaml"
    ),
    port: Annotated[int, typer.Option(help="A free port.")] = 8123,
) -> None:
    """Start a server of our own, and print the seconds until every model is ready."""
    command = [sys.executable, "-m", "deployments.cli.main", "serve", str(config_file), "--port", str(port)]
    started = time.monotonic()
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)  # noqa: S603  # our own command
    try:
        seconds = seconds_to_ready(f"http://127.0.0.1:{port}/ready", server, started)
    finally:
        server.terminate()
        server.wait()
    verdict = "holds" if seconds <= START_LIMIT_S else "missed"
    typer.echo(
        f"from start to ready: {seconds:.1f} s (limit {START_LIMIT_S:.0f} s on 2 idle cores: {verdict})"
    )


def seconds_to_ready(url: str, server: "subprocess.Popen[bytes]", started: float) -> float:
    """Wait until a server of ours answers 200 at `url`, and say how long that took since `started`."""
    while server.poll() is None:
        try:
            if httpx.get(url).status_code == httpx.codes.OK:
                return time.monotonic() - started
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    typer.echo("The server ended before it was ready; run `ai-server serve` to see why.", err=True)
    raise typer.Exit(1)


def _server_process(port: int) -> psutil.Process:
    for process in psutil.process_iter(["cmdline"]):
        words = " ".join(process.info["cmdline"] or [])
        if "ai-server" in words and " serve" in words and _has_listener(process, port):
            return process
    typer.echo(f"No `ai-server serve` that listens on port {port} runs on this machine.", err=True)
    raise typer.Exit(1)


def _has_listener(server: psutil.Process, port: int) -> bool:
    for process in server.children(recursive=True):
        connections = process.net_connections("tcp")
        if any(each.status == psutil.CONN_LISTEN and each.laddr.port == port for each in connections):
            return True
    return False


def _label(process: psutil.Process) -> str:
    words = process.cmdline()
    if words and words[0].startswith("ray::"):
        return words[0]
    return Path(words[0]).name if len(words) == 1 else " ".join(Path(word).name for word in words[:3])
