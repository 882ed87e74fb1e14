"""Pictures in messages: where the server goes for them, and where it does not."""

import base64
from collections.abc import Sequence
from typing import Any

import httpx
import pytest

from cluster.address_guard import AddressGuard
from deployments.chat_images import ChatImages
from deployments.errors import BadRequest
from tests.hostile_pictures import HOSTILE_PICTURES

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJg"
)
HOSTS = {
    "pictures.example": ["93.184.216.34"],
    "inside.example": ["10.0.0.7"],
    "turns.example": ["93.184.216.35"],
}


async def resolve(host: str) -> Sequence[str]:
    return HOSTS[host]


def web(request: httpx.Request) -> httpx.Response:
    """Answer as some servers on the internet."""
    path = request.url.path
    if path == "/cat.png":
        return httpx.Response(200, content=PNG, headers={"content-type": "image/png"})
    if path == "/page":
        return httpx.Response(200, html="<h1>no cat</h1>")
    if path == "/large":
        return httpx.Response(200, content=bytes(21 * 2**20), headers={"content-type": "image/png"})
    if path == "/to-inside":
        return httpx.Response(302, headers={"location": "http://169.254.169.254/latest/meta-data"})
    if path == "/to-private-name":
        return httpx.Response(302, headers={"location": "http://inside.example/cat.png"})
    if path == "/to-cat":
        return httpx.Response(302, headers={"location": "/cat.png"})
    return httpx.Response(404)


@pytest.fixture
def images() -> ChatImages:
    return ChatImages(AddressGuard(resolve=resolve), httpx.MockTransport(web))


def asking(*urls: Any) -> dict[str, Any]:
    parts = [{"type": "image_url", "image_url": {"url": url, "detail": "low"}} for url in urls]
    return {"messages": [{"role": "user", "content": [{"type": "text", "text": "See"}, *parts]}]}


async def test_a_picture_is_put_in_its_place(images: ChatImages) -> None:
    url = "http://pictures.example/cat.png"
    body = asking(url, "http://pictures.example/to-cat")
    prepared = await images.prepared(body, inline=True)
    parts = prepared["messages"][0]["content"]
    data = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
    assert [part["image_url"] for part in parts[1:]] == [{"url": data, "detail": "low"}] * 2
    assert body["messages"][0]["content"][1]["image_url"]["url"] == url  # the caller's own is as it was


async def test_an_address_is_passed_on_where_the_provider_fetches(images: ChatImages) -> None:
    body = asking("http://pictures.example/gone.png")
    assert await images.prepared(body, inline=False) == body


async def test_a_picture_in_the_request_stays(images: ChatImages) -> None:
    body = asking(f"data:image/png;base64,{base64.b64encode(PNG).decode()}")
    assert await images.prepared(body, inline=True) == body


FORBIDDEN = [
    "http://169.254.169.254/latest/meta-data",
    "http://127.0.0.1:8265/",
    "http://[::1]/",
    "http://2130706433/",
    "http://localhost/",
    "http://inside.example/cat.png",
    "file:///etc/passwd",
    "ftp://pictures.example/cat.png",
]


@pytest.mark.parametrize("inline", [True, False])
@pytest.mark.parametrize("url", FORBIDDEN)
async def test_nobody_is_led_inside(images: ChatImages, url: str, inline: bool) -> None:
    with pytest.raises(BadRequest) as caught:
        await images.prepared(asking(url), inline=inline)
    assert (caught.value.field, caught.value.code) == (
        "messages[0].content[1].image_url.url", "ForbiddenAddress",
    )  # fmt: skip


@pytest.mark.parametrize("path", ["/to-inside", "/to-private-name"])
async def test_nor_by_a_redirect(images: ChatImages, path: str) -> None:
    with pytest.raises(BadRequest) as caught:
        await images.prepared(asking(f"http://pictures.example{path}"), inline=True)
    assert caught.value.code == "ForbiddenAddress"


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/nothing", "answers with 404"),
        ("/page", "is text/html, no picture"),
        ("/large", "more than 20971520 bytes"),
    ],
)
async def test_what_is_no_picture_is_refused(images: ChatImages, path: str, reason: str) -> None:
    with pytest.raises(BadRequest, match=reason):
        await images.prepared(asking(f"http://pictures.example{path}"), inline=True)


@pytest.mark.parametrize(
    "url",
    [
        "",
        5,
        None,
        "data:text/html;base64,PGI+",
        "data:image/png,raw",
        "data:image/png;base64,",
        "data:image/png;base64,@@@@",
        "data:image/png;base64,PGI+",
    ],
)
async def test_what_is_no_address_is_refused(images: ChatImages, url: Any) -> None:
    with pytest.raises(BadRequest):
        await images.prepared(asking(url), inline=False)


async def test_too_many_pictures_are_refused(images: ChatImages) -> None:
    with pytest.raises(BadRequest, match="at most 50"):
        await images.prepared(asking(*["data:image/png;base64,iVBO"] * 51), inline=False)


@pytest.mark.parametrize("name", ["zTXt", "huge PNG", "GIF", "huge JPEG"])
async def test_a_bomb_is_refused_before_anybody_decodes_it(images: ChatImages, name: str) -> None:
    make, words = HOSTILE_PICTURES[name]
    kind = {"GIF": "gif", "huge JPEG": "jpeg"}.get(name, "png")
    url = f"data:image/{kind};base64,{base64.b64encode(make()).decode()}"
    with pytest.raises(BadRequest, match=words):
        await images.prepared(asking(url), inline=False)
