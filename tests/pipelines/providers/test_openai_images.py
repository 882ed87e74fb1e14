import json
from base64 import b64decode, b64encode
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from pipelines.errors import InvalidInput, ProviderBusy, ProviderFailed, ProviderRefused
from pipelines.images import PictureFormat
from pipelines.providers.base import ProviderSettings
from pipelines.providers.openai import OpenAiOptions, OpenAiProvider
from pipelines.providers.openai_sizes import drawn_size
from pipelines.tasks.drawing import DrawResult, EncodedPreview
from pipelines.tasks.image_to_image import ImageToImageRequest
from pipelines.tasks.image_to_text import ImageToTextRequest
from pipelines.tasks.image_with_mask import ImageWithMaskRequest, MaskChannel
from pipelines.tasks.text_to_image import TextToImageRequest
from tests.fakes import FolderWorkspace
from tests.pipelines.photographs import CAT
from tests.pipelines.providers.conftest import drafts, opened, png
from tests.vendors.openai import OpenAiVendor
from tests.vendors.openai_media import painting
from tests.vendors.server import HTML_ERROR, BadDay

GPT = "gpt-image-1.5"
ANY_SIZE = "gpt-image-2"


def request(model: str = GPT, **fields: object) -> TextToImageRequest:
    return TextToImageRequest.model_validate({"prompt": "a meadow", "model": model, **fields})


def cat() -> Image.Image:
    with Image.open(CAT) as image:
        return image.convert("RGB")


async def draw(openai: OpenAiProvider, workspace: FolderWorkspace, asked: TextToImageRequest) -> DrawResult:
    return await openai.run("text-to-image", asked, workspace)


async def test_a_picture_is_drawn_in_the_nearest_shape_and_scaled(
    openai: OpenAiProvider, vendor: OpenAiVendor, workspace: FolderWorkspace
) -> None:
    result = await draw(openai, workspace, request(width=1200, height=900))
    (drawn,) = result.images
    assert vendor.asked[0].json["size"] == "1536x1024"
    assert vendor.asked[0].headers["Authorization"] == "Bearer sk-fake-1234"
    assert (drawn.width, drawn.height) == opened(workspace, drawn.image).size == (1200, 900)
    assert "Drawn at 1536x1024 and scaled to 1200x900." in result.notes
    assert drawn.format is PictureFormat.WEBP


async def test_a_picture_of_the_right_size_and_format_stays_as_it_came(
    openai: OpenAiProvider, vendor: OpenAiVendor, workspace: FolderWorkspace
) -> None:
    result = await draw(openai, workspace, request(width=1024, height=1024, output_format="jpg", quality=70))
    body = vendor.asked[0].json
    assert (body["output_format"], body["output_compression"]) == ("jpeg", 70)
    assert "response_format" not in body
    came = BytesIO()
    painting((1024, 1024)).save(came, "JPEG", quality=70)
    assert workspace.path(result.images[0].image).read_bytes() == came.getvalue()


@pytest.mark.parametrize("format_", ["webp", "png", "jpg", "avif"])
async def test_every_format_can_be_had(
    format_: str, openai: OpenAiProvider, workspace: FolderWorkspace
) -> None:
    result = await draw(openai, workspace, request(output_format=format_))
    with Image.open(workspace.path(result.images[0].image)) as image:
        assert image.format == PictureFormat(format_).traits.pillow
        assert image.size == (1024, 1024)


async def test_newer_models_draw_any_size_that_their_rules_allow(
    openai: OpenAiProvider, vendor: OpenAiVendor, workspace: FolderWorkspace
) -> None:
    result = await draw(openai, workspace, request(ANY_SIZE, width=1536, height=864))
    assert vendor.asked[0].json["size"] == "1536x864"
    assert not any("scaled" in note for note in result.notes)
    result = await draw(openai, workspace, request(ANY_SIZE, width=500, height=250))
    assert vendor.asked[1].json["size"] == "1152x576"
    assert result.images[0].width == 500


@pytest.mark.parametrize("asked", [(64, 64), (64, 2048), (2048, 2048), (1000, 999), (2048, 64), (700, 300)])
def test_the_sizes_of_newer_models_keep_the_rules(asked: tuple[int, int]) -> None:
    width, height = drawn_size(asked, ANY_SIZE, OpenAiOptions())
    assert width % 16 == height % 16 == 0
    assert 655_360 <= width * height <= 8_294_400
    assert 1 / 3 <= width / height <= 3


