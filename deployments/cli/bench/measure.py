"""Timing two ways to do the same thing side by side."""

import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

from rich.console import Console
from rich.table import Table

Act = Callable[[], object]


@dataclass(frozen=True)
class Comparison:
    """Medians of both sides, in seconds."""

    name: str
    bare_s: float
    ours_s: float
    limit: float
    """What the ratio should not be above (``slower``), or below (``throughput``)."""
    kind: Literal["slower", "throughput"] = "slower"

    @property
    def ratio(self) -> float:
        """Ours over bare for times; bare over ours, which is work per second, for throughput."""
        return self.ours_s / self.bare_s if self.kind == "slower" else self.bare_s / self.ours_s

    @property
    def holds(self) -> bool:
        """Whether the ratio keeps its limit."""
        return self.ratio <= self.limit if self.kind == "slower" else self.ratio >= self.limit


def timed(act: Act, clock: Callable[[], float] = time.perf_counter) -> float:
    """Give the seconds that `act` takes; `time.process_time` counts only what this process computes."""
    started = clock()
    act()
    return clock() - started


def medians(bare: Act, ours: Act, runs: int, prepare: Act = lambda: None) -> tuple[float, float]:
    """Let both act in turn; give both medians in seconds."""
    bare_s, ours_s = interleaved([bare, ours], runs, prepare)
    return bare_s, ours_s


def interleaved(
    acts: Sequence[Act],
    runs: int,
    prepare: Act = lambda: None,
    clock: Callable[[], float] = time.perf_counter,
) -> list[float]:
    """Let all act in turn, once to warm up and `runs` times for the record; give the median seconds of each.

    `prepare` is done before each of them, and not timed.
    """

    def once(act: Act) -> float:
        prepare()
        return timed(act, clock)

    rounds = [[once(act) for act in acts] for _ in range(runs + 1)]
    return [statistics.median(times) for times in zip(*rounds[1:], strict=True)]


def at_once(act: Act, clients: int, times: int) -> None:
    """Let `clients` act at the same time until it was done `times` times."""
    with ThreadPoolExecutor(clients) as pool:
        for done in [pool.submit(act) for _ in range(times)]:
            done.result()


def report(title: str, comparisons: Sequence[Comparison]) -> None:
    """Print a table."""
    table = Table("", "bare", "server", "ratio", "limit", "", title=title)
    for one in comparisons:
        sign = "≤" if one.kind == "slower" else "≥"
        verdict = "[green]holds[/green]" if one.holds else "[red]missed[/red]"
        table.add_row(
            one.name, f"{one.bare_s:.3f} s", f"{one.ours_s:.3f} s", f"{one.ratio:.3f}",
            f"{sign} {one.limit}", verdict,
        )  # fmt: skip
    Console().print(table)
