"""The operations that enlarge and describe pictures, and what all have in common that take one."""

import json
from pathlib import Path

import httpx
import pytest

from tests.deployments.conftest import refusal, stored_files
from tests.deployments.stored import picture
from tests.deployments.test_aiserver_drawing import MASKED, PICTURE, PROMPT, opened

WITH_A_PICTURE = ("ImageToImage", "ImageWithMask", "ImageUpscale", "ImageToText")


class TestImageUpscale:
    @pytest.mark.parametrize(("scale", "size"), [(None, (192, 128)), ("2", (192, 128)), ("4", (384, 256))])
    async def test_scales(self, client: httpx.AsyncClient, scale: str | None, size: tuple[int, int]) -> None:
        fields = {"seed": "0", "model": "doubler", **({"scale": scale} if scale else {})}
        answer = await client.post("/api/ImageUpscale", data=fields, files=PICTURE)
        assert answer.status_code == 200, answer.text
        (item,) = answer.json()["results"]
        assert item.keys() == {"url", "fileName", "provider", "width", "height"}
        assert (await opened(client, item)).size == (item["width"], item["height"]) == size
        assert (await opened(client, item)).format == "WEBP"

    @pytest.mark.parametrize(
        ("fields", "field"),
        [
            ({"scale": "1"}, "Scale"),
            ({"scale": "5"}, "Scale"),
            ({"scale": "2.5"}, "Scale"),
            ({"seed": "-1"}, "Seed"),
            ({"outputFormat": "psd"}, "OutputFormat"),
            ({"quality": "0"}, "Quality"),
        ],
    )
    async def test_a_wrong_field_is_named(
        self, client: httpx.AsyncClient, fields: dict[str, str], field: str
    ) -> None:
        status = refusal(await client.post("/api/ImageUpscale", data=fields, files=PICTURE))
        assert status["errors"][0]["fieldName"] == field

    async def test_another_format(self, client: httpx.AsyncClient) -> None:
        fields = {"outputFormat": "png"}
        answer = await client.post("/api/ImageUpscale", data=fields, files=PICTURE)
        assert answer.json()["results"][0]["fileName"].endswith(".png")


class TestImageToText:
    async def test_a_text_alone(self, client: httpx.AsyncClient) -> None:
        body = (await client.post("/api/ImageToText", files=PICTURE)).json()
        assert body["results"] == body["textOutputs"] == [{"text": "A picture of 96 x 64."}]

    async def test_what_was_found_is_the_second_text(self, client: httpx.AsyncClient) -> None:
        fields = {"prompt": "cats", "model": "seer"}
        body = (await client.post("/api/ImageToText", data=fields, files=PICTURE)).json()
        text, labels = (item["text"] for item in body["results"])
        assert text == "A picture of 96 x 64."
        assert json.loads(labels) == [{"text": "cats", "score": 0.5}, {"text": "ü"}]
        assert "ü" in labels

    async def test_a_prompt_that_is_too_long(self, client: httpx.AsyncClient) -> None:
        answer = await client.post("/api/ImageToText", data={"prompt": "x" * 10_001}, files=PICTURE)
        assert refusal(answer)["errors"][0]["fieldName"] == "Prompt"


@pytest.mark.parametrize("name", WITH_A_PICTURE)
class TestThePicture:
    async def test_the_upload_is_gone_afterwards(
        self, client: httpx.AsyncClient, tmp_path: Path, name: str
    ) -> None:
        await client.post(f"/api/{name}", data=PROMPT, files=MASKED)
        assert not any(file.startswith("input/") for file in stored_files(tmp_path))

    @pytest.mark.parametrize("content", [b"just text", picture(9, 9)[:40], b""])
    async def test_what_is_none(
        self, client: httpx.AsyncClient, tmp_path: Path, name: str, content: bytes
    ) -> None:
        files = {**MASKED, "image": ("p.png", content, "image/png")}
        status = refusal(await client.post(f"/api/{name}", data=PROMPT, files=files))
        assert (status["errorCode"], status["errors"][0]["fieldName"]) == ("UnsupportedMedia", "Image")
        assert stored_files(tmp_path) == []

    async def test_it_is_missing(self, client: httpx.AsyncClient, name: str) -> None:
        status = refusal(await client.post(f"/api/{name}", data=PROMPT))
        assert (status["errorCode"], status["errors"][0]["fieldName"]) == ("ArgumentNullException", "Image")