async def test_pictures_may_take_longer_than_other_answers(
    vendor: OpenAiVendor, workspace: FolderWorkspace
) -> None:
    settings = ProviderSettings("openai", f"{vendor.url}/v1", first_byte_s=0.1, silence_s=0.1)
    provider = OpenAiProvider(settings, OpenAiOptions(image_patience_s=30))
    vendor.bad_days += [BadDay(delay_s=0.3), BadDay(delay_s=0.3)]
    assert (await draw(provider, workspace, request())).images
    asked = ImageToTextRequest(model="gpt-5.4", image=workspace.add(CAT, "cat.png"))
    with pytest.raises(ProviderFailed, match=r"within 0\.1 s"):
        await provider.run("image-to-text", asked, workspace)
    await provider.close()


async def test_a_batch_comes_in_one_answer(
    openai: OpenAiProvider, vendor: OpenAiVendor, workspace: FolderWorkspace
) -> None:
    result = await draw(openai, workspace, request(batch_size=3))
    assert [asked.json["n"] for asked in vendor.asked] == [3]
    assert len({drawn.image for drawn in result.images}) == 3
    assert [round(progress, 2) for progress, _ in workspace.reports] == [0.33, 0.67, 1.0]


async def test_dall_e_3_draws_one_picture_a_request(
    openai: OpenAiProvider, vendor: OpenAiVendor, workspace: FolderWorkspace
) -> None:
    result = await draw(openai, workspace, request("dall-e-3", batch_size=2, width=512, height=512))
    assert [asked.json["n"] for asked in vendor.asked] == [1, 1]
    assert vendor.asked[0].json["response_format"] == "b64_json"
    assert [drawn.width for drawn in result.images] == [512, 512]


async def test_what_only_tunes_is_noted_and_loras_are_refused(
    openai: OpenAiProvider, vendor: OpenAiVendor, workspace: FolderWorkspace
) -> None:
    result = await draw(openai, workspace, request(steps=20, negative_prompt="rain", seed=7))
    assert "openai does not take negative_prompt, steps: left out." in result.notes
    assert any("takes no seed" in note for note in result.notes)
    assert result.images[0].seed == 0
    with pytest.raises(InvalidInput) as caught:
        await draw(openai, workspace, request(loras=("sketch",)))
    assert caught.value.field == "loras"
    assert len(vendor.asked) == 1


async def test_a_stream_gives_the_result(openai: OpenAiProvider, workspace: FolderWorkspace) -> None:
    events = [event async for event in openai.stream("text-to-image", request(), workspace)]
    assert [type(event) for event in events] == [DrawResult]


async def test_a_stream_shows_pictures_on_their_way_in_the_size_and_format_of_the_end(
    openai: OpenAiProvider, vendor: OpenAiVendor, workspace: FolderWorkspace
) -> None:
    asked = request(width=300, height=200, batch_size=2, previews=2, output_format="jpg")
    *previews, result = [event async for event in openai.stream("text-to-image", asked, workspace)]
    assert [(type(preview), preview.number) for preview in previews] == [
        (EncodedPreview, number) for number in (0, 1, 0, 1)
    ]
    with Image.open(BytesIO(previews[0].data)) as image:
        assert (image.size, image.format) == ((300, 200), "JPEG")
    assert len(result.images) == 2
    bodies = [each.json for each in vendor.asked]
    assert [(body["n"], body["stream"], body["partial_images"]) for body in bodies] == [(1, True, 2)] * 2


async def test_a_redrawn_picture_streams_too(
    openai: OpenAiProvider, vendor: OpenAiVendor, workspace: FolderWorkspace
) -> None:
    asked = ImageToImageRequest(prompt="x", model=GPT, image=workspace.add(CAT, "cat.png"), previews=1)
    preview, result = [event async for event in openai.stream("image-to-image", asked, workspace)]
    with Image.open(BytesIO(preview.data)) as image:
        assert image.size == cat().size
    assert isinstance(result, DrawResult)
    assert vendor.asked[0].form["stream"][0].text == "true"


