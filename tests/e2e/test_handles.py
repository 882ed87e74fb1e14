"""Another Python service of the cluster: a driver process of its own that calls by handle."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import ROOT, Server
from tests.pipelines.media.clips import PICTURE, TONE, X264, make

pytestmark = pytest.mark.e2e

DRIVER = """
import io
import json

from PIL import Image

from deployments.errors import ModelNotFound
from deployments.handles import AiServer
from pipelines.errors import InvalidInput

server = AiServer.connect()
spoken = server.text_to_speech("The quick brown fox jumps over the lazy dog.", voice="hibari")
heard = server.speech_to_text(server.read(spoken.audio), word_timestamps=True)
picture = io.BytesIO()
Image.new("RGB", (64, 48), "teal").save(picture, "PNG")
scaled = server.scale_image(picture.getvalue(), width=32)
cropped = server.crop_image(picture.getvalue(), x=1, y=2, width=10, height=20)
marked = server.watermark_image(picture.getvalue(), picture.getvalue(), watermark_scale=0.2)
converted = server.convert_image(picture.getvalue(), output_format="webp")
drawn = server.text_to_image("a red apple", width=128, height=128, batch_size=2, seed=5)
apple = server.read(drawn.images[0].image)
redrawn = server.image_to_image(apple, "a banana", denoise=0.6)
mask = io.BytesIO()
Image.new("RGB", (128, 128), "red").save(mask, "PNG")
repainted = server.image_with_mask(apple, mask.getvalue(), "a banana")
larger = server.image_upscale(apple, scale=3)
described = server.image_to_text(apple)
refused = []
for call in (
    lambda: server.text_to_speech("hello", voice="nobody"),
    lambda: server.speech_to_text(b"this is text", model="whisper-base"),
):
    try:
        call()
    except (ModelNotFound, InvalidInput) as error:
        refused.append(type(error).__name__)
print(json.dumps({
    "duration_s": spoken.duration_s,
    "text": heard.text,
    "words": len(heard.segments[0].words),
    "scaled": [scaled.width, scaled.height],
    "cropped": [cropped.width, cropped.height],
    "marked": [marked.width, marked.height],
    "converted": server.read(converted.image)[8:12].decode(),
    "seeds": [image.seed for image in drawn.images],
    "redrawn": [redrawn.images[0].width, repainted.images[0].height],
    "larger": [larger.width, larger.height],
    "described": described.text,
    "refused": refused,
}))
"""


MEDIA_DRIVER = """
import io
import json
import sys
from pathlib import Path

from PIL import Image

from deployments.handles import AiServer
from pipelines.transforms.scale_video import ScaleVideoRequest

server = AiServer.connect()
film = Path(sys.argv[1])
mark = io.BytesIO()
Image.new("RGB", (20, 10), "white").save(mark, "PNG")
trimmed = server.trim_video(film, start_s=0.5, end_s=1.5)
probed = server.probe_media(server.read(trimmed.video))
job_id = server.queue(ScaleVideoRequest(video=server.upload(film), width=80))
job = server.job(job_id, wait_s=60)
print(json.dumps({
    "videos": [
        [video.width, video.height, video.format]
        for video in (
            server.scale_video(film, width=80),
            server.crop_video(film, x=10, y=20, width=64, height=48),
            server.watermark_video(film, mark.getvalue(), opacity=0.5),
            server.convert_video(film, output_format="mkv"),
            trimmed,
            server.result(job),
        )
    ],
    "picture": server.thumbnail_video(film, width=40).width,
    "sounds": [server.extract_audio(film).format, server.convert_audio(film, output_format="flac").format],
    "probed": [probed.info.duration_s, probed.info.video[0].width],
    "job": [job.state, job.model],
}))
"""


def driven(server: Server, folder: Path, text: str, *arguments: Path) -> Any:
    """Run a script as another service of the cluster does, and give the JSON that it prints last."""
    script = folder / "driver.py"
    script.write_text(text)
    words = " ".join(map(str, (sys.executable, script, *arguments)))
    command = f"source {server.data_dir}/cluster-{server.port}.env && {words}"
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_a_separate_driver_transforms_video_and_sound(server: Server, tmp_path: Path) -> None:
    film = make(tmp_path / "film.mp4", *PICTURE, *TONE, *X264, "-c:a", "aac")
    answer = driven(server, tmp_path, MEDIA_DRIVER, film)
    sizes = [[80, 60], [64, 48], [160, 120], [160, 120], [160, 120], [80, 60]]
    assert [video[:2] for video in answer["videos"]] == sizes
    assert [video[2] for video in answer["videos"]] == ["mp4", "mp4", "mp4", "mkv", "mp4", "mp4"]
    assert answer["picture"] == 40
    assert answer["sounds"] == ["m4a", "flac"]
    assert answer["probed"] == [pytest.approx(1.0, abs=0.05), 160]
    assert answer["job"] == ["Completed", "transforms"]


def test_a_separate_driver_gets_the_same_records(server: Server, tmp_path: Path) -> None:
    answer = driven(server, tmp_path, DRIVER)
    assert "fox" in answer["text"]
    assert answer["words"] >= 8
    assert answer["duration_s"] > 1
    assert answer["scaled"] == [32, 24]
    assert answer["cropped"] == [10, 20]
    assert answer["marked"] == [64, 48]
    assert answer["converted"] == "WEBP"
    assert answer["seeds"] == [5, 6]
    assert answer["redrawn"] == [128, 128]
    assert answer["larger"] == [384, 384]
    assert answer["described"]
    assert answer["refused"] == ["ModelNotFound", "UnsupportedMedia"]
