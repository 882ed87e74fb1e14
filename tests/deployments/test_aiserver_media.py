"""The operations on video and sound, as AI Server's clients see them."""

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import av
import httpx
import pytest

from cluster.artifacts.local import LocalArtifactStore
from tests.deployments.conftest import refusal, stored_files
from tests.deployments.queue import LocalQueue
from tests.deployments.stored import film
from tests.deployments.test_aiserver_pictures import picture


@pytest.fixture
def clip() -> bytes:
    return film(160, 120)


def opened(artifacts: LocalArtifactStore, answer: httpx.Response) -> Any:
    """Open the media file that the answer's URL leads to."""
    assert answer.status_code == 200, answer.text
    path = urlsplit(answer.json()["results"][0]["url"]).path
    return av.open(str(artifacts.local_path(path.removeprefix("/artifacts/"))))


@pytest.mark.parametrize(
    ("operation", "fields", "size"),
    [
        ("ScaleVideo", {"width": "80", "height": "0"}, (80, 60)),
        ("ScaleVideo", {"HEIGHT": "60", "quality": "50", "mute": "true"}, (80, 60)),
        ("CropVideo", {"x": "0", "y": "0", "width": "64", "height": "48"}, (64, 48)),
        ("WatermarkVideo", {"position": "TopLeft", "opacity": "0.5", "watermarkScale": "0.3"}, (160, 120)),
        ("TrimVideo", {"startTime": "0:00", "endTime": "00:00:00.6"}, (160, 120)),
    ],
)
async def test_videos(
    client: httpx.AsyncClient,
    artifacts: LocalArtifactStore,
    clip: bytes,
    operation: str,
    fields: dict[str, str],
    size: tuple[int, int],
) -> None:
    files = {"video": ("a.mp4", clip)}
    if operation == "WatermarkVideo":
        files["watermark"] = ("w.png", picture())
    answer = await client.post(f"/api/{operation}", data=fields, files=files)
    with opened(artifacts, answer) as container:
        video = container.streams.video[0]
        assert (video.width, video.height) == size
        assert len(container.streams.audio) == (0 if "mute" in fields else 1)
        assert video.frames == (3 if operation == "TrimVideo" else 10)
    (result,) = answer.json()["results"]
    assert (result["width"], result["height"]) == size


@pytest.mark.parametrize(
    ("operation", "field", "target", "name"),
    [
        ("ConvertVideo", "video", "WebM", "a.webm"),
        ("ConvertVideo", "video", "MKV", "a.mkv"),
        ("ConvertVideo", "video", "OGG", "a.ogv"),
        ("ConvertAudio", "audio", "AudioFormat.MP3", "a.mp3"),
        ("ExtractAudio", "video", "", "a.m4a"),
        ("ThumbnailVideo", "video", "", "a.jpg"),
    ],
)
async def test_conversions_keep_the_name(
    client: httpx.AsyncClient,
    artifacts: LocalArtifactStore,
    clip: bytes,
    operation: str,
    field: str,
    target: str,
    name: str,
) -> None:
    answer = await client.post(
        f"/api/{operation}", data={"outputFormat": target}, files={field: ("a.mp4", clip)}
    )
    opened(artifacts, answer).close()
    assert answer.json()["results"][0]["fileName"] == name


async def test_probe(client: httpx.AsyncClient, clip: bytes) -> None:
    answer = await client.post("/api/ProbeMedia", files={"media": ("a.bin", clip)})
    facts = answer.json()["result"]
    assert "chatResponse" not in answer.json()
    assert facts["durationS"] == pytest.approx(2.0, abs=0.05)
    assert facts["video"][0]["hasVariableRate"] is False
    assert facts["audio"][0]["sampleRate"] == 44_100


@pytest.mark.parametrize(
    ("operation", "fields", "field", "words"),
    [
        ("CropVideo", {"x": "100", "y": "0", "width": "100", "height": "9"}, "Width", "160 x 120"),
        ("TrimVideo", {"startTime": "1:99"}, "StartTime", "HH:MM:SS"),
        ("TrimVideo", {"startTime": "0:01", "endTime": "0:01"}, "EndTime", "after the start"),
        ("TrimVideo", {"startTime": "9:00"}, "StartTime", "ends before"),
        ("ScaleVideo", {}, "Width", "width, height or both"),
        ("ScaleVideo", {"width": "9000"}, "Width", "7680"),
        ("ConvertVideo", {"outputFormat": "exe"}, "OutputFormat", "mp4"),
        ("ScaleVideo", {"width": "80", "videoKbps": "90", "quality": "9"}, "VideoKbps", "not both"),
    ],
)
async def test_wrong_fields(
    client: httpx.AsyncClient,
    clip: bytes,
    tmp_path: Path,
    operation: str,
    fields: dict[str, str],
    field: str,
    words: str,
) -> None:
    answer = await client.post(f"/api/{operation}", data=fields, files={"video": ("a.mp4", clip)})
    status = refusal(answer)
    assert status["errors"][0]["fieldName"] == field
    assert words in status["message"]
    assert stored_files(tmp_path) == []


@pytest.mark.parametrize("content", [b"", b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1/\n", b"<svg/>", b"words"])
async def test_no_media(client: httpx.AsyncClient, content: bytes, tmp_path: Path) -> None:
    answer = await client.post("/api/ScaleVideo", data={"width": "80"}, files={"video": ("a.mp4", content)})
    assert 400 <= answer.status_code < 500
    assert answer.json()["responseStatus"]["errors"][0]["fieldName"] == "Video"
    assert stored_files(tmp_path) == []


@pytest.mark.parametrize(
    ("operation", "field", "fields", "culprit"),
    [
        ("QueueTrimVideo", "video", {"startTime": "3", "endTime": "2"}, "EndTime"),
        ("QueueScaleVideo", "video", {}, "Width"),
        (
            "QueueConvertVideo",
            "video",
            {"outputFormat": "mp4", "quality": "5", "videoKbps": "90"},
            "VideoKbps",
        ),
        ("QueueScaleImage", "image", {}, "Width"),
    ],
)
async def test_what_no_file_can_mend_is_not_queued(
    client: httpx.AsyncClient,
    tmp_path: Path,
    operation: str,
    field: str,
    fields: dict[str, str],
    culprit: str,
) -> None:
    answer = await client.post(f"/api/{operation}", data=fields, files={field: ("a.mp4", b"whatever")})
    assert refusal(answer)["errors"][0]["fieldName"] == culprit
    assert not stored_files(tmp_path)


async def test_queued(client: httpx.AsyncClient, queue: LocalQueue, clip: bytes) -> None:
    files = {"video": ("a.mp4", clip)}
    tickets = {
        "ScaleVideo": await client.post("/api/QueueScaleVideo", data={"width": "80"}, files=files),
        "ProbeMedia": await client.post("/api/QueueProbeMedia", files={"media": ("a.mp4", clip)}),
    }
    async with queue.dispatching():
        for ticket in tickets.values():
            await queue.ended(ticket.json()["jobId"])
    statuses = {
        name: (
            await client.get("/api/GetArtifactGenerationStatus", params={"refId": ticket.json()["refId"]})
        ).json()
        for name, ticket in tickets.items()
    }
    assert statuses["ScaleVideo"]["jobState"] == statuses["ProbeMedia"]["jobState"] == "Completed"
    assert statuses["ScaleVideo"]["results"][0]["width"] == 80
    assert statuses["ProbeMedia"]["result"]["video"][0]["codec"] == "h264"
