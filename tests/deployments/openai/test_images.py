"""What /v1/images/generations, edits and variations have in common, as OpenAI's own client sees it."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
from openai import BadRequestError, NotFoundError
from openai.resources import AsyncImages
from openai.types import ImagesResponse

from tests.deployments.conftest import stored_files
from tests.deployments.fakes import ListMetrics, SeedPainter
from tests.deployments.openai.pictures import IMAGE, MASK, opened

# OpenAI has deprecated variations in general; here they stay.
pytestmark = pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")

URLS = "http://test/artifacts/2"
VARIATION_FIELDS = {"model", "n", "response_format", "size", "user", "extra_body"}

WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"prompt": "x" * 32_001}, "prompt", "at most 32000 characters"),
    ({"n": 0}, "n", "at least 1"),
    ({"n": 11}, "n", "at most 10"),
    ({"size": "63x63"}, "size", "sides from 64 to 2048 pixels. Received: '63x63'"),
    ({"size": "4096x4096"}, "size", "WIDTHxHEIGHT"),
    ({"size": "1x1"}, "size", "WIDTHxHEIGHT"),
    ({"size": "large"}, "size", "use 'auto'"),
    ({"response_format": "file"}, "response_format", "'url' or 'b64_json'"),
    ({"output_format": "svg"}, "output_format", "'png', 'jpeg' or 'webp'"),
    ({"output_compression": 101}, "output_compression", "at most 100"),
    ({"output_format": "png", "output_compression": 50}, "output_compression", "png is lossless"),
    ({"output_compression": -1}, "output_compression", "at least 0"),
    ({"background": "transparent"}, "background", "'auto' or 'opaque'. Received: 'transparent'"),
    ({"extra_body": {"partial_images": 4}}, "partial_images", "at most 3"),
    ({"extra_body": {"seed": -1}}, "seed", "at least 0"),
    ({"extra_body": {"steps": 0}}, "steps", "at least 1"),
    ({"extra_body": {"guidance": 31}}, "guidance", "at most 30"),
    ({"extra_body": {"loras": ["a"] * 9}}, "loras", "at most 8 items"),
    ({"prompt": "impossible"}, "prompt", "cannot be drawn"),
]

TRAVELS: list[tuple[dict[str, str], bool]] = [
    ({}, False),
    ({"model": "painter"}, False),
    ({"model": "dall-e-3"}, False),
    ({"model": "gpt-image-1"}, True),
    ({"model": "GPT-Image-2.5-sunburst"}, True),
    ({"model": "chatgpt-image-latest"}, True),
    ({"model": "gpt-image-1", "response_format": "url"}, False),
    ({"model": "sdxl-lightning", "response_format": "b64_json"}, True),
]
"""Fields, and whether the picture stands in the answer."""

Draw = Callable[..., Awaitable[ImagesResponse]]


@pytest.fixture(params=["generate", "edit", "edit with a mask", "create_variation"])
def draw(request: pytest.FixtureRequest, images: AsyncImages) -> Draw:
    """Each way to have a picture drawn."""

    async def send(**fields: Any) -> Any:
        prompt = {"prompt": fields.pop("prompt", "A lighthouse")}
        match request.param:
            case "generate":
                return await images.generate(**prompt, **fields)
            case "edit":
                return await images.edit(image=IMAGE, **prompt, **fields)
            case "edit with a mask":
                return await images.edit(image=IMAGE, mask=MASK, **prompt, **fields)
        body = {name: fields.pop(name) for name in set(fields) - VARIATION_FIELDS}
        extra = {**prompt, **body, **fields.pop("extra_body", {})}
        return await images.create_variation(image=IMAGE, **fields, extra_body=extra)

    return send


async def test_the_answer(draw: Draw, images_http: httpx2.AsyncClient) -> None:
    answer = await draw(n=2, extra_body={"seed": 30})
    body = answer.to_dict()
    assert isinstance(body["created"], int)
    assert answer.data is not None
    for number, item in enumerate(answer.data):
        assert item.to_dict() == {"url": item.url, "seed": 30 + number}
        assert item.url is not None
        assert item.url.startswith(URLS)
        image = opened((await images_http.get(item.url)).content)
        assert (image.format, image.getpixel((0, 0))) == ("PNG", (30 + number,) * 3)
        assert body["size"] == f"{image.width}x{image.height}"
    assert body.keys() == {"created", "data", "background", "output_format", "size"}
    assert (body["background"], body["output_format"]) == ("opaque", "png")


async def test_addresses_or_base64(draw: Draw, metrics: ListMetrics) -> None:
    for fields, is_base64 in TRAVELS:
        answer = await draw(**fields)
        assert answer.data is not None
        (item,) = answer.data
        assert (item.url is None, item.b64_json is not None) == (is_base64, is_base64), fields
        if is_base64:
            assert opened(item.b64_json).getpixel((0, 0)) == (7, 7, 7)
    assert {observed[1:] for observed in metrics.observed} == {("painter", "ok")}


async def test_our_own_fields_reach_the_model(draw: Draw, painter: SeedPainter) -> None:
    own = {
        "negative_prompt": "fog",
        "seed": 0,
        "steps": 9,
        "guidance": 3.5,
        "scheduler": "euler",
        "loras": ["sketch:0.8", "ink"],
    }
    answer = await draw(n=3, extra_body=own)
    (request,) = painter.requests
    assert own.items() <= {**request.model_dump(), "loras": list(request.loras)}.items()
    assert (request.prompt, request.batch_size, request.previews) == ("A lighthouse", 3, 0)
    assert answer.to_dict()["notes"] == ["There is no scheduler euler."]


@pytest.mark.parametrize(
    ("format_", "compression", "quality", "written"),
    [
        ("png", None, None, "PNG"),
        ("png", 100, None, "PNG"),
        ("jpeg", 0, 1, "JPEG"),
        ("webp", 100, 100, "WEBP"),
        ("webp", None, None, "WEBP"),
    ],
)
async def test_formats(
    draw: Draw,
    painter: SeedPainter,
    format_: str,
    compression: int | None,
    quality: int | None,
    written: str,
) -> None:
    given = {} if compression is None else {"output_compression": compression}
    answer = await draw(model="gpt-image-1", output_format=format_, **given)
    assert answer.data is not None
    assert opened(answer.data[0].b64_json).format == written
    assert answer.output_format == format_
    assert painter.requests[0].quality == quality


async def test_what_openai_has_beyond_this_changes_nothing(draw: Draw, painter: SeedPainter) -> None:
    more = {"style": "vivid", "moderation": "low", "input_fidelity": "high", "safety_identifier": "me"}
    answer = await draw(user="me", quality="high", background="auto", extra_body=more)
    assert answer.quality == "high"
    plain = await draw()
    assert plain.quality is None
    first, second = painter.requests
    uploads = {"image", "mask"}
    assert first.model_dump(exclude=uploads) == second.model_dump(exclude=uploads)


async def test_a_wrong_field_is_named(draw: Draw, tmp_path: Path) -> None:
    for fields, param, said in WRONG:
        with pytest.raises(BadRequestError) as raised:
            await draw(**fields)
        assert (raised.value.type, raised.value.param) == ("invalid_request_error", param), fields
        assert said in raised.value.message
    assert stored_files(tmp_path) == []


async def test_what_nobody_may_see(draw: Draw, tmp_path: Path) -> None:
    with pytest.raises(BadRequestError, match="withheld") as raised:
        await draw(prompt="shocking")
    assert (raised.value.code, raised.value.param) == ("moderation_blocked", "prompt")
    assert stored_files(tmp_path) == []


async def test_one_of_several_that_nobody_may_see(draw: Draw) -> None:
    answer = await draw(prompt="surprising", n=2)
    assert answer.data is not None
    assert len(answer.data) == 1
    assert "withheld" in answer.to_dict()["notes"][0]  # type: ignore[index]


async def test_an_unknown_model(draw: Draw) -> None:
    with pytest.raises(NotFoundError, match="Available: painter") as raised:
        await draw(model="dalle")
    assert (raised.value.code, raised.value.param) == ("model_not_found", "model")


async def test_uploads_are_gone_afterwards(draw: Draw, tmp_path: Path) -> None:
    await draw()
    assert not any(file.startswith("input/") for file in stored_files(tmp_path))
