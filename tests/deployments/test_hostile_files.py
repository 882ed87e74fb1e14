"""Damaged files of every format, to every operation that takes them; `tests/drills` has 2,000 of them."""

import os
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil

from cluster.artifacts.local import LocalArtifactStore
from pipelines.media.reader import READER
from tests.deployments.conftest import stored_files
from tests.hostile.cases import cases
from tests.hostile.verdict import Unacceptable, check_answer

FILES = int(os.environ.get("HOSTILE_FILES", "60"))


async def test_damaged_files(
    client: httpx.AsyncClient, artifacts: LocalArtifactStore, tmp_path: Path
) -> None:
    def fetch(url: str) -> bytes:
        return artifacts.local_path(urlsplit(url).path.removeprefix("/artifacts/")).read_bytes()

    faults = []
    for case in cases(FILES):
        before = stored_files(tmp_path)
        answer = await client.post(case.ask.path, data=case.ask.data, files=case.files, timeout=60)
        try:
            is_accepted = check_answer(case, answer, fetch)
        except Unacceptable as error:
            faults.append(str(error))
            continue
        if not is_accepted and stored_files(tmp_path) != before:
            faults.append(f"{case}: refused, and left a file behind")
    assert faults == []
    assert [each.pid for each in psutil.Process().children(recursive=True)] == [READER.pid]
