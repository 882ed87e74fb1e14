"""Pictures through the official clients, with the real models: ServiceStack's for /api, OpenAI's for /v1."""

import base64
import io
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import openai
import pytest
from PIL import Image, ImageChops, ImageStat

from tests.e2e.conftest import Server
from tests.e2e.test_queue import polled
from tests.e2e.test_servicestack import PACKAGE_TESTS, dtos, typed, upload

pytestmark = [
    pytest.mark.e2e,
    # OpenAI has deprecated variations in general; here they stay.
    pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning"),
]

__all__ = ["dtos", "typed"]

APPLE = "a red apple"
SIDE = 128
SIZE = f"{SIDE}x{SIDE}"


@pytest.fixture(scope="module")
def apple(server: Server) -> bytes:
    """A picture, drawn by the server."""
    body = {"prompt": APPLE, "model": "tiny-sdxl", "size": SIZE, "seed": 1}
    body |= {"response_format": "b64_json"}
    answer = httpx.post(f"{server.url}/v1/images/generations", json=body, headers=server.auth, timeout=60)
    assert answer.status_code == 200, answer.text
    return base64.b64decode(answer.json()["data"][0]["b64_json"])


def opened(data: bytes | str | None) -> Image.Image:
    assert data is not None
    return Image.open(io.BytesIO(base64.b64decode(data) if isinstance(data, str) else data)).convert("RGB")


def fetched(item: Any) -> Image.Image:
    """Open what a result's address leads to, which needs no key."""
    return opened(httpx.get(item.url).content)


def difference(one: Image.Image, other: Image.Image, box: tuple[int, int, int, int] | None = None) -> float:
    """Give the mean difference of two pictures, or of a part of them, in levels of 255."""
    means: list[float] = ImageStat.Stat(ImageChops.difference(one.crop(box), other.crop(box))).mean
    return sum(means) / len(means)


