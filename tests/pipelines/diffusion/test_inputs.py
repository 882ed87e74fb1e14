from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image

from pipelines.errors import InputTooLarge, InvalidInput, UnsupportedMedia
from pipelines.sdxl import SdxlPipeline
from pipelines.tasks.base import RunLimits
from pipelines.tasks.image_to_image import ImageToImageRequest
from pipelines.tasks.image_with_mask import ImageWithMaskRequest
from tests.fakes import FolderWorkspace
from tests.pipelines.diffusion.engines import Drawings, drawings
from tests.pipelines.diffusion.pictures import encoded, mask, scene
from tests.pipelines.diffusion.watching import Calls

SIZE = (64, 96)
ON_WHITE = "The image is partly transparent; it was put on white."


def redrawn(sdxl: SdxlPipeline, data: bytes, workspace: FolderWorkspace) -> Drawings:
    key = workspace.add(data, "picture")
    return drawings(sdxl, ImageToImageRequest(prompt="a red fox", image=key, seed=1, steps=2), workspace)


def with_alpha() -> Image.Image:
    image = scene(SIZE).convert("RGBA")
    image.paste((0, 0, 0, 0), (0, 0, 64, 32))
    return image


def on_white() -> Image.Image:
    image = scene(SIZE)
    image.paste("white", (0, 0, 64, 32))
    return image


def deep_grey() -> Image.Image:
    rows = np.linspace(0, 65535, SIZE[1]).astype(np.uint16)
    return Image.fromarray(np.repeat(rows[:, None], SIZE[0], 1))


def turned() -> bytes:
    """Give the scene lying on its side, with the note that says how it is to be turned."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    return encoded(scene(SIZE).transpose(Image.Transpose.ROTATE_90), "PNG", exif=exif)


def animated() -> bytes:
    frames = [Image.new("RGB", SIZE, colour) for colour in ("red", "blue")]
    return encoded(scene(SIZE), "WEBP", save_all=True, append_images=frames, duration=100, lossless=True)


@pytest.mark.parametrize(
    ("data", "seen", "notes"),
    [
        (lambda: encoded(scene(SIZE)), lambda: scene(SIZE), ()),
        (lambda: encoded(with_alpha()), on_white, (ON_WHITE,)),
        (
            lambda: encoded(with_alpha().convert("LA")),
            lambda: on_white().convert("L").convert("RGB"),
            (ON_WHITE,),
        ),
        (lambda: encoded(scene(SIZE).convert("P")), lambda: scene(SIZE).convert("P").convert("RGB"), ()),
        (lambda: encoded(deep_grey()), lambda: deep_grey().point(lambda v: v / 257).convert("L"), ()),
        (turned, lambda: scene(SIZE), ()),
        (animated, lambda: scene(SIZE), ("The image is animated; its first frame was used.",)),
    ],
    ids=["plain", "alpha", "grey with alpha", "palette", "16 bit", "turned", "animated"],
)
def test_the_model_sees_the_picture_as_people_do(
    data: Callable[[], bytes],
    seen: Callable[[], Image.Image],
    notes: tuple[str, ...],
    sdxl: SdxlPipeline,
    calls: Calls,
    workspace: FolderWorkspace,
) -> None:
    result = redrawn(sdxl, data(), workspace)
    (given,) = calls.arguments[0]["image"]
    assert given.mode == "RGB"
    assert given.size == result.pictures[0].image.size == SIZE
    difference = np.asarray(given).astype(int) - np.asarray(seen().convert("RGB"))
    assert np.abs(difference).max() <= 1
    assert result.notes == notes


def test_cmyk_is_seen_in_its_colours(sdxl: SdxlPipeline, calls: Calls, workspace: FolderWorkspace) -> None:
    inks = Image.new("CMYK", SIZE, (0, 255, 255, 0))
    redrawn(sdxl, encoded(inks, "JPEG", quality=95), workspace)
    red, green, blue = calls.arguments[0]["image"][0].getpixel((10, 10))
    assert red > 200
    assert max(green, blue) < 60


def test_the_result_of_a_turned_picture_is_upright(sdxl: SdxlPipeline, workspace: FolderWorkspace) -> None:
    upright = redrawn(sdxl, encoded(scene(SIZE)), workspace).pictures[0].image
    image = redrawn(sdxl, turned(), workspace).pictures[0].image
    assert np.array_equal(np.asarray(image), np.asarray(upright))


@pytest.mark.parametrize("field", ["image", "mask"])
@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (encoded(scene(SIZE))[:300], "is damaged or incomplete"),
        (b"no picture at all", "is not a picture"),
        (b"", "is not a picture"),
    ],
)
def test_what_is_no_picture_is_refused(
    field: str, data: bytes, reason: str, sdxl: SdxlPipeline, workspace: FolderWorkspace
) -> None:
    files: dict[str, Any] = {
        "image": workspace.add(encoded(scene(SIZE)), "scene.png"),
        "mask": workspace.add(encoded(mask(SIZE, (0, 0, 9, 9))), "mask.png"),
    }
    files[field] = workspace.add(data, "damaged.png")
    with pytest.raises(UnsupportedMedia, match=reason) as refusal:
        drawings(sdxl, ImageWithMaskRequest(prompt="a red fox", **files), workspace)
    assert refusal.value.field == field


def test_the_limit_of_pixels_holds(sdxl: SdxlPipeline, workspace: FolderWorkspace) -> None:
    narrow = FolderWorkspace(workspace.folder, RunLimits(image_pixels=64 * 95))
    with pytest.raises(InputTooLarge) as refusal:
        redrawn(sdxl, encoded(scene(SIZE)), narrow)
    assert refusal.value.field == "image"


@pytest.mark.parametrize("scheduler", ["euler", "lcm"])
@pytest.mark.parametrize("denoise", [1.0, 0.3, 1 / 49, 0.02, 1e-9])
def test_any_share_can_be_redrawn(
    denoise: float, scheduler: str, sdxl: SdxlPipeline, workspace: FolderWorkspace
) -> None:
    key = workspace.add(encoded(scene(SIZE)), "scene.png")
    request = ImageToImageRequest(
        prompt="a red fox", image=key, seed=1, steps=2, denoise=denoise, scheduler=scheduler
    )
    assert drawings(sdxl, request, workspace).pictures[0].image.size == SIZE


def test_pictures_are_not_drawn_in_a_format_that_only_inputs_have() -> None:
    with pytest.raises(InvalidInput, match="Pictures are drawn as webp, png, jpg, avif, not gif"):
        ImageToImageRequest(prompt="a red fox", image="scene.png", output_format="gif")


def test_an_alpha_that_hides_nothing_is_no_transparency(
    sdxl: SdxlPipeline, workspace: FolderWorkspace
) -> None:
    assert redrawn(sdxl, encoded(scene(SIZE).convert("RGBA")), workspace).notes == ()
