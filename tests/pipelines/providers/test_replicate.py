import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator
from io import BytesIO
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
from PIL import Image, ImageOps

from pipelines.errors import (
    InvalidInput,
    ProviderBusy,
    ProviderDenied,
    ProviderError,
    ProviderFailed,
    ProviderLacks,
    ProviderRefused,
)
from pipelines.images import PictureFormat
from pipelines.providers.base import ProviderSettings
from pipelines.providers.replicate import ReplicateOptions, ReplicateProvider
from pipelines.tasks.drawing import DrawResult
from pipelines.tasks.image_to_image import ImageToImageRequest
from pipelines.tasks.image_upscale import ImageUpscaleRequest
from pipelines.tasks.image_with_mask import ImageWithMaskRequest
from pipelines.tasks.text_to_image import TextToImageRequest
from tests.fakes import FolderWorkspace
from tests.pipelines.photographs import CAT
from tests.pipelines.providers.conftest import opened, png
from tests.vendors.openai_media import painting
from tests.vendors.replicate import FileHost, ReplicateVendor
from tests.vendors.server import HTML_ERROR, BadDay, serving

FLUX = "black-forest-labs/flux-schnell"
SDXL = "stability-ai/sdxl:7762fd07cf82c948538e41f63f77d685e02b063e37e496e96eefd46c929f9bdc"
KEY = "r8_fake"


class Pauses:
    """Waits no time, and remembers how long it should have been; `do` happens in the first."""

    def __init__(self) -> None:
        self.lengths_s: list[float] = []
        self.reached = asyncio.Event()
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def __call__(self, seconds: float) -> None:
        self.lengths_s.append(seconds)
        self.reached.set()
        await self.go_on.wait()


@pytest_asyncio.fixture
async def vendor() -> AsyncIterator[ReplicateVendor]:
    async with serving(FileHost()) as host:
        assert isinstance(host, FileHost)
        replicate = ReplicateVendor(host)
        async with serving(replicate):
            yield replicate


@pytest.fixture
def pauses() -> Pauses:
    return Pauses()


def provider_of(vendor: ReplicateVendor, pauses: Pauses, **options: Any) -> ReplicateProvider:
    settings = ProviderSettings("replicate", vendor.url, KEY, "REPLICATE_API_TOKEN")
    return ReplicateProvider(settings, ReplicateOptions.model_validate(options), pauses)


@pytest_asyncio.fixture
async def replicate(vendor: ReplicateVendor, pauses: Pauses) -> AsyncIterator[ReplicateProvider]:
    provider = provider_of(vendor, pauses)
    yield provider
    await provider.close()


def request(model: str = FLUX, **fields: Any) -> TextToImageRequest:
    return TextToImageRequest.model_validate({"prompt": "a meadow", "model": model, **fields})


async def draw(
    replicate: ReplicateProvider, workspace: FolderWorkspace, asked: TextToImageRequest | None = None
) -> DrawResult:
    return await replicate.run("text-to-image", asked or request(), workspace)


def cat() -> Image.Image:
    with Image.open(CAT) as image:
        return image.convert("RGB")


async def test_an_answer_that_is_waited_for_needs_no_second_request(
    replicate: ReplicateProvider, vendor: ReplicateVendor, workspace: FolderWorkspace, pauses: Pauses
) -> None:
    result = await draw(replicate, workspace, request(width=1920, height=1080, seed=5, steps=4))
    (asked,) = vendor.asked
    assert (asked.method, asked.path) == ("POST", f"/v1/models/{FLUX}/predictions")
    assert asked.headers["Authorization"] == f"Bearer {KEY}"
    assert asked.headers["Prefer"] == "wait=10"
    assert asked.headers["Cancel-After"] == "600s"
    assert asked.json == {
        "input": {
            "prompt": "a meadow",
            "aspect_ratio": "16:9",
            "seed": 5,
            "num_inference_steps": 4,
            "output_format": "png",
        }
    }
    (drawn,) = result.images
    assert opened(workspace, drawn.image).size == (1920, 1080)
    assert drawn.seed == 5
    assert result.notes == ("Drawn at 1344x768 and scaled to 1920x1080.",)
    assert not pauses.lengths_s


