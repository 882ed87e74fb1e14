"""Files that mean harm, through the HTTP API: refused in words, or used, and nothing of them stays."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from cluster.artifacts.local import LocalArtifactStore
from deployments.gateway import Gateway, Route
from pipelines.audio_decoding import open_sound
from pipelines.tasks.base import Workspace
from pipelines.tasks.speech_to_text import Segment, SpeechToTextRequest, SpeechToTextSummary
from pipelines.transforms import TRANSFORMS
from tests.deployments.conftest import stored_files
from tests.deployments.fakes import Doubler, LocalBackend, SeedPainter
from tests.deployments.stored import film, picture
from tests.hostile_media import HOSTILE_MEDIA
from tests.hostile_pictures import HOSTILE_PICTURES


class Stopwatch:
    """Says how long a recording is."""

    def speech_to_text(
        self, request: SpeechToTextRequest, workspace: Workspace
    ) -> Iterator[Segment | SpeechToTextSummary]:
        """Yield one segment."""
        with open_sound(workspace.input(request.audio), workspace) as sound:
            length_s = sound.duration_s
        yield Segment(id=0, start_s=0, end_s=length_s, text=f"{length_s:.2f} seconds")
        yield SpeechToTextSummary(language="en", duration_s=length_s)


@pytest.fixture
def gateway(artifacts: LocalArtifactStore) -> Gateway:
    return Gateway(
        (
            Route("painter", ("image-to-image", "image-with-mask"), LocalBackend(artifacts, SeedPainter())),
            Route("doubler", ("image-upscale",), LocalBackend(artifacts, Doubler())),
            Route("stopwatch", ("speech-to-text",), LocalBackend(artifacts, Stopwatch())),
            Route("transforms", tuple(TRANSFORMS), LocalBackend(artifacts)),
        )
    )


async def refused(
    client: httpx.AsyncClient, path: str, files: Mapping[str, bytes], fields: Mapping[str, str] | None = None
) -> str:
    """Give the words of a refusal."""
    sent = {name: ("../../nice.png", data, "image/png") for name, data in files.items()}
    answer = await client.post(path, data=fields or {}, files=sent)
    assert 400 <= answer.status_code < 500, answer.text
    return answer.text


@pytest.mark.filterwarnings("ignore:Tag data larger")
@pytest.mark.parametrize("name", list(HOSTILE_PICTURES))
async def test_pictures(client: httpx.AsyncClient, tmp_path: Path, name: str) -> None:
    make, words = HOSTILE_PICTURES[name]
    bad, good = make(), picture(8, 8)
    assert words in await refused(client, "/api/ScaleImage", {"image": bad}, {"width": "4"})
    assert words in await refused(client, "/api/WatermarkImage", {"image": good, "watermark": bad})
    if words != "damaged":  # the other models here read the header alone
        drawn = {"positivePrompt": "a"}
        assert words in await refused(client, "/api/ImageUpscale", {"image": bad})
        assert words in await refused(client, "/api/ImageToImage", {"image": bad}, drawn)
        assert words in await refused(client, "/api/ImageWithMask", {"image": good, "mask": bad}, drawn)
        assert words in await refused(client, "/v1/images/edits", {"image": bad}, {"prompt": "a"})
    assert stored_files(tmp_path) == []


@pytest.mark.parametrize("name", list(HOSTILE_MEDIA))
async def test_sound_and_video(client: httpx.AsyncClient, tmp_path: Path, name: str) -> None:
    make, words = HOSTILE_MEDIA[name]
    data = make()
    if words is not None:
        assert words in await refused(client, "/api/ScaleVideo", {"video": data}, {"width": "80"})
        assert stored_files(tmp_path) == []
    sound = await client.post(
        "/api/ConvertAudio", data={"outputFormat": "mp3"}, files={"audio": ("a.mp3", data)}
    )
    heard = await client.post("/api/SpeechToText", files={"audio": ("a.mp3", data)})
    for answer in (sound, heard):
        assert answer.status_code == 200 or (words and 400 <= answer.status_code < 500), answer.text


async def test_a_stranger_in_the_disguise_of_a_recording(client: httpx.AsyncClient) -> None:
    assert "Send a video" in await refused(client, "/v1/audio/transcriptions", {"file": b"#EXTM3U\nfile:a\n"})
    mark = {"video": film(160, 120), "watermark": HOSTILE_PICTURES["SVG"][0]()}
    assert "Accepted: jpg" in await refused(client, "/api/WatermarkVideo", mark)


@pytest.mark.parametrize(
    "name",
    [
        "../../../etc/passwd",
        "/etc/passwd",
        "..\\..\\a.exe",
        "a\u202e4pm.exe",
        "a" * 900,
        ".",
        "..",
        "\x01.\x7f",
    ],
)
async def test_names_are_no_paths(
    client: httpx.AsyncClient, artifacts: LocalArtifactStore, tmp_path: Path, name: str
) -> None:
    answer = await client.post(
        "/api/ConvertImage", data={"outputFormat": "png"}, files={"image": (name, picture(8, 8))}
    )
    assert answer.status_code == 200, answer.text
    (result,) = answer.json()["results"]
    shown = result["fileName"]
    assert not set(shown) & {"/", "\\", "\0", "\u202e", "\x01", "\x7f"}
    assert len(shown) <= 255
    assert shown.endswith(".png")
    assert len(stored_files(tmp_path)) == 1
    path = urlsplit(result["url"]).path
    download = await client.get(path, params={"download": "true"})
    assert download.headers["content-disposition"] == f'attachment; filename="{path.rpartition("/")[2]}"'
