import asyncio
from io import BytesIO

import httpx
import pytest
from PIL import Image

from cluster.artifacts.local import LocalArtifactStore
from tests.deployments.stored import Put, picture


@pytest.fixture
def put(artifacts: LocalArtifactStore) -> Put:
    return Put(artifacts)


@pytest.mark.parametrize(
    ("variant", "size"),
    [
        ("width=40", (40, 20)),
        ("height=10", (20, 10)),
        ("width=40,height=10", (20, 10)),
        ("height=30,width=40", (40, 20)),
        ("width=160", (160, 80)),
    ],
)
async def test_a_variant_has_the_size_and_the_aspect(
    stranger: httpx.AsyncClient, put: Put, variant: str, size: tuple[int, int]
) -> None:
    answer = await stranger.get(f"/variants/{variant}/{put(picture(80, 40), 'png')}")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/webp"
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    image = Image.open(BytesIO(answer.content))
    assert (image.format, image.size) == ("WEBP", size)


async def test_a_variant_is_made_once_and_stored_beside_the_original(
    stranger: httpx.AsyncClient, put: Put, artifacts: LocalArtifactStore
) -> None:
    key = put(picture(80, 40), "png")
    first = await stranger.get(f"/variants/width=40,height=30/{key}")
    stored = artifacts.stat(key.removesuffix(".png") + "_40w30h.webp")
    second = await stranger.get(f"/variants/width=40,height=30/{key}")
    assert second.content == first.content == artifacts.local_path(stored.key).read_bytes()
    assert artifacts.stat(stored.key) == stored
    assert (await stranger.get(f"/artifacts/{stored.key}")).headers["etag"] == first.headers["etag"]


async def test_a_variant_that_many_want_at_once_is_the_same_for_all(
    stranger: httpx.AsyncClient, put: Put
) -> None:
    url = f"/variants/width=40/{put(picture(80, 40), 'png')}"
    answers = await asyncio.gather(*(stranger.get(url) for _ in range(8)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1


@pytest.mark.parametrize(
    ("variant", "status"),
    [
        ("width=0", 400),
        ("width=4097", 400),
        ("width=-1", 400),
        ("width=1.5", 400),
        ("width=", 400),
        ("width=1,width=2", 400),
        ("width=10,quality=3", 400),
        ("size=10", 400),
        (",", 405),
    ],
)
async def test_an_odd_variant_is_refused(
    stranger: httpx.AsyncClient, put: Put, variant: str, status: int
) -> None:
    answer = await stranger.get(f"/variants/{variant}/{put(picture(80, 40), 'png')}")
    assert answer.status_code == status
    assert "width=N" in answer.json()["responseStatus"]["message"]


async def test_no_side_of_a_variant_grows_above_the_limit(stranger: httpx.AsyncClient, put: Put) -> None:
    answer = await stranger.get(f"/variants/width=100/{put(picture(2, 400), 'png')}")
    assert Image.open(BytesIO(answer.content)).size == (20, 4096)


async def test_the_variant_of_an_animation_moves(stranger: httpx.AsyncClient, put: Put) -> None:
    buffer = BytesIO()
    frames = [Image.new("RGB", (80, 40), colour) for colour in ("red", "green", "blue")]
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:], duration=200)
    answer = await stranger.get(f"/variants/width=40/{put(buffer.getvalue(), 'gif')}")
    image = Image.open(BytesIO(answer.content))
    assert (image.format, image.size, getattr(image, "n_frames", 1)) == ("WEBP", (40, 20), 3)


async def test_only_pictures_have_variants(stranger: httpx.AsyncClient, put: Put) -> None:
    for key in (put(b"sound"), put(b"no picture", "png"), put(picture(80, 40)[:100], "png")):
        assert (await stranger.get(f"/variants/width=10/{key}")).status_code == 400
