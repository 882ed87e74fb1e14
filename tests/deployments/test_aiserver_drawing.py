"""The operations that draw pictures, as AI Server's clients see them."""

from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from configs.schema import ServerConfig
from deployments.api import create_api
from deployments.services import Services
from tests.deployments.conftest import KEY, client_of, refusal, stored_files
from tests.deployments.fakes import ListMetrics, SeedPainter
from tests.deployments.stored import picture

PROMPT = {"positivePrompt": "A lighthouse"}
PICTURE = {"image": ("cat.png", picture(96, 64), "image/png")}
MASKED = {**PICTURE, "mask": ("mask.png", picture(48, 32), "image/png")}
DRAWING = {"TextToImage": {}, "ImageToImage": PICTURE, "ImageWithMask": MASKED}


async def post(client: httpx.AsyncClient, name: str, fields: dict[str, Any]) -> httpx.Response:
    return await client.post(f"/api/{name}", data=fields, files=DRAWING[name] or None)


async def answered(client: httpx.AsyncClient, name: str, **fields: Any) -> dict[str, Any]:
    answer = await post(client, name, {**PROMPT, **fields})
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def opened(client: httpx.AsyncClient, item: dict[str, Any]) -> Image.Image:
    return Image.open(BytesIO((await client.get(item["url"])).content))


