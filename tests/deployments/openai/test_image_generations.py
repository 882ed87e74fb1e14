"""/v1/images/generations as OpenAI's own client sees it."""

import httpx2
import pytest
from openai import AuthenticationError
from openai.resources import AsyncImages

from tests.deployments.fakes import ListMetrics, SeedPainter


@pytest.mark.parametrize(
    ("size", "drawn"),
    [("auto", None), (None, None), ("1024x1536", (1024, 1536)), ("65x2048", (65, 2048))],
)
async def test_sizes(
    images: AsyncImages, painter: SeedPainter, size: str | None, drawn: tuple[int, int] | None
) -> None:
    answer = await images.generate(prompt="A lighthouse", size=size)
    (request,) = painter.requests
    assert (request.width, request.height) == (drawn or (None, None))
    assert answer.size == ("{}x{}".format(*drawn) if drawn else "64x64")


@pytest.mark.parametrize("prompt", ["", " \n", None])
async def test_no_prompt(images_http: httpx2.AsyncClient, prompt: str | None) -> None:
    error = (await images_http.post("/v1/images/generations", json={"prompt": prompt})).json()["error"]
    assert (error["param"], error["code"]) == ("prompt", "missing_required_parameter")


async def test_a_form_is_understood_too(images_http: httpx2.AsyncClient) -> None:
    answer = await images_http.post("/v1/images/generations", data={"prompt": "A lighthouse", "size": ""})
    assert answer.json()["data"][0]["seed"] == 7


async def test_another_model(images: AsyncImages, metrics: ListMetrics) -> None:
    await images.generate(prompt="A lighthouse", model="Second-Painter")
    assert metrics.observed == [("text-to-image", "second-painter", "ok")]


async def test_a_key_is_needed(images: AsyncImages) -> None:
    with pytest.raises(AuthenticationError):
        await images.generate(prompt="a", extra_headers={"Authorization": "Bearer ak-wrong"})
