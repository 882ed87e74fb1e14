"""Every task takes the same way, not only chat: pictures overflow to a provider, and a request may pin it."""

from collections.abc import AsyncIterator

import pytest

from deployments.errors import Busy
from deployments.services import Services
from tests.deployments.chat import ChatServer, chat_server
from tests.deployments.fakes import SeedPainter
from tests.vendors.openai import OpenAiVendor

DRAWS = {"text-to-image": ["gpt-image-*"]}
SIZE = {"width": 1024, "height": 1024}


class BusyPainter(SeedPainter):
    """Has no time."""

    def text_to_image(self, *_: object) -> None:  # type: ignore[override]
        raise Busy()


@pytest.fixture
async def server(services: Services) -> AsyncIterator[ChatServer]:
    painter = {
        "id": "sdxl",
        "tasks": ["text-to-image"],
        "pipeline": "a:B",
        "routing": {"priority": 1},
        "external": [{"provider": "cloud", "model": "gpt-image-1", "price": {"image": 0.04}}],
    }
    async with chat_server(
        services, {"cloud": OpenAiVendor()}, models=[painter], options={"tasks": DRAWS}, native=BusyPainter()
    ) as server:
        yield server


@pytest.mark.parametrize("pin", [None, "cloud"])
async def test_a_busy_model_of_ours_overflows(server: ChatServer, pin: str | None) -> None:
    fields = {"positivePrompt": "an apple", **SIZE, **({"provider": pin} if pin else {})}
    answer = await server.client.post("/api/TextToImage", json=fields)
    assert answer.status_code == 200, answer.text
    (result,) = answer.json()["results"]
    assert (result["provider"], answer.headers["x-served-by"]) == ("cloud", "cloud")
    assert (result["width"], result["height"]) == (1024, 1024)
    picture = await server.client.get(result["url"])
    assert picture.headers["content-type"] == "image/webp"
    assert (server.attempts[-1].usage.images, server.attempts[-1].cost) == (1, 0.04)
    assert [each.provider for each in server.attempts] == (["cloud"] if pin else ["ai-server", "cloud"])


async def test_who_pins_the_busy_one_hears_that_it_is_busy(server: ChatServer) -> None:
    fields = {"prompt": "an apple", "provider": "ai-server", "size": "1024x1024"}
    answer = await server.client.post("/v1/images/generations", json=fields)
    assert (answer.status_code, answer.json()["error"]["type"]) == (429, "rate_limit_error")
