"""/v1/images/edits and variations as OpenAI's own client sees them."""

from pathlib import Path
from typing import Any

import httpx2
import pytest
from openai import BadRequestError
from openai.resources import AsyncImages

from tests.deployments.conftest import stored_files
from tests.deployments.fakes import ListMetrics, SeedPainter
from tests.deployments.openai.pictures import CAT, IMAGE, MASK

URLS = "http://test/artifacts/2"


class TestEdits:
    @pytest.mark.parametrize(("sent", "seen"), [(None, 0.8), (0.3, 0.3)])
    async def test_without_a_mask_the_whole_picture_is_redrawn(
        self, images: AsyncImages, painter: SeedPainter, metrics: ListMetrics, sent: float | None, seen: float
    ) -> None:
        extra = {} if sent is None else {"denoise": sent}
        await images.edit(image=IMAGE, prompt="A lighthouse", extra_body=extra)
        assert metrics.observed[0][0] == "image-to-image"
        assert (painter.files, painter.requests[0].denoise) == ([CAT], seen)

    @pytest.mark.parametrize(("sent", "seen"), [(None, 1.0), (0.3, 0.3)])
    async def test_a_mask_is_read_as_openai_does(
        self, images: AsyncImages, painter: SeedPainter, metrics: ListMetrics, sent: float | None, seen: float
    ) -> None:
        extra = {} if sent is None else {"denoise": sent}
        await images.edit(image=IMAGE, mask=MASK, prompt="A lighthouse", extra_body=extra)
        (request,) = painter.requests
        assert metrics.observed[0][0] == "image-with-mask"
        assert painter.files == [CAT, MASK[1]]
        assert (request.mask_channel, request.denoise, request.keep_unmasked) == ("alpha", seen, True)

    async def test_a_list_of_one_picture(self, images: AsyncImages, painter: SeedPainter) -> None:
        await images.edit(image=[IMAGE], prompt="A lighthouse")
        assert painter.files == [CAT]

    async def test_several_pictures_are_refused(self, images: AsyncImages, tmp_path: Path) -> None:
        with pytest.raises(BadRequestError, match="'image' was sent more than once") as raised:
            await images.edit(image=[IMAGE, MASK], prompt="A lighthouse")
        assert raised.value.param == "image"
        assert stored_files(tmp_path) == []

    async def test_two_pictures_under_two_names(self, images_http: httpx2.AsyncClient) -> None:
        answer = await images_http.post(
            "/v1/images/edits", data={"prompt": "a"}, files={"image": IMAGE, "image[]": MASK}
        )
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "image")

    @pytest.mark.parametrize("resource", ["edits", "variations"])
    async def test_the_picture_must_be_there(self, images_http: httpx2.AsyncClient, resource: str) -> None:
        error = (await images_http.post(f"/v1/images/{resource}", data={"prompt": "a"})).json()["error"]
        assert (error["param"], error["code"]) == ("image", "missing_required_parameter")
        assert "multipart/form-data" in error["message"]

    @pytest.mark.parametrize("name", ["image", "mask"])
    async def test_text_is_no_file(self, images_http: httpx2.AsyncClient, name: str) -> None:
        files = {other: file for other, file in (("image", IMAGE), ("mask", MASK)) if other != name}
        answer = await images_http.post(
            "/v1/images/edits", data={"prompt": "a", name: "cat.png"}, files=files
        )
        error = answer.json()["error"]
        assert (answer.status_code, error["param"]) == (400, name)
        assert "must be a file" in error["message"]

    async def test_what_is_no_picture(self, images: AsyncImages) -> None:
        with pytest.raises(BadRequestError) as raised:
            await images.edit(image=("a.png", b"text"), prompt="A lighthouse")
        assert (raised.value.param, raised.value.code) == ("image", "unsupported_media")

    async def test_a_markup_is_refused(self, images: AsyncImages) -> None:
        with pytest.raises(BadRequestError) as raised:
            await images.edit(image=IMAGE, markup=MASK, prompt="A lighthouse")
        assert raised.value.param == "markup"

    @pytest.mark.parametrize("denoise", [0, -0.5, 1.5, "strong"])
    async def test_denoise_out_of_range(self, images: AsyncImages, denoise: Any) -> None:
        with pytest.raises(BadRequestError) as raised:
            await images.edit(image=IMAGE, prompt="a", extra_body={"denoise": denoise})
        assert raised.value.param == "denoise"

    @pytest.mark.parametrize(("size", "is_noted"), [("512x512", True), ("96x64", False), ("auto", False)])
    async def test_the_size_stays(self, images: AsyncImages, size: Any, is_noted: bool) -> None:
        body = (await images.edit(image=IMAGE, prompt="A lighthouse", size=size)).to_dict()
        assert body["size"] == "96x64"
        assert ("notes" in body) == is_noted


# OpenAI has deprecated them in general; here they stay.
@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")
class TestVariations:
    async def test_as_openais_clients_ask_for_them(
        self, images: AsyncImages, painter: SeedPainter, metrics: ListMetrics
    ) -> None:
        answer = await images.create_variation(image=IMAGE, n=2, model="dall-e-2", size="256x256")
        assert answer.data is not None
        assert [(item.url or "")[: len(URLS)] for item in answer.data] == [URLS, URLS]
        (request,) = painter.requests
        assert (request.prompt, request.denoise, painter.files) == ("a picture", 0.6, [CAT])
        assert metrics.observed == [("image-to-image", "painter", "ok")]

    async def test_a_prompt_and_a_denoise_of_ones_own(
        self, images: AsyncImages, painter: SeedPainter
    ) -> None:
        extra = {"prompt": "A cat", "denoise": 0.2}
        await images.create_variation(image=IMAGE, extra_body=extra)
        (request,) = painter.requests
        assert (request.prompt, request.denoise) == ("A cat", 0.2)

    async def test_they_do_not_stream(self, images: AsyncImages) -> None:
        await images.create_variation(image=IMAGE, extra_body={"stream": False})
        with pytest.raises(BadRequestError, match="do not stream") as raised:
            await images.create_variation(image=IMAGE, extra_body={"stream": True})
        assert raised.value.param == "stream"
