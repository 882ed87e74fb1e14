"""Drawing on a real server: what people rely on, whichever way they ask."""

import base64
import io
from typing import Any

import httpx
import pytest
from PIL import ExifTags, Image, ImageStat

from tests.e2e.conftest import Server
from tests.e2e.test_queue import ended, until

pytestmark = pytest.mark.e2e

APPLE = {"positivePrompt": "a red apple on a blue background"}


def drawn(client: httpx.Client, **fields: Any) -> dict[str, Any]:
    answer = client.post("/api/TextToImage", json={**APPLE, **fields})
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def colour_at(picture: Image.Image, x: int, y: int, side: int = 6) -> tuple[float, float, float]:
    """Give the mean colour of a square whose upper left corner is there."""
    red, green, blue = ImageStat.Stat(picture.crop((x, y, x + side, y + side))).mean
    return red, green, blue


def opened(client: httpx.Client, url: str) -> Image.Image:
    return Image.open(io.BytesIO(client.get(url).content))


def test_the_readmes_first_request_gives_a_red_thing_on_blue(client: httpx.Client, server: Server) -> None:
    assert '"positivePrompt": "a red apple on a blue background"' in server.banner
    answer = drawn(client)
    (result,) = answer["results"]
    picture = opened(client, result["url"]).convert("RGB")
    assert picture.size == (result["width"], result["height"]) == (512, 512)
    assert "notes" not in answer
    red, _, blue = colour_at(picture, 200, 200, 112)
    assert red > blue + 60
    for corner in ((0, 0), (506, 0), (0, 506), (506, 506)):
        red, _, blue = colour_at(picture, *corner)
        assert blue > red + 60


def test_a_seed_gives_the_same_file_on_every_way(client: httpx.Client) -> None:
    wish = {"seed": 11, "outputFormat": "png", "width": 128, "height": 128}
    (first,) = drawn(client, **wish)["results"]
    assert first["seed"] == 11
    (again,) = drawn(client, **wish)["results"]
    job = client.post("/api/QueueTextToImage", json={**APPLE, **wish}).json()
    ended(client, job["jobId"])
    (in_queue,) = client.get("/api/GetArtifactGenerationStatus", params={"jobId": job["jobId"]}).json()[
        "results"
    ]
    body = {"prompt": APPLE["positivePrompt"], "seed": 11, "size": "128x128", "response_format": "b64_json"}
    by_openai = client.post("/v1/images/generations", json=body).json()["data"][0]
    # Results are named by their sha256.
    assert first["fileName"] == again["fileName"] == in_queue["fileName"]
    assert base64.b64decode(by_openai["b64_json"]) == client.get(first["url"]).content


def test_a_random_seed_is_told_and_draws_the_same_picture(client: httpx.Client) -> None:
    one, two = drawn(client, batchSize=2, width=128, height=128, outputFormat="png")["results"]
    assert two["seed"] == one["seed"] + 1
    (again,) = drawn(client, seed=one["seed"], width=128, height=128, outputFormat="png")["results"]
    pictures = [opened(client, result["url"]).convert("RGB").tobytes() for result in (one, again)]
    assert max(abs(a - b) for a, b in zip(*pictures, strict=True)) <= 2


def test_the_file_says_how_it_was_made(client: httpx.Client) -> None:
    (result,) = drawn(client, seed=5, negativePrompt="a cat")["results"]
    exif = opened(client, result["url"]).getexif().get_ifd(ExifTags.IFD.Exif)
    comment = exif[ExifTags.Base.UserComment].removeprefix(b"UNICODE\x00").decode("utf-16-be")
    assert comment.startswith(APPLE["positivePrompt"])
    assert "Seed: 5" in comment
    assert "Model: tiny-sdxl" in comment


def test_a_size_that_it_cannot_draw_is_scaled_and_the_answer_says_so(client: httpx.Client) -> None:
    answer = drawn(client, width=1024, height=640)
    assert opened(client, answer["results"][0]["url"]).size == (1024, 640)
    assert "128 x 128" in answer["notes"][0]


def test_a_queued_picture_tells_its_steps_and_stops_when_it_is_cancelled(client: httpx.Client) -> None:
    slow = {**APPLE, "batchSize": 10, "steps": 150}
    job_id = client.post("/api/QueueTextToImage", json=slow).json()["jobId"]

    def step() -> str | None:
        status: str = client.get("/api/GetArtifactGenerationStatus", params={"jobId": job_id}).json()[
            "status"
        ]
        return status if status.startswith("Step ") else None

    assert " of " in until("the first step", step)
    assert client.delete(f"/jobs/{job_id}").status_code == 200
    assert ended(client, job_id)["state"] == "Cancelled"
    drawn(client)  # at once: the model is free again


def test_tiny_flux_draws_too(client: httpx.Client) -> None:
    answer = drawn(client, model="tiny-flux", seed=2, negativePrompt="a cat", width=128, height=128)
    assert answer["notes"] == ["This model takes no negative prompt; it was ignored."]
    red, _, blue = colour_at(opened(client, answer["results"][0]["url"]).convert("RGB"), 0, 0)
    assert blue > red + 60
