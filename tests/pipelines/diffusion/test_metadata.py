from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image

from pipelines.sdxl import SdxlPipeline
from pipelines.tasks.drawing import DrawResult
from pipelines.tasks.image_to_image import IMAGE_TO_IMAGE, ImageToImageRequest
from pipelines.tasks.text_to_image import TEXT_TO_IMAGE, TextToImageRequest
from tests.fakes import FolderWorkspace
from tests.pipelines.diffusion.conftest import MakeSdxl
from tests.pipelines.diffusion.engines import images
from tests.pipelines.diffusion.pictures import encoded, scene

PROMPT = "a red fox, 雪の中で"
PARAMETERS = (
    f"{PROMPT}\nNegative prompt: blurry\n"
    "Steps: 2, Sampler: ddim, CFG scale: 7.5, Seed: {seed}, Size: 64x96, Model: tiny"
)
FORMATS = ("png", "webp", "jpg", "avif")


def request(output_format: str, **changes: Any) -> TextToImageRequest:
    settings = {
        "prompt": PROMPT,
        "negative_prompt": "blurry",
        "seed": 7,
        "steps": 2,
        "scheduler": "ddim",
        "guidance": 7.5,
        "width": 64,
        "height": 96,
        "output_format": output_format,
    }
    return TextToImageRequest.model_validate(settings | changes)


def texts(result: DrawResult, workspace: FolderWorkspace) -> list[str | None]:
    """Give what the files say, by the places where the tools of the field look."""
    found = []
    for drawn in result.images:
        with Image.open(workspace.path(drawn.image)) as image:
            image.load()
            comment = image.getexif().get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.UserComment)
            exif = comment.removeprefix(b"UNICODE\x00").decode("utf-16-be") if comment else None
            found.append(image.info.get("parameters", exif))
    return found


@pytest.mark.parametrize("output_format", FORMATS)
def test_a_file_says_how_it_was_made(
    output_format: str, sdxl: SdxlPipeline, workspace: FolderWorkspace
) -> None:
    result = TEXT_TO_IMAGE.run(sdxl, request(output_format, batch_size=2), workspace)
    assert texts(result, workspace) == [PARAMETERS.format(seed=seed) for seed in (7, 8)]
    assert {image.format for image in result.images} == {output_format}


@pytest.fixture(scope="module")
def silent(make_sdxl: MakeSdxl) -> SdxlPipeline:
    return make_sdxl(metadata=False)


@pytest.mark.parametrize("output_format", FORMATS)
def test_without_metadata_only_the_pixels_are_written(
    output_format: str, sdxl: SdxlPipeline, silent: SdxlPipeline, workspace: FolderWorkspace
) -> None:
    bare = TEXT_TO_IMAGE.run(silent, request(output_format), workspace)
    assert texts(bare, workspace) == [None]
    assert b"blurry" not in workspace.path(bare.images[0].image).read_bytes()
    usual = TEXT_TO_IMAGE.run(sdxl, request(output_format), workspace)
    one, other = (Image.open(workspace.path(result.images[0].image)) for result in (bare, usual))
    assert np.array_equal(np.asarray(one), np.asarray(other))


def test_a_png_holds_what_was_drawn(sdxl: SdxlPipeline, workspace: FolderWorkspace) -> None:
    result = TEXT_TO_IMAGE.run(sdxl, request("png"), workspace)
    (drawn,) = images(sdxl, request("png"), workspace)
    with Image.open(workspace.path(result.images[0].image)) as image:
        assert np.array_equal(np.asarray(image), np.asarray(drawn))


def test_quality_makes_files_smaller(sdxl: SdxlPipeline, workspace: FolderWorkspace) -> None:
    sizes = []
    for quality in (20, 95):
        result = TEXT_TO_IMAGE.run(sdxl, request("webp", quality=quality), workspace)
        sizes.append(workspace.path(result.images[0].image).stat().st_size)
    assert sizes[0] < sizes[1]


def test_of_image_to_image_it_says_how_much_was_redrawn(
    sdxl: SdxlPipeline, workspace: FolderWorkspace
) -> None:
    key = workspace.add(encoded(scene((64, 64))), "scene.png")
    wish = ImageToImageRequest(prompt="a fox", image=key, seed=1, denoise=0.5, output_format="png")
    (text,) = texts(IMAGE_TO_IMAGE.run(sdxl, wish, workspace), workspace)
    assert text == (
        "a fox\nSteps: 3, CFG scale: 5, Seed: 1, Size: 64x64, Model: tiny, Denoising strength: 0.5"
    )


@pytest.mark.parametrize("output_format", FORMATS)
def test_of_endless_prompts_it_says_the_beginning(
    output_format: str, sdxl: SdxlPipeline, workspace: FolderWorkspace
) -> None:
    endless = "\N{RED APPLE}" * 16_000
    wish = request(output_format, prompt=endless, negative_prompt=endless, guidance=1.5, steps=1)
    (text,) = texts(TEXT_TO_IMAGE.run(sdxl, wish, workspace), workspace)
    assert text is not None
    assert text.startswith("\N{RED APPLE}" * 7_000 + "\N{HORIZONTAL ELLIPSIS}\nNegative prompt:")
    assert "Seed: 7" in text.splitlines()[-1]
