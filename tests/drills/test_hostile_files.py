"""2,000 damaged files through the HTTP API: refused in words or done well, and the server is as before."""

import re
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

import httpx
import psutil
import pytest

from tests.drills.harness import default_models, running, write_configuration
from tests.e2e.conftest import ROOT, Server
from tests.hostile.cases import Case, cases
from tests.hostile.verdict import Unacceptable, check_answer

pytestmark = [pytest.mark.drill, pytest.mark.timeout(3_600)]

READER = str(ROOT / "pipelines" / "media" / "reading_server.py")
FILES, WARM_UP = 2_000, 500
AT_ONCE = 3
ANSWER_LIMIT_S = 60
MIB = 1024 * 1024
GROWTH_BYTES = 48 * MIB
"""Of one process after the warm-up; 30 kB lost with each of its files would be more."""
GROWTH_FILES = 8
MODELS = {"tiny-sdxl", "real-esrgan", "picture-reader", "whisper-tiny-en"}


@dataclass
class Outcome:
    """What came of the files so far."""

    accepted: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    results: set[str] = field(default_factory=set)
    """Keys in the artifact store."""
    slowest_s: float = 0.0


@dataclass(frozen=True)
class Weight:
    """What a process holds."""

    name: str
    memory_bytes: int
    files: int


def models() -> list[dict[str, Any]]:
    """Give the models that take files, awake from the beginning."""
    chosen = [model for model in default_models() if model["id"] in MODELS]
    return [{**model, "autoscaling": {"min_replicas": 1}} for model in chosen]


def send(client: httpx.Client, case: Case, outcome: Outcome) -> None:
    """Send one file and judge the answer."""
    began = monotonic()
    try:
        answer = client.post(case.ask.path, data=case.ask.data, files=case.files)
        is_accepted = check_answer(case, answer, lambda url: httpx.get(url).raise_for_status().content)
    except (Unacceptable, httpx.HTTPError) as error:
        outcome.faults.append(f"{case}: {error!r}")
        return
    outcome.slowest_s = max(outcome.slowest_s, monotonic() - began)
    (outcome.accepted if is_accepted else outcome.refused)[case.damage] += 1
    outcome.results.update(re.findall(r"/artifacts/([^\"?]+)", answer.text))


def replicas(server: Server) -> Iterator[psutil.Process]:
    """Find the processes that do the work of the server."""
    for process in psutil.Process(server.process.pid).children(recursive=True):
        if (process.cmdline() or [""])[0].startswith("ray::ServeReplica"):
            yield process


def weights(server: Server) -> dict[int, Weight]:
    """Measure every replica."""
    return {
        process.pid: Weight(process.cmdline()[0], process.memory_info().rss, process.num_fds())
        for process in replicas(server)
    }


def stored(server: Server) -> set[str]:
    """Name every file of the artifact store, drafts too."""
    root = server.data_dir / "artifacts"
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def helpers(server: Server) -> list[list[str]]:
    """Find what ffmpeg, and the processes that look into files, left behind.

    The readers that fork the latter stay, one for each replica that had a file.
    """
    left = []
    for process in psutil.Process(server.process.pid).children(recursive=True):
        line, above = process.cmdline(), process.parent()
        is_reader = READER in line and (above is None or READER not in above.cmdline())
        if not is_reader and any("ffmpeg" in word or "pipelines/media" in word for word in line):
            left.append(line)
    return left


def report(outcome: Outcome, before: dict[int, Weight], after: dict[int, Weight], seconds: float) -> None:
    """Print the figures."""
    print(f"{seconds:.0f} s, slowest answer {outcome.slowest_s:.1f} s")
    print(f"accepted {dict(outcome.accepted)}, refused {dict(outcome.refused)}")
    for pid, first in before.items():
        last = after[pid]
        print(
            f"{first.name}: {first.memory_bytes / MIB:.0f} to {last.memory_bytes / MIB:.0f} MiB,"
            f" {first.files} to {last.files} open files"
        )
    for fault in outcome.faults:
        print(fault)


def test_two_thousand_damaged_files(tmp_path: Path) -> None:
    resources = {"num_cpus": 0.3, "concurrency": AT_ONCE}
    config = write_configuration(tmp_path, models(), transforms={"resources": resources})
    every = list(cases(FILES, with_models=True))
    with running(tmp_path, config) as server:
        began, outcome = monotonic(), Outcome()
        with (
            httpx.Client(base_url=server.url, headers=server.auth, timeout=ANSWER_LIMIT_S) as client,
            ThreadPoolExecutor(AT_ONCE) as threads,
        ):
            list(threads.map(lambda case: send(client, case, outcome), every[:WARM_UP]))
            before = weights(server)
            list(threads.map(lambda case: send(client, case, outcome), every[WARM_UP:]))
        after = weights(server)
        assert after.keys() == before.keys()
        report(outcome, before, after, monotonic() - began)
        assert outcome.faults == []
        assert helpers(server) == []
        assert stored(server) - outcome.results == set()
        for pid, first in before.items():
            assert after[pid].memory_bytes - first.memory_bytes < GROWTH_BYTES, first.name
            assert after[pid].files - first.files <= GROWTH_FILES, first.name
