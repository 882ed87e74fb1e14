"""The operations on pictures, as AI Server's clients see them."""

from io import BytesIO
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from PIL import Image

from cluster.artifacts.local import LocalArtifactStore
from tests.deployments.conftest import refusal, stored_files


def picture(width: int = 40, height: int = 20, colour: str = "red") -> bytes:
    file = BytesIO()
    Image.new("RGB", (width, height), colour).save(file, "PNG")
    return file.getvalue()


def opened(artifacts: LocalArtifactStore, answer: httpx.Response) -> Image.Image:
    """Open the picture that the answer's URL leads to."""
    assert answer.status_code == 200, answer.text
    path = urlsplit(answer.json()["results"][0]["url"]).path
    return Image.open(BytesIO(artifacts.local_path(path.removeprefix("/artifacts/")).read_bytes()))


class TestPictures:
    async def test_scale(self, client: httpx.AsyncClient, artifacts: LocalArtifactStore) -> None:
        answer = await client.post(
            "/api/ScaleImage", data={"width": "20", "height": ""}, files={"image": ("p.png", picture())}
        )
        assert opened(artifacts, answer).size == (20, 10)
        assert answer.json()["outputs"] == answer.json()["results"]

    async def test_crop(self, client: httpx.AsyncClient, artifacts: LocalArtifactStore) -> None:
        box = {"x": "0", "y": "5", "width": "10", "height": "15"}
        answer = await client.post("/api/CropImage", data=box, files={"image": ("p.png", picture())})
        assert opened(artifacts, answer).size == (10, 15)

    async def test_crop_outside(self, client: httpx.AsyncClient, tmp_path: Path) -> None:
        box = {"x": "0", "y": "5", "width": "41", "height": "15"}
        answer = await client.post("/api/CropImage", data=box, files={"image": ("p.png", picture())})
        assert refusal(answer)["errors"][0]["fieldName"] == "Width"
        assert "40 x 20" in refusal(answer)["message"]
        assert stored_files(tmp_path) == []

    @pytest.mark.parametrize("position", ["BottomRight", "bottomright", "WatermarkPosition.BOTTOM_RIGHT"])
    async def test_watermark(
        self, client: httpx.AsyncClient, artifacts: LocalArtifactStore, position: str
    ) -> None:
        answer = await client.post(
            "/api/WatermarkImage",
            data={"position": position, "watermarkScale": "0.0", "opacity": "0.0"},
            files={"image": ("p.png", picture(100, 100)), "watermark": ("w.png", picture(20, 20, "blue"))},
        )
        image = opened(artifacts, answer).convert("RGB")
        assert image.getpixel((80, 80)) == pytest.approx((127, 0, 128), abs=2)
        assert image.getpixel((20, 20)) == (255, 0, 0)

    @pytest.mark.parametrize("spelling", ["jpg", "JPG", "ImageOutputFormat.JPG", "jpeg"])
    async def test_convert(
        self, client: httpx.AsyncClient, artifacts: LocalArtifactStore, spelling: str
    ) -> None:
        answer = await client.post(
            "/api/ConvertImage", data={"outputFormat": spelling}, files={"image": ("my.cat.png", picture())}
        )
        assert opened(artifacts, answer).format == "JPEG"
        assert answer.json()["results"][0]["fileName"] == "my.cat.jpg"

    async def test_convert_without_a_format(self, client: httpx.AsyncClient) -> None:
        answer = await client.post("/api/ConvertImage", files={"image": ("p.png", picture())})
        assert refusal(answer)["message"] == "'Output Format' must not be empty."

    async def test_convert_to_something_unknown(self, client: httpx.AsyncClient) -> None:
        answer = await client.post(
            "/api/ConvertImage", data={"outputFormat": "psd"}, files={"image": ("p.png", picture())}
        )
        assert "'webp'" in refusal(answer)["message"]

    @pytest.mark.parametrize(
        "content", [b"just text", picture()[:60], b""], ids=["text", "truncated", "empty"]
    )
    async def test_what_is_no_picture(
        self, client: httpx.AsyncClient, content: bytes, tmp_path: Path
    ) -> None:
        answer = await client.post("/api/ScaleImage?width=9", files={"image": ("p.png", content)})
        assert refusal(answer)["errorCode"] == "UnsupportedMedia"
        assert refusal(answer)["errors"][0]["fieldName"] == "Image"
        assert stored_files(tmp_path) == []

    async def test_a_missing_file_shows_what_was_sent_instead(self, client: httpx.AsyncClient) -> None:
        answer = await client.post(
            "/api/ScaleImage", data={"width": "9"}, files={"img": ("p.png", picture())}
        )
        assert refusal(answer)["errorCode"] == "ArgumentNullException"
        assert refusal(answer)["message"] == (
            "'Image' must not be empty. Send the file 'image' as multipart/form-data. "
            "Received fields: img, width"
        )

    async def test_a_file_that_was_sent_as_text(self, client: httpx.AsyncClient) -> None:
        answer = await client.post("/api/ScaleImage", json={"image": "aGVsbG8=", "width": 9})
        assert "not as text" in refusal(answer)["message"]

    async def test_the_second_file_is_missing(self, client: httpx.AsyncClient) -> None:
        answer = await client.post("/api/WatermarkImage", files={"image": ("p.png", picture())})
        assert refusal(answer)["errors"][0]["fieldName"] == "Watermark"

    @pytest.mark.parametrize("name", ["ScaleImage", "CropImage", "ConvertImage"])
    async def test_post_only(self, client: httpx.AsyncClient, name: str) -> None:
        answer = await client.get(f"/api/{name}")
        assert refusal(answer, 405)["message"] == f"GET /api/{name} is not supported. Use POST."
        assert answer.headers["allow"] == "POST"