@pytest.mark.parametrize("name", DRAWING)
class TestEveryDrawing:
    async def test_several_pictures_in_order_under_the_names_of_both_generations(
        self, client: httpx.AsyncClient, name: str
    ) -> None:
        body = await answered(client, name, batchSize="3", seed="20")
        assert body["outputs"] == body["results"]
        assert body.keys() == {"results", "outputs", "duration"}
        assert [item["seed"] for item in body["results"]] == [20, 21, 22]
        for item in body["results"]:
            image = await opened(client, item)
            assert image.format == "WEBP"
            assert image.convert("RGB").getpixel((1, 1)) == pytest.approx((item["seed"],) * 3, abs=3)
            assert image.size == (item["width"], item["height"])
            assert item["url"].endswith(f"/{item['fileName']}")

    async def test_the_fields_reach_the_model(
        self, client: httpx.AsyncClient, painter: SeedPainter, name: str
    ) -> None:
        fields = {
            "NegativePrompt": "fog",
            "batch_size": "2",
            "seed": "5",
            "steps": "9",
            "guidance": "3.5",
            "scheduler": "euler",
            "loras": "sketch:0.8, ink",
            "outputFormat": "PictureFormat.JPG",
            "quality": "40",
        }
        body = await answered(client, name, **fields)
        (request,) = painter.requests
        seen = (request.prompt, request.negative_prompt, request.batch_size, request.seed, request.steps)
        assert seen == ("A lighthouse", "fog", 2, 5, 9)
        assert (request.guidance, request.scheduler) == (3.5, "euler")
        assert request.loras == ("sketch:0.8", "ink")
        assert (request.output_format, request.quality, request.previews) == ("jpg", 40, 0)
        assert body["notes"] == ["There is no scheduler euler."]
        assert (await opened(client, body["results"][0])).format == "JPEG"

    @pytest.mark.parametrize(("format_", "written"), [("png", "PNG"), ("AVIF", "AVIF"), ("jpeg", "JPEG")])
    async def test_formats(self, client: httpx.AsyncClient, name: str, format_: str, written: str) -> None:
        body = await answered(client, name, outputFormat=format_)
        assert (await opened(client, body["results"][0])).format == written

    @pytest.mark.parametrize("absent", ["", "0", None])
    async def test_a_seed_that_was_not_given(
        self, client: httpx.AsyncClient, painter: SeedPainter, name: str, absent: str | None
    ) -> None:
        body = await answered(client, name, **({} if absent is None else {"seed": absent}))
        assert painter.requests[0].seed is None
        assert body["results"][0]["seed"] == 7

    @pytest.mark.parametrize("prompt", [None, "", "  \n"])
    async def test_no_prompt(self, client: httpx.AsyncClient, name: str, prompt: str | None) -> None:
        answer = await post(client, name, {} if prompt is None else {"positivePrompt": prompt})
        status = refusal(answer)
        assert status["message"] == "'Positive Prompt' must not be empty."
        assert (status["errorCode"], status["errors"][0]["fieldName"]) == ("NotEmpty", "PositivePrompt")

    @pytest.mark.parametrize(
        ("field", "value", "code", "said"),
        [
            ("positivePrompt", "x" * 32_001, "MaximumLength", "at most 32000 characters"),
            ("negativePrompt", "x" * 32_001, "MaximumLength", "at most 32000 characters"),
            ("batchSize", "0", "GreaterThanOrEqual", "'Batch Size' must be at least 1. Received: 0"),
            ("batchSize", "11", "LessThanOrEqual", "at most 10"),
            ("batchSize", "many", "ArgumentException", "whole number"),
            ("seed", "-1", "GreaterThanOrEqual", "at least 0"),
            ("seed", str(2**31), "LessThanOrEqual", "at most 2147483647"),
            ("steps", "0", "GreaterThanOrEqual", "at least 1"),
            ("steps", "151", "LessThanOrEqual", "at most 150"),
            ("guidance", "-1", "GreaterThanOrEqual", "at least 0"),
            ("guidance", "nan", "LessThanOrEqual", "at most 30"),
            ("quality", "0", "GreaterThanOrEqual", "at least 1"),
            ("quality", "101", "LessThanOrEqual", "at most 100"),
            ("outputFormat", "gif", "Enum", "'webp', 'png', 'jpg', 'jpeg' or 'avif'. Received: 'gif'"),
            ("loras", ",".join("abcdefghi"), "MaximumLength", "'Loras' must have at most 8 items."),
        ],
    )
    async def test_a_wrong_field_is_named(
        self,
        client: httpx.AsyncClient,
        tmp_path: Path,
        name: str,
        field: str,
        value: str,
        code: str,
        said: str,
    ) -> None:
        status = refusal(await post(client, name, {**PROMPT, field: value}))
        assert status["errorCode"] == code
        assert status["errors"][0]["fieldName"] == field[0].upper() + field[1:]
        assert said in status["message"]
        assert stored_files(tmp_path) == []

    async def test_who_draws(self, client: httpx.AsyncClient, metrics: ListMetrics, name: str) -> None:
        task = {"TextToImage": "text-to-image", "ImageToImage": "image-to-image"}.get(name, "image-with-mask")
        for model in ("", task, "SDXL-Lightning"):
            await answered(client, name, model=model)
        assert metrics.observed == [(task, "painter", "ok")] * 3
        status = refusal(await post(client, name, {**PROMPT, "model": "nobody"}), 404)
        assert status["errors"][0]["fieldName"] == "Model"
        assert (
            f"Available: {'painter, second-painter' if name == 'TextToImage' else 'painter'}"
            in (status["message"])
        )

    async def test_what_nobody_may_see(self, client: httpx.AsyncClient, tmp_path: Path, name: str) -> None:
        status = refusal(await post(client, name, {"positivePrompt": "shocking", "seed": "1"}))
        assert status == {
            "errorCode": "ContentWithheld",
            "message": status["message"],
            "errors": [{**status["errors"][0], "fieldName": "PositivePrompt"}],
        }
        assert "seed 1" in status["message"]
        assert stored_files(tmp_path) == []

    async def test_one_of_several_that_nobody_may_see(self, client: httpx.AsyncClient, name: str) -> None:
        fields = {"positivePrompt": "surprising", "seed": "1", "batchSize": "3"}
        body = await answered(client, name, **fields)
        assert [item["seed"] for item in body["results"]] == [1, 2]
        (note,) = body["notes"]
        assert "seed 3" in note

    async def test_what_the_model_refuses_names_the_field_of_the_wire(
        self, client: httpx.AsyncClient, name: str
    ) -> None:
        status = refusal(await post(client, name, {"positivePrompt": "impossible"}))
        assert status["errors"][0]["fieldName"] == "PositivePrompt"