def png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def half(colour: Any, rest: Any, mode: str) -> bytes:
    """Make a mask whose right half has another colour."""
    mask = Image.new(mode, (SIDE, SIDE), rest)
    mask.paste(colour, (SIDE // 2, 0, SIDE, SIDE))
    return png(mask)


MIDDLE = (SIDE * 3 // 8, SIDE * 3 // 8, SIDE * 5 // 8, SIDE * 5 // 8)
LEFT = (0, 0, SIDE * 3 // 8, SIDE)
RIGHT = (SIDE * 5 // 8, 0, SIDE, SIDE)
REPAINTED = "a banana on a blue background"


class TestServiceStack:
    def test_text_to_image(self, typed: Any, dtos: ModuleType) -> None:
        request = dtos.TextToImage(
            positive_prompt=APPLE, width=SIDE, height=SIDE, batch_size=2, seed=3, model="tiny-sdxl"
        )
        response = typed.send(request)
        images = [fetched(item) for item in response.outputs]
        assert [image.size for image in images] == [(SIDE, SIDE)] * 2
        assert difference(fetched(typed.send(request).outputs[0]), images[0]) == 0
        red, green, blue = ImageStat.Stat(images[0].crop(MIDDLE)).mean
        assert red > green + 40
        assert red > blue + 40

    def test_image_to_image(self, typed: Any, dtos: ModuleType, apple: bytes) -> None:
        request = dtos.ImageToImage(positive_prompt="a banana", denoise=0.5, seed=3)
        response = typed.post_file_with_request(
            request=request, file=upload("image", apple, "apple.png", "image/png")
        )
        (item,) = response.outputs
        assert 0 < difference(fetched(item), opened(apple)) < 100

    def test_image_with_mask(self, typed: Any, dtos: ModuleType, apple: bytes) -> None:
        files = [
            upload("image", apple, "apple.png", "image/png"),
            upload("mask", half("red", "black", "RGB"), "mask.png", "image/png"),
        ]
        request = dtos.ImageWithMask(positive_prompt=REPAINTED, denoise=1.0, seed=3)
        painted = fetched(typed.post_files_with_request(request, files).outputs[0])
        assert difference(painted, opened(apple), LEFT) < 4  # webp's losses
        assert difference(painted, opened(apple), RIGHT) > 8

    def test_image_upscale(self, typed: Any, dtos: ModuleType, apple: bytes) -> None:
        response = typed.post_file_with_request(
            request=dtos.ImageUpscale(seed=0), file=upload("image", apple, "apple.png", "image/png")
        )
        larger = fetched(response.outputs[0])
        assert larger.size == (2 * SIDE, 2 * SIDE)
        assert difference(larger.resize((SIDE, SIDE), Image.Resampling.BOX), opened(apple)) < 15

    def test_image_to_text(self, typed: Any, dtos: ModuleType, apple: bytes) -> None:
        response = typed.post_file_with_request(
            request=dtos.ImageToText(), file=upload("image", apple, "apple.png", "image/png")
        )
        text, *labels = [output.text for output in response.text_outputs]
        assert text
        for listed in labels:
            assert all(label["text"] for label in json.loads(listed))

    def test_the_queue(self, typed: Any, dtos: ModuleType, apple: bytes) -> None:
        prompts = ("a cat", "a dog")
        request = dtos.QueueTextToImage(width=SIDE, height=SIDE, batch_size=2)
        queued = typed.send_all(
            [replace(request, positive_prompt=prompt, ref_id=f"drawn-{prompt}") for prompt in prompts]
        )
        assert [each.ref_id for each in queued] == [f"drawn-{prompt}" for prompt in prompts]
        typed.post_file_with_request(
            request=dtos.QueueImageUpscale(ref_id="enlarged"),
            file=upload("image", apple, "apple.png", "image/png"),
        )
        typed.post_file_with_request(
            request=dtos.QueueImageToText(ref_id="described"),
            file=upload("image", apple, "apple.png", "image/png"),
        )
        for prompt in prompts:
            assert len(polled(typed, dtos, f"drawn-{prompt}").outputs) == 2
        assert fetched(polled(typed, dtos, "enlarged").outputs[0]).size == (2 * SIDE, 2 * SIDE)
        assert polled(typed, dtos, "described").text_outputs[0].text

    def test_the_packages_own_test_passes(self, server: Server, apple: bytes, tmp_path: Path) -> None:
        """It asks for the model ``sdxl-lightning``, which therefore is an alias of the default one."""
        files = tmp_path / "tests" / "files"
        files.mkdir(parents=True)
        (files / "test_image.png").write_bytes(apple)
        shutil.copytree(PACKAGE_TESTS, tmp_path / "tests", dirs_exist_ok=True)
        environment = {
            **os.environ,
            "RUN_AI_TESTS": "1",
            "AI_SERVER_URL": server.url,
            "AI_SERVER_API_KEY": server.key,
        }
        test = "tests.test_aiserver.TestAiServer.test_image_to_image"
        command = [sys.executable, "-m", "unittest", test]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert opened((files / "image_output.webp").read_bytes()).size == (SIDE, SIDE)


class TestOpenAi:
    @pytest.mark.parametrize("model", ["tiny-sdxl", "tiny-flux", "gpt-image-1"])
    def test_generations(self, openai_client: openai.OpenAI, model: str) -> None:
        answer = openai_client.images.generate(
            prompt=APPLE, model=model, n=2, size=SIZE, extra_body={"seed": 3}
        )
        assert answer.data is not None
        images = [opened(each.b64_json) if each.b64_json else fetched(each) for each in answer.data]
        assert [image.size for image in images] == [(SIDE, SIDE)] * 2
        assert (answer.size, answer.output_format) == (SIZE, "png")

    def test_a_stream(self, openai_client: openai.OpenAI) -> None:
        with openai_client.images.generate(
            prompt=APPLE, model="tiny-sdxl", stream=True, partial_images=2, size=SIZE
        ) as stream:
            *previews, done = list(stream)
        assert {event.type for event in previews} == {"image_generation.partial_image"}
        assert 1 <= len(previews) <= 2
        assert done.type == "image_generation.completed"
        final = opened(done.b64_json)
        assert final.size == (SIDE, SIDE)
        assert difference(opened(previews[-1].b64_json).resize(final.size), final) < 100

    def test_an_edit(self, openai_client: openai.OpenAI, apple: bytes) -> None:
        answer = openai_client.images.edit(
            image=("apple.png", apple), prompt="a banana", response_format="b64_json"
        )
        assert answer.data is not None
        assert difference(opened(answer.data[0].b64_json), opened(apple)) > 0

    def test_an_edit_where_the_mask_is_transparent(self, openai_client: openai.OpenAI, apple: bytes) -> None:
        mask = half((0, 0, 0, 0), (0, 0, 0, 255), "RGBA")
        answer = openai_client.images.edit(
            image=("apple.png", apple),
            mask=("mask.png", mask),
            prompt=REPAINTED,
            response_format="b64_json",
            extra_body={"seed": 3},
        )
        assert answer.data is not None
        painted = opened(answer.data[0].b64_json)
        assert difference(painted, opened(apple), LEFT) == 0
        assert difference(painted, opened(apple), RIGHT) > 8

    def test_variations(self, openai_client: openai.OpenAI, apple: bytes) -> None:
        answer = openai_client.images.create_variation(image=("apple.png", apple), n=2)
        assert answer.data is not None
        assert [fetched(each).size for each in answer.data] == [(SIDE, SIDE)] * 2

    def test_errors_name_the_field(self, openai_client: openai.OpenAI) -> None:
        with pytest.raises(openai.BadRequestError) as raised:
            openai_client.images.generate(prompt=APPLE, size="63x63")
        assert raised.value.param == "size"
        with pytest.raises(openai.NotFoundError) as missing:
            openai_client.images.generate(prompt=APPLE, model="nobody")
        assert missing.value.code == "model_not_found"
