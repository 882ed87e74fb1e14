"""Queued conversions of video on a server of our own, beside as many bare ffmpegs as there are cores."""

import time
from itertools import count
from pathlib import Path

import httpx

from configs.settings import usable_cores
from deployments.cli.bench.measure import Comparison, at_once, medians
from deployments.cli.bench.media_clips import clip, encode
from deployments.cli.bench.own_server import own_server
from deployments.cli.client import ask
from deployments.transform_task import NICENESS
from pipelines.media.plans import DEFAULT_QUALITY

JOBS = 8
_POLL_S = 0.05


def compare_queue(folder: Path, runs: int, port: int) -> Comparison:
    """Compare the time from the first upload until the last result is stored; one thread for each film."""
    cores = usable_cores()
    film = clip(folder / "queued.mp4", "1280x720", 5)
    numbers = count()

    def one_bare() -> None:
        target = folder / f"converted-{next(numbers) % cores}.mp4"
        encode(film, target, "format=yuv420p", threads=1, niceness=NICENESS)

    jobs = {"num_cpus": 1, "threads": 1, "at_once": cores}
    with (
        own_server(folder, port, {"models": [], "transforms": {"jobs": jobs}}) as server,
        httpx.Client(
            base_url=server.url, headers={"Authorization": f"Bearer {server.key}"}, timeout=60
        ) as client,
    ):
        times = medians(
            lambda: at_once(one_bare, cores, JOBS), lambda: _convert(client, film, JOBS), max(1, runs // 2)
        )
    return Comparison(f"{JOBS} conversions, {cores} at once / ffmpeg", *times, 0.9, "throughput")


def _convert(client: httpx.Client, film: Path, jobs: int) -> None:
    ids = [_submit(client, film) for _ in range(jobs)]
    while ids:
        answer = ask(client, "GET", "/api/GetArtifactGenerationStatus", params={"jobId": ids[0]}).json()
        if answer["jobState"] == "Completed":
            ids.pop(0)
        elif answer["jobState"] in ("Queued", "Started"):
            time.sleep(_POLL_S)
        else:
            raise RuntimeError(f"A conversion ended otherwise: {answer}")


def _submit(client: httpx.Client, film: Path) -> int:
    # With a quality, or the streams would be copied.
    fields = {"outputFormat": "mp4", "quality": str(DEFAULT_QUALITY)}
    with film.open("rb") as file:
        answer = ask(client, "POST", "/api/QueueConvertVideo", data=fields, files={"video": file})
    return int(answer.json()["jobId"])
