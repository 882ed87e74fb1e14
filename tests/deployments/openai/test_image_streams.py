"""Pictures as server-sent events, as OpenAI's own client reads them."""

from pathlib import Path
from typing import Any

import pytest
from openai import APIError, BadRequestError
from openai.resources import AsyncImages
from openai.types import ImageGenCompletedEvent, ImageGenPartialImageEvent

from tests.deployments.conftest import stored_files
from tests.deployments.fakes import ListMetrics
from tests.deployments.openai.pictures import IMAGE, MASK, opened


async def test_previews_then_the_picture(images: AsyncImages, metrics: ListMetrics) -> None:
    stream = await images.generate(
        prompt="A lighthouse",
        model="gpt-image-1",
        stream=True,
        partial_images=2,
        size="128x64",
        quality="low",
        output_format="webp",
        extra_body={"seed": 9, "scheduler": "euler"},
    )
    first, second, done = [event async for event in stream]
    for number, preview in enumerate((first, second)):
        assert isinstance(preview, ImageGenPartialImageEvent)
        assert opened(preview.b64_json).size == (8, 8)
        assert preview.to_dict() == {
            "type": "image_generation.partial_image",
            "b64_json": preview.b64_json,
            "partial_image_index": number,
            "created_at": preview.created_at,
            "background": "opaque",
            "output_format": "webp",
            "quality": "low",
            "size": "128x64",
        }
    assert isinstance(done, ImageGenCompletedEvent)
    assert (opened(done.b64_json).format, opened(done.b64_json).size) == ("WEBP", (128, 64))
    assert done.to_dict() == {
        "type": "image_generation.completed",
        "b64_json": done.b64_json,
        "created_at": done.created_at,
        "background": "opaque",
        "output_format": "webp",
        "quality": "low",
        "size": "128x64",
        "usage": {
            "input_tokens": 0,
            "input_tokens_details": {"image_tokens": 0, "text_tokens": 0},
            "output_tokens": 0,
            "total_tokens": 0,
        },
        "seed": 9,
        "notes": ["There is no scheduler euler."],
    }
    assert metrics.observed == [("text-to-image", "painter", "ok")]


async def test_every_field_of_the_clients_types_is_there(images: AsyncImages) -> None:
    stream = await images.generate(prompt="a", stream=True, partial_images=1)
    preview, done = [event.to_dict() async for event in stream]
    ImageGenPartialImageEvent.model_validate(preview, strict=True)
    ImageGenCompletedEvent.model_validate(done, strict=True)
    assert (preview["size"], preview["quality"], done["size"]) == ("auto", "auto", "64x64")


@pytest.mark.parametrize("partial_images", [None, 0])
async def test_no_previews_unless_asked_for(images: AsyncImages, partial_images: int | None) -> None:
    stream = await images.generate(prompt="a", stream=True, partial_images=partial_images)
    assert [event.type async for event in stream] == ["image_generation.completed"]


async def test_several_pictures_are_completed_one_by_one(images: AsyncImages) -> None:
    stream = await images.generate(prompt="a", stream=True, n=3, partial_images=1, extra_body={"seed": 4})
    _, *done = [event async for event in stream]
    assert [event.type for event in done] == ["image_generation.completed"] * 3
    assert [opened(event.b64_json).getpixel((0, 0)) for event in done] == [(n,) * 3 for n in (4, 5, 6)]


@pytest.mark.parametrize("mask", [None, MASK])
async def test_an_edit(images: AsyncImages, tmp_path: Path, mask: Any) -> None:
    files = {"image": IMAGE, **({"mask": mask} if mask else {})}
    stream = await images.edit(prompt="a", stream=True, partial_images=1, **files)
    preview, done = [event async for event in stream]
    assert (preview.type, done.type) == ("image_edit.partial_image", "image_edit.completed")
    assert opened(done.b64_json).size == (96, 64)
    assert not any(file.startswith("input/") for file in stored_files(tmp_path))


async def test_an_error_before_the_first_event_is_an_http_error(images: AsyncImages) -> None:
    with pytest.raises(BadRequestError) as raised:
        await images.generate(prompt="impossible", stream=True, partial_images=2)
    assert raised.value.param == "prompt"


@pytest.mark.parametrize(("prompt", "said"), [("fragile", "the engine gave up"), ("shocking", "withheld")])
async def test_an_error_in_mid_stream_is_an_event(images: AsyncImages, prompt: str, said: str) -> None:
    stream = await images.generate(prompt=prompt, stream=True, partial_images=1)
    assert (await anext(stream)).type == "image_generation.partial_image"
    with pytest.raises(APIError, match=said):
        await anext(stream)