async def test_the_host_of_the_files_does_not_learn_the_key(
    replicate: ReplicateProvider, vendor: ReplicateVendor, workspace: FolderWorkspace
) -> None:
    await draw(replicate, workspace)
    (asked,) = vendor.host.asked
    assert "Authorization" not in asked.headers
    assert KEY not in str(asked)


async def test_a_picture_stays_as_it_came_where_that_is_what_was_asked_for(
    replicate: ReplicateProvider, vendor: ReplicateVendor, workspace: FolderWorkspace
) -> None:
    result = await draw(replicate, workspace, request(quality=70))
    (inputs,) = [prediction["input"] for prediction in vendor.predictions.values()]
    assert (inputs["output_format"], inputs["output_quality"]) == ("webp", 70)
    assert workspace.path(result.images[0].image).read_bytes() in vendor.host.files.values()


async def test_a_version_is_started_by_its_number_with_stable_diffusions_names(
    replicate: ReplicateProvider, vendor: ReplicateVendor, workspace: FolderWorkspace
) -> None:
    asked = request(SDXL, width=500, height=400, negative_prompt="rain", guidance=7.5, batch_size=2, seed=1)
    result = await draw(replicate, workspace, asked)
    assert vendor.asked[0].path == "/v1/predictions"
    assert vendor.asked[0].json == {
        "version": SDXL.partition(":")[2],
        "input": {
            "prompt": "a meadow",
            "negative_prompt": "rain",
            "width": 504,
            "height": 400,
            "guidance_scale": 7.5,
            "num_outputs": 2,
            "seed": 1,
        },
    }
    assert [(drawn.width, drawn.height, drawn.seed) for drawn in result.images] == [
        (500, 400, 1),
        (500, 400, 2),
    ]
    assert any("drawn at once with the seed 1" in note for note in result.notes)


async def test_models_that_draw_one_picture_are_asked_several_times(
    replicate: ReplicateProvider, vendor: ReplicateVendor, workspace: FolderWorkspace
) -> None:
    asked = request("black-forest-labs/flux-1.1-pro", batch_size=3, negative_prompt="rain")
    result = await draw(replicate, workspace, asked)
    inputs = [prediction["input"] for prediction in vendor.predictions.values()]
    seeds = [drawn.seed for drawn in result.images]
    assert sorted(each["seed"] for each in inputs) == seeds == [seeds[0], seeds[0] + 1, seeds[0] + 2]
    assert not any("num_outputs" in each or "negative_prompt" in each for each in inputs)
    assert result.notes == (f"{asked.model} at replicate does not take negative_prompt: left out.",)


async def test_what_is_drawn_at_once_is_limited_and_given_up_together(
    vendor: ReplicateVendor, workspace: FolderWorkspace, pauses: Pauses
) -> None:
    provider = provider_of(vendor, pauses, at_once=2)
    vendor.looks = 100
    pauses.go_on.clear()
    many = request("black-forest-labs/flux-1.1-pro", batch_size=4)
    vendor.bad_days.append(BadDay(500))
    with pytest.raises(ProviderFailed):
        await draw(provider, workspace, many)
    await provider.close()
    assert sorted(vendor.cancelled) == sorted(vendor.predictions)
    assert len(vendor.predictions) <= 2
    assert not list(workspace.folder.iterdir())


async def test_inputs_can_be_named_and_fixed_in_the_configuration(
    vendor: ReplicateVendor, workspace: FolderWorkspace, pauses: Pauses
) -> None:
    provider = provider_of(
        vendor,
        pauses,
        inputs={"me/*": {"prompt": "text", "seed": None, "width": None, "height": None}},
        constants={"me/*": {"go_fast": True}},
    )
    result = await draw(provider, workspace, request("me/mine", width=512))
    assert vendor.asked[0].json["input"] == {"go_fast": True, "text": "a meadow"}
    assert result.images[0].seed == 0
    assert any("takes no seed" in note for note in result.notes)
    await provider.close()


