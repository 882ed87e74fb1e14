"""Video on a real cluster: Ray tasks beside the replicas, progress, cancellation, and processes that die."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.e2e.conftest import Server
from tests.e2e.test_queue import artifacts_of, ended, events_of, until
from tests.e2e.test_servicestack import picture
from tests.pipelines.media.clips import X264, make

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Noise, which takes VP9 some seconds."""
    source = ("-f", "lavfi", "-i", "testsrc2=size=640x360:rate=30:duration=8,noise=alls=40:allf=t")
    return make(tmp_path_factory.mktemp("film") / "film.mp4", *source, *X264).read_bytes()


def queued(client: httpx.Client, film: bytes, **fields: Any) -> int:
    """Queue a conversion that takes some seconds."""
    answer = client.post(
        "/api/QueueConvertVideo",
        data={"outputFormat": "webm", **fields},
        files={"video": ("film.mp4", film, "video/mp4")},
    )
    job_id: int = answer.raise_for_status().json()["jobId"]
    return job_id


def converted(client: httpx.Client, film: bytes) -> httpx.Response:
    """Convert, and wait for it."""
    files = {"video": ("film.mp4", film, "video/mp4")}
    return client.post("/api/ConvertVideo", data={"outputFormat": "webm"}, files=files)


def family_of(server: Server) -> Iterator[tuple[psutil.Process, list[str]]]:
    """Give the server's processes with their command lines."""
    for process in psutil.Process(server.process.pid).children(recursive=True):
        try:
            yield process, process.cmdline()
        except psutil.NoSuchProcess:
            continue


def encoders_of(server: Server) -> list[psutil.Process]:
    """Find every ffmpeg that works."""
    return [process for process, words in family_of(server) if "-progress" in words]


def drafts_of(server: Server) -> list[Path]:
    """Name what is being written."""
    return list((server.data_dir / "artifacts" / ".drafts").iterdir())


def test_a_conversion_tells_how_far_it_is(client: httpx.Client, film: bytes) -> None:
    events = [event for event, _ in events_of(client, queued(client, film))]
    shares = [event["progress"] for event in events if event["state"] == "Started"]
    assert shares == sorted(shares)
    assert any(0.05 < share < 0.95 for share in shares)
    assert events[-1]["results"][0]["url"].endswith(".webm")


def test_a_cancelled_conversion_ends_its_ffmpeg_within_a_second(
    server: Server, client: httpx.Client, film: bytes
) -> None:
    before = artifacts_of(server)
    job_id = queued(client, film)
    encoder = until("ffmpeg", lambda: encoders_of(server))[0]
    assert client.delete(f"/jobs/{job_id}").json()["state"] == "Cancelled"
    encoder.wait(1)
    assert not encoders_of(server)
    until("the end of its draft", lambda: not drafts_of(server), 5)
    assert artifacts_of(server) == before


def test_a_conversion_whose_process_dies_leaves_no_ffmpeg_and_goes_well_the_second_time(
    server: Server, client: httpx.Client, film: bytes
) -> None:
    job_id = queued(client, film)
    encoder = until("ffmpeg", lambda: encoders_of(server))[0]
    worker = encoder.parent()
    assert worker is not None
    assert worker.cmdline()[0].startswith("ray::convert-video")
    assert encoder.nice() > 0
    worker.kill()
    encoder.wait(1)
    job = ended(client, job_id)
    assert (job["state"], job["attempts"]) == ("Completed", 2)
    assert httpx.get(job["results"][0]["url"]).status_code == 200


def test_what_nobody_waits_for_any_more_ends(server: Server, film: bytes) -> None:
    impatient = httpx.Client(base_url=server.url, headers=server.auth, timeout=1)
    with impatient, pytest.raises(httpx.ReadTimeout):
        converted(impatient, film)
    until("the end of its ffmpeg", lambda: not encoders_of(server), 5)


def test_a_replica_that_dies_leaves_no_ffmpeg_and_the_next_one_answers(
    server: Server, client: httpx.Client, film: bytes
) -> None:
    with ThreadPoolExecutor(1) as background:
        answer = background.submit(converted, client, film)
        encoder = until("ffmpeg", lambda: encoders_of(server))[0]
        replica = encoder.parent()
        assert replica is not None
        assert replica.cmdline()[0].endswith(":transforms")
        replica.kill()
        encoder.wait(1)
        assert answer.result().status_code == 200


def test_a_queue_full_of_conversions_holds_up_nobody_who_waits(
    server: Server, client: httpx.Client, film: bytes
) -> None:
    jobs = [queued(client, film, quality=60 + number) for number in range(6)]
    until("two at once", lambda: len(encoders_of(server)) == 2)
    started = time.monotonic()
    scaled = client.post("/api/ScaleImage", data={"width": 40}, files={"image": ("p.png", picture(80, 60))})
    spoken = client.post("/api/TextToSpeech", json={"input": "Hello.", "model": "hibari"})
    assert (scaled.status_code, spoken.status_code) == (200, 200)
    assert time.monotonic() - started < 10
    assert client.get(f"/jobs/{jobs[-1]}").json()["state"] == "Queued"
    for job_id in jobs:
        client.delete(f"/jobs/{job_id}")
    until("their end", lambda: not encoders_of(server), 5)