@pytest.mark.parametrize(
    "day",
    [
        BadDay(cut_after=200),
        BadDay(body=b'data: {"type": "ping"}\n\n', content_type="text/event-stream"),
        BadDay(body=b"data: no JSON\n\n", content_type="text/event-stream"),
        BadDay(body=b'data: {"error": {"message": "no"}}\n\n', content_type="text/event-stream"),
        BadDay(500),
        HTML_ERROR,
    ],
)
async def test_a_stream_of_pictures_that_breaks_off_is_a_failure(
    day: BadDay, openai: OpenAiProvider, vendor: OpenAiVendor, workspace: FolderWorkspace
) -> None:
    vendor.bad_days.append(day)
    with pytest.raises(ProviderFailed):
        await anext(openai.stream("text-to-image", request(previews=1), workspace))
    assert not list(workspace.folder.iterdir())


async def test_pictures_that_come_as_addresses_are_fetched_without_the_key(
    openai: OpenAiProvider, vendor: OpenAiVendor, workspace: FolderWorkspace
) -> None:
    vendor.files["/picture.png"] = png(painting((1024, 1024)))
    body = json.dumps({"created": 1, "data": [{"url": f"{vendor.url}/picture.png"}]}).encode()
    vendor.bad_days.append(BadDay(body=body))
    result = await draw(openai, workspace, request("flux-schnell"))
    assert opened(workspace, result.images[0].image).size == (1024, 1024)
    assert vendor.asked[1].path == "/picture.png"
    assert "Authorization" not in vendor.asked[1].headers


async def test_a_large_picture_arrives_whole(
    openai: OpenAiProvider, vendor: OpenAiVendor, workspace: FolderWorkspace
) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (3200, 3200, 3), np.uint8))
    data = png(noise)
    assert len(data) > 30_000_000
    answer = json.dumps({"data": [{"b64_json": b64encode(data).decode()}]}).encode()
    vendor.bad_days.append(BadDay(body=answer))
    result = await draw(openai, workspace, request(output_format="png"))
    assert workspace.path(result.images[0].image).read_bytes() == data


@pytest.mark.parametrize(
    ("day", "error"),
    [
        (BadDay(429, headers={"Retry-After": "3"}), ProviderBusy),
        (BadDay(500), ProviderFailed),
        (BadDay(400), ProviderRefused),
        (HTML_ERROR, ProviderFailed),
        (BadDay(body=b"<html>"), ProviderFailed),
        (BadDay(body=b'{"data": []}'), ProviderFailed),
        (BadDay(body=b'{"data": [{}]}'), ProviderFailed),
        (BadDay(body=b'{"data": [{"b64_json": "!"}]}'), ProviderFailed),
        (BadDay(body=b'{"data": [{"b64_json": "aGVsbG8="}]}'), ProviderFailed),
        (BadDay(body=b'{"data": [{"url": "file:///etc/passwd"}]}'), ProviderFailed),
        (BadDay(body=b'{"error": {"message": "no credits", "code": 400}}'), ProviderRefused),
        (BadDay(cut_after=0), ProviderFailed),
    ],
)
async def test_bad_days_are_told_apart_and_leave_nothing_behind(
    day: BadDay,
    error: type[Exception],
    openai: OpenAiProvider,
    vendor: OpenAiVendor,
    workspace: FolderWorkspace,
) -> None:
    vendor.bad_days.append(day)
    with pytest.raises(error):
        await draw(openai, workspace, request())
    assert not list(workspace.folder.iterdir())


async def test_a_damaged_picture_is_the_providers_fault(
    openai: OpenAiProvider, vendor: OpenAiVendor, workspace: FolderWorkspace
) -> None:
    cut = png(painting((1024, 1024)))[:2000]
    vendor.bad_days.append(
        BadDay(body=json.dumps({"data": [{"b64_json": b64encode(cut).decode()}]}).encode())
    )
    with pytest.raises(ProviderFailed, match="cannot be used"):
        await draw(openai, workspace, request())
    assert not drafts(workspace)


async def test_a_picture_is_redrawn_at_its_own_size(
    openai: OpenAiProvider, vendor: OpenAiVendor, workspace: FolderWorkspace
) -> None:
    key = workspace.add(CAT, "cat.png")
    asked = ImageToImageRequest(prompt="a tiger", model=GPT, image=key, output_format=PictureFormat.PNG)
    result = await openai.run("image-to-image", asked, workspace)
    form = vendor.asked[0].form
    assert form["size"][0].text == "1536x1024"
    sent = Image.open(BytesIO(form["image[]"][0].data))
    assert sent.width / sent.height == pytest.approx(1.5, rel=0.01)
    redrawn = opened(workspace, result.images[0].image)
    assert redrawn.size == cat().size
    # Nothing has moved: the vendor's pictures are the ones that it got, a little darker.
    middle = (100, 100, 300, 250)
    difference = np.asarray(cat().crop(middle), int) - np.asarray(redrawn.crop(middle), int)
    assert abs(difference.mean() - 5) < 1
    assert difference.std() < 6


