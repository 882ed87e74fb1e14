"""`ai-server bench chat`: the way to a provider, beside LiteLLM's proxy and the bare provider, in turn."""

import statistics
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import psutil
import typer
from rich.console import Console
from rich.table import Table

from configs.settings import Settings
from deployments.cli.bench.chat_load import Load, Side, chat
from deployments.cli.bench.litellm_peer import install, litellm
from deployments.cli.bench.own_server import OwnServer, own_server

CLIENTS = (1, 16, 64)
THROUGHPUT_LIMIT = {False: 4.0, True: 12.0}
"""Times LiteLLM's, by whether HAProxy is in front."""
LATENCY_LIMIT = 1 / 3
"""Of what LiteLLM adds."""
HAPROXY = {"RAY_SERVE_ENABLE_HA_PROXY": "1", "RAY_SERVE_USE_GRPC_BY_DEFAULT": "1"}
MIB = 1024 * 1024


@dataclass(frozen=True)
class _Case:
    """What one row of the table is about."""

    delay_s: float
    clients: int
    stream: bool

    def __str__(self) -> str:
        kind = "stream" if self.stream else "whole"
        return f"{self.delay_s * 1000:.0f} ms, {self.clients} clients, {kind}"


def chat_bench(
    requests: Annotated[int, typer.Option(help="Of each side, for each row and run.")] = 600,
    runs: Annotated[int, typer.Option(help="How often the sides take turns.")] = 3,
    memory: Annotated[
        int, typer.Option(help="Requests between two looks at our memory; 0 looks not.")
    ] = 20_000,
    haproxy: Annotated[
        bool, typer.Option(help="Put HAProxy in front; it listens on all interfaces.")
    ] = False,
    peer: Annotated[
        Path | None, typer.Option(help="Environment of LiteLLM; made where it is missing.")
    ] = None,
    port: Annotated[int, typer.Option(help="The first of four free ones.")] = 8130,
) -> None:
    """Print requests per second, what is added to the provider's own time, and memory.

    Starts a provider that answers at once (or after 50 ms), a server of ours and LiteLLM in front of it.
    """
    command = install(peer or Settings.from_environment().data_dir / "bench" / "litellm")
    for delay_s in (0.0, 0.05):
        cases = [_Case(delay_s, clients, stream) for clients in CLIENTS for stream in (False, True)]
        with TemporaryDirectory(prefix="ai-server-bench-") as name, ExitStack() as stack:
            folder = Path(name)
            bare = stack.enter_context(_upstream(port, delay_s))
            server = stack.enter_context(
                own_server(folder, port + 1, _arguments(bare.url), HAPROXY if haproxy else None)
            )
            ours = Side("ours", f"{server.url}/v1", server.key)
            theirs = stack.enter_context(litellm(command, folder, port + 2, bare.url))
            _report([_row(case, (bare, ours, theirs), requests, runs) for case in cases], haproxy)
            if memory and not delay_s:
                _report_memory(ours, server, memory)


def _row(case: _Case, sides: Sequence[Side], requests: int, runs: int) -> tuple[_Case, list[list[Load]]]:
    """Let the sides take turns; few clients need fewer requests for the same time."""
    count = requests if case.clients > 1 else max(100, requests // 4)
    taken: list[list[Load]] = [[] for _ in sides]
    for _ in range(runs):
        for loads, side in zip(taken, sides, strict=True):
            loads.append(chat(side, clients=case.clients, requests=count, stream=case.stream))
    return case, taken


def _report(rows: Sequence[tuple[_Case, list[list[Load]]]], haproxy: bool) -> None:
    title = "Chat through HAProxy" if haproxy else "Chat through Serve's own proxy"
    columns = ("provider's", "ours", "LiteLLM", "ratio", "added p50/p95/p99 ms", "LiteLLM's", "ratio of p50")
    table = Table("", *(f"{name}/s" if name in columns[:3] else name for name in columns), title=title)
    table.add_column("first byte ms: ours, LiteLLM")
    for case, (bare, ours, theirs) in rows:
        rates = [_median(load.per_second for load in side) for side in (bare, ours, theirs)]
        added = [[_added_ms(side, bare, percent) for percent in (50, 95, 99)] for side in (ours, theirs)]
        firsts = [
            1000 * _median(statistics.median(load.firsts_s) for load in side) for side in (ours, theirs)
        ]
        times, share = rates[1] / rates[2], added[0][0] / added[1][0]
        table.add_row(
            str(case),
            *(f"{rate:.0f}" for rate in rates),
            _judged(f"{times:.1f} x", times >= THROUGHPUT_LIMIT[haproxy]),
            *(" / ".join(f"{each:.1f}" for each in side) for side in added),
            _judged(f"{share:.2f}", share <= LATENCY_LIMIT),
            ", ".join(f"{each:.1f}" for each in firsts),
        )
    Console(width=160).print(table)


def _judged(text: str, holds: bool) -> str:
    return f"[green]{text}[/green]" if holds else f"[red]{text}[/red]"


def _added_ms(side: Sequence[Load], bare: Sequence[Load], percent: int) -> float:
    ours, theirs = (_median(load.latency_s(percent) for load in loads) for loads in (side, bare))
    return 1000 * (ours - theirs)


def _median(values: Iterable[float]) -> float:
    return statistics.median(values)


def _report_memory(side: Side, server: OwnServer, requests: int) -> None:
    ingress = next(each for each in server.process.children(recursive=True) if "ingress" in _title(each))
    sizes = []
    for _ in range(3):
        sizes.append(ingress.memory_info().rss / MIB)
        chat(side, clients=16, requests=requests // 2, stream=False)
    sizes.append(ingress.memory_info().rss / MIB)
    told = " -> ".join(f"{size:.0f}" for size in sizes)
    typer.echo(f"resident MiB of the ingress, every {requests // 2} requests: {told}")


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


@contextmanager
def _upstream(port: int, delay_s: float) -> Iterator[Side]:
    command = [sys.executable, "-m", "deployments.cli.bench.chat_upstream", str(port), str(delay_s)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)  # noqa: S603  # our own command
    try:
        process.stdout.readline()  # type: ignore[union-attr]  # it tells that it listens
        yield Side("the provider", f"http://127.0.0.1:{port}/v1", "sk-none")
    finally:
        process.terminate()
        process.wait()


def _arguments(upstream: str) -> dict[str, object]:
    provider = {"id": "upstream", "base_url": upstream, "concurrency": 1_000, "discover": False}
    model = {"id": "bench", "tasks": ["chat"], "external": [{"provider": "upstream", "model": "bench"}]}
    return {
        "providers": [provider],
        "models": [model],
        "transforms": {"enabled": False},
        "ingress": {"access_log": False},
    }