async def test_slow_work_is_looked_after_with_growing_pauses(
    replicate: ReplicateProvider, vendor: ReplicateVendor, workspace: FolderWorkspace, pauses: Pauses
) -> None:
    vendor.looks = 6
    await draw(replicate, workspace)
    assert [asked.path for asked in vendor.asked[1:]] == ["/v1/predictions/p0"] * 6
    assert all(asked.headers["Authorization"] == f"Bearer {KEY}" for asked in vendor.asked)
    assert pauses.lengths_s == [0.5, 0.75, 1.125, 1.6875, 2.0, 2.0]


async def test_a_stream_tells_when_the_work_is_done(
    replicate: ReplicateProvider, vendor: ReplicateVendor, workspace: FolderWorkspace, pauses: Pauses
) -> None:
    vendor.looks, vendor.stream_url = 1, f"{vendor.url}/stream/p0"
    await draw(replicate, workspace)
    assert [asked.path for asked in vendor.asked[1:]] == ["/stream/p0", "/v1/predictions/p0"]
    assert "Authorization" not in vendor.asked[1].headers
    assert not pauses.lengths_s


async def test_a_stream_that_is_none_does_no_harm(
    replicate: ReplicateProvider, vendor: ReplicateVendor, workspace: FolderWorkspace, pauses: Pauses
) -> None:
    vendor.looks, vendor.stream_url = 2, f"{vendor.host.url}/not/there"
    assert (await draw(replicate, workspace)).images
    assert pauses.lengths_s == [0.5]


async def test_one_bad_look_does_not_lose_the_work(
    replicate: ReplicateProvider, vendor: ReplicateVendor, workspace: FolderWorkspace, pauses: Pauses
) -> None:
    vendor.looks = 1
    vendor.bad_days += [BadDay(), BadDay(429, headers={"Retry-After": "7"}), HTML_ERROR]
    assert (await draw(replicate, workspace)).images
    assert pauses.lengths_s == [0.5, 7.0, 2.0]
    assert not vendor.cancelled


async def test_whoever_cannot_be_looked_after_is_cancelled(
    replicate: ReplicateProvider, vendor: ReplicateVendor, workspace: FolderWorkspace
) -> None:
    vendor.looks = 1
    vendor.bad_days += [BadDay(), BadDay(500), BadDay(500), BadDay(500)]
    with pytest.raises(ProviderFailed):
        await draw(replicate, workspace)
    await replicate.close()
    assert vendor.cancelled == ["p0"]


@pytest.mark.parametrize("outcome", ["failed", "canceled", "aborted"])
async def test_work_that_ends_badly_is_a_failure(
    outcome: str, replicate: ReplicateProvider, vendor: ReplicateVendor, workspace: FolderWorkspace
) -> None:
    vendor.outcome, vendor.error = outcome, "CUDA out of memory"
    with pytest.raises(ProviderFailed, match=rf"\({outcome}\): CUDA out of memory"):
        await draw(replicate, workspace)
    await replicate.close()
    assert not vendor.cancelled


async def test_leaving_cancels_the_work(
    replicate: ReplicateProvider, vendor: ReplicateVendor, workspace: FolderWorkspace, pauses: Pauses
) -> None:
    vendor.looks = 100
    pauses.go_on.clear()
    drawing = asyncio.create_task(draw(replicate, workspace))
    await pauses.reached.wait()
    drawing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await drawing
    await replicate.close()
    assert vendor.cancelled == ["p0"]
    assert vendor.asked[-1].headers["Authorization"] == f"Bearer {KEY}"


async def test_leaving_while_replicate_waits_cancels_as_soon_as_it_says_what(
    replicate: ReplicateProvider, vendor: ReplicateVendor, workspace: FolderWorkspace
) -> None:
    vendor.looks, vendor.gate = 100, asyncio.Event()
    drawing = asyncio.create_task(draw(replicate, workspace))
    await vendor.reached.wait()
    drawing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await drawing
    assert not vendor.cancelled
    vendor.gate.set()
    await replicate.close()
    assert vendor.cancelled == ["p0"]


