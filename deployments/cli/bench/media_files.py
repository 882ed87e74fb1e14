"""Single transforms of video: their time over the bare command's."""

import hashlib
import os
import shutil
import statistics
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console

from cluster.api_keys import ADMIN_ID
from cluster.artifacts.local import LocalArtifactStore
from cluster.artifacts.store import Area
from configs.settings import usable_cores
from deployments.cli.bench.measure import Comparison, medians, timed
from deployments.cli.bench.media_clips import clip, encode, large_clip
from deployments.workspace import RunWorkspace
from pipelines.images import Size
from pipelines.tasks.base import MediaKey, MediaLimits, RunLimits
from pipelines.transforms import TRANSFORMS

MEGABYTES = 500


class Replica:
    """Does transforms as a replica does: from the store, through its checks and limits, into the store."""

    def __init__(self, folder: Path, threads: int = 1) -> None:
        self._store = LocalArtifactStore(folder)
        limits = RunLimits(media=MediaLimits(threads=threads))
        self._workspace = RunWorkspace(self._store, ADMIN_ID, limits)

    def add(self, file: Path) -> MediaKey:
        """Store an input."""
        with (
            self._store.create(area=Area.INPUT, owner=ADMIN_ID, extension=file.suffix[1:]) as writer,
            file.open("rb") as source,
        ):
            shutil.copyfileobj(source, writer.file)
        return writer.key

    def do(self, name: str, **fields: Any) -> Any:
        """Do one transform and give its result."""
        transform = TRANSFORMS[name]
        return transform.run(transform.request(**fields), self._workspace)

    def path(self, key: MediaKey) -> Path:
        """Give the file of a result."""
        return self._store.local_path(key)

    def forget(self, key: MediaKey) -> None:
        """Remove a result: one that is there already is not written again."""
        self._store.delete(key)


def compare_files(folder: Path, runs: int) -> Iterator[Comparison]:
    """Yield the comparisons; each side writes its file anew, with nothing left for the disk to do before."""
    replica = Replica(folder / "store", usable_cores())
    film = clip(folder / "film.mp4", "1920x1080", 30)
    yield _scale("scale 30 s from 1080p to 720p / ffmpeg", film, (1280, 720), replica, runs, 1.05)
    short = clip(folder / "short.mp4", "320x240", 1)
    yield _scale("scale 1 s of 320 x 240 (no target) / ffmpeg", short, (160, 120), replica, 3 * runs, 2.0)
    yield _trim(large_clip(folder / "large.mp4", MEGABYTES), replica, runs)


def _scale(name: str, film: Path, size: Size, replica: Replica, runs: int, limit: float) -> Comparison:
    key, target = replica.add(film), film.with_name("scaled.mp4")
    filters = f"scale={size[0]}:{size[1]}:flags=bicubic,format=yuv420p"

    def bare() -> None:
        encode(film, target, filters, usable_cores())

    def ours() -> None:
        replica.forget(replica.do("scale-video", video=key, width=size[0]).video)

    return Comparison(name, *medians(bare, ours, runs, os.sync), limit)


def _trim(film: Path, replica: Replica, runs: int) -> Comparison:
    key, copy = replica.add(film), film.with_name("copy.mp4")
    film.unlink()
    source = replica.path(key)
    made: list[MediaKey] = []

    def prepare() -> None:
        copy.unlink(missing_ok=True)
        while made:
            replica.forget(made.pop())
        os.sync()

    def bare() -> None:
        subprocess.run(["cp", source, copy], check=True)  # noqa: S603, S607  # what everyone compares with

    def ours() -> None:
        made.append(replica.do("trim-video", video=key, start_s=1.0, mode="keyframe").video)

    bare_s, ours_s = medians(bare, ours, runs, prepare)
    hash_s = statistics.median(timed(lambda: _hash(source)) for _ in range(runs))
    Console().print(
        f"sha256 of {MEGABYTES} MB, which is the name of the result, takes {hash_s:.3f} s:"
        f" {hash_s / ours_s:.0%} of ours, {hash_s / bare_s:.2f} of cp."
    )
    return Comparison(f"trim {MEGABYTES} MB at key frames / cp", bare_s, ours_s, 1.5)


def _hash(path: Path) -> None:
    with path.open("rb", buffering=0) as file:
        hashlib.file_digest(file, "sha256")