class TestTextToImage:
    async def test_a_prompt_that_is_far_too_long(self, services: Services) -> None:
        generous = replace(services, config=ServerConfig())
        async with client_of(create_api(generous), **{"X-Api-Key": KEY}) as client:
            answer = await client.post("/api/TextToImage", json={"positivePrompt": "x" * 100_000})
        assert refusal(answer)["errorCode"] == "MaximumLength"

    @pytest.mark.parametrize("size", [(64, 2048), (1000, 65)])
    async def test_sizes(self, client: httpx.AsyncClient, size: tuple[int, int]) -> None:
        body = await answered(client, "TextToImage", width=size[0], height=size[1])
        assert (await opened(client, body["results"][0])).size == size

    @pytest.mark.parametrize("field", ["width", "height"])
    @pytest.mark.parametrize("value", [-1, 0, 1, 63, 2049, 4096, 10**30])
    async def test_sizes_out_of_range(self, client: httpx.AsyncClient, field: str, value: int) -> None:
        sizes = {"width": 512, "height": 512, field: value}
        status = refusal(await client.post("/api/TextToImage", json={**PROMPT, **sizes}))
        assert status["errors"][0]["fieldName"] == field.title()
        assert "64" in status["message"] or "2048" in status["message"]

    @pytest.mark.parametrize(
        "sent",
        [
            {"json": {**PROMPT, "loras": ["sketch:0.8", "ink"]}},
            {"data": {**PROMPT, "loras": ["sketch:0.8", "ink"]}},
            {"data": {**PROMPT, "loras[]": ["sketch:0.8", "ink"]}},
            {"params": {**PROMPT, "loras": "sketch:0.8,ink,"}},
        ],
    )
    async def test_loras_in_every_way(
        self, client: httpx.AsyncClient, painter: SeedPainter, sent: dict[str, Any]
    ) -> None:
        assert (await client.post("/api/TextToImage", **sent)).status_code == 200
        assert painter.requests[0].loras == ("sketch:0.8", "ink")

    @pytest.mark.parametrize("loras", [7, {"sketch": 0.8}])
    async def test_loras_that_are_no_list(self, client: httpx.AsyncClient, loras: Any) -> None:
        status = refusal(await client.post("/api/TextToImage", json={**PROMPT, "loras": loras}))
        assert status["message"].startswith("'Loras' must be a list.")

    async def test_every_default_is_the_models_own(
        self, client: httpx.AsyncClient, painter: SeedPainter
    ) -> None:
        nulls = dict.fromkeys(("width", "height", "batchSize", "steps", "guidance", "scheduler", "loras"))
        await client.post("/api/TextToImage", json={**PROMPT, **nulls})
        (request,) = painter.requests
        assert request.model_dump(exclude_defaults=True) == {"prompt": "A lighthouse"}

    async def test_a_batch_of_requests(self, client: httpx.AsyncClient) -> None:
        requests = [{**PROMPT, "seed": 1}, {**PROMPT, "batchSize": 2, "seed": 5}]
        answers = (await client.post("/api/TextToImage[]", json=requests)).json()
        assert [[item["seed"] for item in each["results"]] for each in answers] == [[1], [5, 6]]

    @pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
    async def test_every_verb(self, client: httpx.AsyncClient, method: str) -> None:
        answer = await client.request(method, "/api/TextToImage", params=PROMPT)
        assert len(answer.json()["results"]) == 1


@pytest.mark.parametrize("name", ["ImageToImage", "ImageWithMask"])
class TestDenoise:
    @pytest.mark.parametrize(("sent", "seen"), [(None, 0.5), ("", 0.5), ("0", 0.5), ("0.75", 0.75), ("1", 1)])
    async def test_it_reaches_the_model(
        self, client: httpx.AsyncClient, painter: SeedPainter, name: str, sent: str | None, seen: float
    ) -> None:
        await answered(client, name, **({} if sent is None else {"denoise": sent}))
        assert painter.requests[0].denoise == seen

    @pytest.mark.parametrize("value", ["-0.1", "1.1", "2", "nan", "strong"])
    async def test_out_of_range(self, client: httpx.AsyncClient, name: str, value: str) -> None:
        status = refusal(await post(client, name, {**PROMPT, "denoise": value}))
        assert status["errors"][0]["fieldName"] == "Denoise"


class TestImageWithMask:
    async def test_both_files_reach_the_model(self, client: httpx.AsyncClient, painter: SeedPainter) -> None:
        body = await answered(client, "ImageWithMask")
        assert painter.files == [MASKED["image"][1], MASKED["mask"][1]]
        assert painter.requests[0].mask_channel == "red"
        assert (body["results"][0]["width"], body["results"][0]["height"]) == (96, 64)

    @pytest.mark.parametrize(
        ("sent", "seen"), [(None, True), ("true", True), ("False", False), ("0", False), ("", True)]
    )
    async def test_keep_unmasked(
        self, client: httpx.AsyncClient, painter: SeedPainter, sent: str | None, seen: bool
    ) -> None:
        await answered(client, "ImageWithMask", **({} if sent is None else {"keepUnmasked": sent}))
        assert painter.requests[0].keep_unmasked is seen

    async def test_without_a_mask(self, client: httpx.AsyncClient) -> None:
        status = refusal(await client.post("/api/ImageWithMask", data=PROMPT, files=PICTURE))
        assert (status["errorCode"], status["errors"][0]["fieldName"]) == ("ArgumentNullException", "Mask")