@pytest.mark.parametrize("channel", MaskChannel)
async def test_only_what_the_mask_shows_is_repainted(
    channel: MaskChannel, openai: OpenAiProvider, vendor: OpenAiVendor, workspace: FolderWorkspace
) -> None:
    original = cat()
    box = (100, 50, 200, 150)
    mask = Image.new("RGBA", original.size, "black")
    mask.paste((255, 0, 0, 0), box)
    asked = ImageWithMaskRequest(
        prompt="a red square",
        model=GPT,
        image=workspace.add(CAT, "cat.png"),
        mask=workspace.add(png(mask if channel is MaskChannel.ALPHA else mask.convert("RGB")), "mask.png"),
        mask_channel=channel,
        denoise=1.0,
    )
    result = await openai.run("image-with-mask", asked, workspace)
    sent = vendor.asked[0].form
    assert Image.open(BytesIO(sent["mask"][0].data)).size == Image.open(BytesIO(sent["image[]"][0].data)).size
    painted = opened(workspace, result.images[0].image).convert("RGB")
    assert painted.getpixel((150, 100)) == (255, 0, 0)
    painted.paste(original.crop(box), box)
    assert np.array_equal(np.asarray(painted), np.asarray(original))


async def test_a_picture_is_described(
    openai: OpenAiProvider, vendor: OpenAiVendor, workspace: FolderWorkspace
) -> None:
    big = workspace.add(png(cat().resize((3000, 2000))), "big.png")
    asked = ImageToTextRequest(model="gpt-5.4", image=big)
    assert (await openai.run("image-to-text", asked, workspace)).text == "Hello! How can I help? ✓"
    text, picture = vendor.asked[0].json["messages"][0]["content"]
    assert text["text"] == "Describe this picture in one sentence."
    head, _, data = picture["image_url"]["url"].partition(",")
    assert head == "data:image/jpeg;base64"
    with Image.open(BytesIO(b64decode(data))) as sent:
        assert max(sent.size) == 2048
    await openai.run("image-to-text", asked.model_copy(update={"prompt": "Which animal?"}), workspace)
    assert vendor.asked[1].json["messages"][0]["content"][0]["text"] == "Which animal?"
    await openai.run("image-to-text", asked.model_copy(update={"prompt": "<OCR>"}), workspace)
    assert "Write down the text" in vendor.asked[2].json["messages"][0]["content"][0]["text"]


@pytest.mark.parametrize("completion", [{"choices": []}, {"choices": [{"message": {"content": None}}]}])
async def test_an_answer_without_words_is_a_failure(
    completion: object, openai: OpenAiProvider, vendor: OpenAiVendor, workspace: FolderWorkspace
) -> None:
    vendor.bad_days.append(BadDay(body=json.dumps(completion).encode()))
    asked = ImageToTextRequest(model="gpt-5.4", image=workspace.add(CAT, "cat.png"))
    with pytest.raises(ProviderFailed):
        await openai.run("image-to-text", asked, workspace)


async def test_models_that_draw_do_all_three_tasks_and_do_not_chat(
    openai: OpenAiProvider, vendor: OpenAiVendor
) -> None:
    assert {model.name: model.tasks for model in await openai.models()}["gpt-image-1"] == ("chat",)
    patterns = dict.fromkeys(("text-to-image", "image-to-image", "image-with-mask"), ("*image*",))
    patterns |= {"embedding": ("*embedding*",), "image-to-text": ("gpt-5*",), "chat": ("*",)}
    provider = OpenAiProvider(openai._http._settings, OpenAiOptions.model_validate({"tasks": patterns}))
    assert {model.name: model.tasks for model in await provider.models()} == {
        "gpt-5.4": ("image-to-text", "chat"),
        "gpt-image-1": ("text-to-image", "image-to-image", "image-with-mask"),
        "text-embedding-3-small": ("embedding",),
    }
    await provider.close()