async def test_work_that_takes_too_long_is_cancelled(
    vendor: ReplicateVendor, workspace: FolderWorkspace, pauses: Pauses
) -> None:
    vendor.looks = 100
    pauses.go_on.clear()
    provider = provider_of(vendor, pauses, limit_s=0.2)
    with pytest.raises(ProviderFailed, match=r"not ready within 0\.2 s"):
        await draw(provider, workspace)
    await provider.close()
    assert vendor.cancelled == ["p0"]


@pytest.mark.parametrize(
    ("day", "error", "told"),
    [
        (BadDay(401), ProviderDenied, "REPLICATE_API_TOKEN"),
        (BadDay(402), ProviderDenied, "spent"),
        (BadDay(404), ProviderLacks, "could not be found"),
        (BadDay(422), ProviderRefused, "prompt is required"),
        (BadDay(429, headers={"Retry-After": "1"}), ProviderBusy, "throttled"),
        (BadDay(500), ProviderFailed, "unexpected"),
        (HTML_ERROR, ProviderFailed, "502"),
        (BadDay(body=b"[]"), ProviderFailed, "prediction"),
        (BadDay(cut_after=0), ProviderFailed, "broke off"),
    ],
)
async def test_bad_days_are_told_apart(
    day: BadDay,
    error: type[ProviderError],
    told: str,
    replicate: ReplicateProvider,
    vendor: ReplicateVendor,
    workspace: FolderWorkspace,
) -> None:
    vendor.bad_days.append(day)
    with pytest.raises(error, match=told) as caught:
        await draw(replicate, workspace)
    if isinstance(caught.value, ProviderRefused):
        assert (caught.value.field, caught.value.status) == ("prompt", 422)
    assert not list(workspace.folder.iterdir())


async def test_an_address_of_somebody_else_gets_no_key(
    replicate: ReplicateProvider, vendor: ReplicateVendor, workspace: FolderWorkspace
) -> None:
    urls = f'"get": "{vendor.host.url}/p", "cancel": "{vendor.host.url}/p/cancel"'
    vendor.bad_days.append(BadDay(body=f'{{"id": "p", "status": "starting", "urls": {{{urls}}}}}'.encode()))
    with pytest.raises(ProviderFailed, match="somebody else"):
        await draw(replicate, workspace)
    await replicate.close()
    assert not vendor.host.asked


@pytest.mark.parametrize("model", ["flux", "a/b/c", "../files", "a/b:", "a/b?x=1", ""])
async def test_only_names_of_models_are_asked_for(
    model: str, replicate: ReplicateProvider, vendor: ReplicateVendor, workspace: FolderWorkspace
) -> None:
    with pytest.raises(InvalidInput) as caught:
        await draw(replicate, workspace, request(model))
    assert caught.value.field == "model"
    assert not vendor.asked


async def test_a_large_picture_arrives_whole(
    replicate: ReplicateProvider, vendor: ReplicateVendor, workspace: FolderWorkspace
) -> None:
    data = png(Image.fromarray(np.random.default_rng(0).integers(0, 256, (3200, 3200, 3), np.uint8)))
    assert len(data) > 30_000_000
    vendor.host.files["/large.png"] = data
    vendor.output = f"{vendor.host.url}/large.png"
    result = await draw(replicate, workspace, request(output_format="png"))
    assert workspace.path(result.images[0].image).read_bytes() == data


@pytest.mark.parametrize("shape", ["text", "list", "object"])
async def test_outputs_have_several_shapes_and_may_hold_the_file(
    shape: str, replicate: ReplicateProvider, vendor: ReplicateVendor, workspace: FolderWorkspace
) -> None:
    url = f"data:image/png;base64,{b64encode(png(painting((64, 64)))).decode()}"
    vendor.output = {"text": url, "list": [url], "object": {"image": url, "seconds": 3}}[shape]
    result = await draw(replicate, workspace)
    assert opened(workspace, result.images[0].image).size == (64, 64)


@pytest.mark.parametrize("output", [[], "a poem", {}, ["data:image/png;base64,!!!"], ["data:,hello"]])
async def test_outputs_without_a_picture_are_failures(
    output: Any, replicate: ReplicateProvider, vendor: ReplicateVendor, workspace: FolderWorkspace
) -> None:
    vendor.output = output
    with pytest.raises(ProviderFailed):
        await draw(replicate, workspace)
    assert not list(workspace.folder.iterdir())


async def test_loras_are_refused(
    replicate: ReplicateProvider, vendor: ReplicateVendor, workspace: FolderWorkspace
) -> None:
    with pytest.raises(InvalidInput):
        await draw(replicate, workspace, request(loras=("sketch",)))
    assert not vendor.asked


async def test_a_large_input_is_uploaded_and_a_small_one_travels_in_the_request(
    replicate: ReplicateProvider, vendor: ReplicateVendor, workspace: FolderWorkspace
) -> None:
    small = workspace.add(png(cat().resize((150, 100))), "small.png")
    large = workspace.add(png(cat().resize((900, 600))), "large.png")
    for key, picture in ((small, cat().resize((150, 100))), (large, cat().resize((900, 600)))):
        asked = ImageToImageRequest(
            prompt="x", model=SDXL, image=key, output_format=PictureFormat.PNG, denoise=0.7
        )
        result = await replicate.run("image-to-image", asked, workspace)
        redrawn = opened(workspace, result.images[0].image)
        assert np.array_equal(np.asarray(redrawn), np.asarray(ImageOps.mirror(picture)))
    assert [asked.path for asked in vendor.asked] == ["/v1/predictions", "/v1/files", "/v1/predictions"]
    sent = [prediction["input"] for prediction in vendor.predictions.values()]
    assert sent[0]["image"].startswith("data:image/png;base64,")
    assert sent[1]["image"].startswith(vendor.host.url)
    assert sent[0]["prompt_strength"] == 0.7


async def test_only_what_the_mask_shows_is_repainted(
    replicate: ReplicateProvider, vendor: ReplicateVendor, workspace: FolderWorkspace
) -> None:
    picture, box = cat(), (100, 50, 200, 150)
    mask = Image.new("RGB", picture.size, "black")
    mask.paste("white", box)
    asked = ImageWithMaskRequest(
        prompt="x",
        model=SDXL,
        image=workspace.add(png(picture), "cat.png"),
        mask=workspace.add(png(mask), "mask.png"),
    )
    result = await replicate.run("image-with-mask", asked, workspace)
    painted = opened(workspace, result.images[0].image).convert("RGB")
    wanted = picture.copy()
    wanted.paste(ImageOps.mirror(picture).crop(box), box)
    assert np.array_equal(np.asarray(painted), np.asarray(wanted))


@pytest.mark.parametrize("quality", [None, 60])
async def test_a_picture_is_enlarged(
    quality: int | None, replicate: ReplicateProvider, vendor: ReplicateVendor, workspace: FolderWorkspace
) -> None:
    asked = ImageUpscaleRequest(
        model="nightmareai/real-esrgan", image=workspace.add(CAT, "cat.png"), scale=3, quality=quality
    )
    result = await replicate.run("image-upscale", asked, workspace)
    assert (result.width, result.height) == opened(workspace, result.image).size == (1353, 900)
    assert result.notes == ()
    assert vendor.predictions["p0"]["input"]["scale"] == 3


async def test_an_enlargement_of_another_size_is_scaled_and_noted(
    replicate: ReplicateProvider, vendor: ReplicateVendor, workspace: FolderWorkspace
) -> None:
    file = BytesIO()
    cat().resize((1804, 1200)).save(file, "JPEG")
    vendor.output = f"data:image/jpeg;base64,{b64encode(file.getvalue()).decode()}"
    asked = ImageUpscaleRequest(model="a/b", image=workspace.add(CAT, "cat.png"), scale=2)
    result = await replicate.run("image-upscale", asked, workspace)
    assert opened(workspace, result.image).size == (902, 600)
    assert result.notes == ("Enlarged to 1804x1200 there.",)


async def test_a_stream_gives_the_result(replicate: ReplicateProvider, workspace: FolderWorkspace) -> None:
    events = [event async for event in replicate.stream("text-to-image", request(), workspace)]
    assert [type(event) for event in events] == [DrawResult]
    assert await replicate.models() == ()
