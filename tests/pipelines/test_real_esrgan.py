from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms
from pydantic import ValidationError

from pipelines.errors import Cancelled, InputTooLarge, InvalidInput, ModelLoadError, UnsupportedMedia
from pipelines.loading import EngineSettings, load_pipeline
from pipelines.real_esrgan import RealEsrganOptions, RealEsrganPipeline
from pipelines.tasks.base import RunLimits
from pipelines.tasks.image_upscale import (
    IMAGE_UPSCALE,
    ImageUpscalePipeline,
    ImageUpscaleRequest,
    ImageUpscaleResult,
)
from tests.fakes import FolderWorkspace
from tests.pipelines.transforms.pictures import RED, animated, difference, encoded, flag
from tests.pipelines.upscaling.material import (
    MODELS,
    PHOTOGRAPHS,
    halved,
    noise,
    photograph,
    psnr_db,
    sticker,
)

ENGINE = EngineSettings(threads=1)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
SWAPPED = SRGB.replace(b"rXYZ", b"zXYZ").replace(b"gXYZ", b"rXYZ").replace(b"zXYZ", b"gXYZ")
"""A profile in which the red channel is green light, and the other way round."""


@pytest.fixture(scope="module")
def drawing() -> RealEsrganPipeline:
    return RealEsrganPipeline(MODELS, RealEsrganOptions(), ENGINE)


@pytest.fixture(scope="module")
def free_drawing() -> RealEsrganPipeline:
    return RealEsrganPipeline(MODELS, RealEsrganOptions(faithful=False), ENGINE)


def upscale(
    pipeline: RealEsrganPipeline, workspace: FolderWorkspace, data: bytes, **fields: Any
) -> ImageUpscaleResult:
    request = ImageUpscaleRequest(image=workspace.add(data, "input"), **{"output_format": "png"} | fields)
    return IMAGE_UPSCALE.run(pipeline, request, workspace)


def upscaled(
    pipeline: RealEsrganPipeline, workspace: FolderWorkspace, data: bytes, **fields: Any
) -> Image.Image:
    """Decode the result, after checking that it is what it says."""
    result = upscale(pipeline, workspace, data, **fields)
    image = Image.open(BytesIO(workspace.path(result.image).read_bytes()))
    assert image.size == (result.width, result.height)
    assert image.format == result.format.traits.pillow
    assert result.image.endswith(f".{result.format}")
    return image


def doubled(image: Image.Image) -> Image.Image:
    return image.resize((image.width * 2, image.height * 2), Image.Resampling.BICUBIC)


@pytest.mark.parametrize("name", list(PHOTOGRAPHS))
def test_a_photograph_comes_closer_to_the_original_than_by_interpolation(
    drawing: RealEsrganPipeline, workspace: FolderWorkspace, name: str
) -> None:
    original = photograph(name)
    small = halved(original)
    gain_db = psnr_db(upscaled(drawing, workspace, encoded(small, "PNG")), original) - psnr_db(
        doubled(small), original
    )
    assert gain_db >= 0.5


@pytest.mark.parametrize("name", list(PHOTOGRAPHS))
def test_free_of_the_picture_it_also_takes_the_noise_away(
    free_drawing: RealEsrganPipeline, workspace: FolderWorkspace, name: str
) -> None:
    original = photograph(name)
    levels = np.array(halved(original), np.float64)
    grainy = np.random.default_rng(0).normal(levels, 10).clip(0, 255).astype(np.uint8)
    small = Image.fromarray(grainy)
    gain_db = psnr_db(upscaled(free_drawing, workspace, encoded(small, "PNG")), original) - psnr_db(
        doubled(small), original
    )
    assert gain_db >= 0.5


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_every_scale(drawing: RealEsrganPipeline, workspace: FolderWorkspace, scale: int) -> None:
    image = upscaled(drawing, workspace, encoded(flag(size=(31, 20)), "PNG"), scale=scale)
    assert image.size == (31 * scale, 20 * scale)
    assert difference(image, flag(size=(31, 20)).resize(image.size, Image.Resampling.BICUBIC)) < 8
    assert isinstance(drawing, ImageUpscalePipeline)
    assert {message for _, message in workspace.reports} == {"Upscaling"}
    assert workspace.reports[-1][0] == 1.0


def test_a_request_that_leaves_all_open(drawing: RealEsrganPipeline, workspace: FolderWorkspace) -> None:
    request = ImageUpscaleRequest(image=workspace.add(encoded(flag(), "PNG"), "flag.png"))
    result = IMAGE_UPSCALE.run(drawing, request, workspace)
    assert (result.width, result.height, result.format) == (120, 80, "webp")


@pytest.mark.parametrize("target", ["jpg", "png", "gif", "bmp", "tiff", "webp", "avif"])
def test_every_format(drawing: RealEsrganPipeline, workspace: FolderWorkspace, target: str) -> None:
    image = upscaled(drawing, workspace, encoded(flag(), "PNG"), output_format=target)
    assert difference(image, flag(size=(120, 80))) < 8


@pytest.mark.parametrize(
    ("fields", "field"),
    [({"scale": 1}, "scale"), ({"scale": 5}, "scale"), ({"seed": -1}, "seed"), ({"quality": 0}, "quality")],
)
def test_impossible_wishes_are_refused(fields: dict[str, int], field: str) -> None:
    with pytest.raises(ValidationError, match=field):
        ImageUpscaleRequest(image="any", **fields)


def test_quality_counts_where_there_is_one(drawing: RealEsrganPipeline, workspace: FolderWorkspace) -> None:
    data = encoded(noise((40, 30)), "PNG")
    coarse, fine = (
        upscale(drawing, workspace, data, output_format="jpg", quality=quality) for quality in (10, 95)
    )
    assert workspace.path(coarse.image).stat().st_size < workspace.path(fine.image).stat().st_size
    with pytest.raises(InvalidInput, match="png is lossless") as caught:
        upscale(drawing, workspace, data, quality=80)
    assert caught.value.field == "quality"


def test_transparency_grows_with_the_picture(drawing: RealEsrganPipeline, workspace: FolderWorkspace) -> None:
    small, original = sticker(48), sticker(96)
    image = upscaled(drawing, workspace, encoded(small, "PNG"))
    alpha, expected = image.getchannel("A"), original.getchannel("A")
    assert psnr_db(alpha, expected) - psnr_db(doubled(small.getchannel("A")), expected) >= 3
    # Edges keep their colour, what is open stays open, and what is solid stays solid.
    assert min(low for low, _ in image.convert("RGB").crop((20, 20, 52, 52)).getextrema()) > 240  # type: ignore[misc]
    seen = np.array(image)[np.array(alpha) > 16, :3]
    assert seen.min() > 225
    assert alpha.crop((0, 0, 9, 9)).getextrema() == (0, 0)
    assert alpha.crop((26, 26, 46, 46)).getextrema() == (255, 255)
    shares = [share for share, _ in workspace.reports]
    assert shares == sorted(shares)


def test_alpha_that_hides_nothing_is_left_out(
    drawing: RealEsrganPipeline, workspace: FolderWorkspace
) -> None:
    assert upscaled(drawing, workspace, encoded(flag("RGBA"), "PNG")).mode == "RGB"


@pytest.mark.parametrize("mode", ["L", "LA"])
def test_grey_stays_grey(drawing: RealEsrganPipeline, workspace: FolderWorkspace, mode: str) -> None:
    grey = flag("L")
    if mode == "LA":
        grey.putalpha(Image.linear_gradient("L").resize(grey.size))
    image = upscaled(drawing, workspace, encoded(grey, "PNG"))
    assert image.mode == mode
    assert difference(image, doubled(grey)) < 8


def test_pictures_for_print_and_from_scanners(
    drawing: RealEsrganPipeline, workspace: FolderWorkspace
) -> None:
    cmyk = upscaled(drawing, workspace, encoded(flag("CMYK"), "JPEG", quality=95))
    assert cmyk.mode == "RGB"
    assert difference(cmyk, flag(size=(120, 80))) < 8
    deep = flag("L").convert("I").point(lambda level: level * 257 + 0).convert("I;16")
    scanned = upscaled(drawing, workspace, encoded(deep, "PNG"))
    assert scanned.mode == "L"
    assert difference(scanned, flag("L", (120, 80))) < 8


@pytest.mark.parametrize(
    ("orientation", "away"), [(6, Image.Transpose.ROTATE_90), (5, Image.Transpose.TRANSPOSE)]
)
def test_the_result_is_upright_and_without_exif(
    drawing: RealEsrganPipeline, workspace: FolderWorkspace, orientation: int, away: Image.Transpose
) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = orientation, "somebody's camera"
    data = encoded(flag().transpose(away), "JPEG", quality=95, exif=exif)
    image = upscaled(drawing, workspace, data, output_format="jpg")
    assert difference(image, flag(size=(120, 80))) < 8
    assert not dict(image.getexif())


@pytest.mark.parametrize("format_", ["GIF", "WEBP", "PNG"])
def test_of_an_animation_the_first_frame_is_enlarged(
    drawing: RealEsrganPipeline, workspace: FolderWorkspace, format_: str
) -> None:
    data = animated([flag(), Image.new("RGB", (60, 40), RED)], format_, duration=100)
    image = upscaled(drawing, workspace, data)
    assert getattr(image, "n_frames", 1) == 1
    assert difference(image, flag(size=(120, 80))) < 10


def test_a_colour_profile_is_kept_with_its_pixels(
    drawing: RealEsrganPipeline, workspace: FolderWorkspace
) -> None:
    data = encoded(flag(), "PNG", icc_profile=SWAPPED)
    kept = upscaled(drawing, workspace, data)
    assert kept.info["icc_profile"] == SWAPPED
    assert difference(kept, flag(size=(120, 80))) < 8
    green = encoded(Image.new("RGB", (8, 8), (0, 255, 0)), "PNG", icc_profile=SWAPPED)
    converted = upscaled(drawing, workspace, green, output_format="bmp")
    assert difference(converted, Image.new("RGB", (16, 16), (255, 0, 0))) < 4


@pytest.mark.parametrize(
    ("data", "problem"),
    [(encoded(noise((40, 30)), "PNG")[:2000], "damaged"), (b"Dear Sir,\n" * 100, "not a picture of a kind")],
)
def test_torn_and_other_files_are_refused(
    drawing: RealEsrganPipeline, workspace: FolderWorkspace, data: bytes, problem: str
) -> None:
    with pytest.raises(UnsupportedMedia, match=problem) as caught:
        upscale(drawing, workspace, data)
    assert caught.value.field == "image"


def test_pictures_over_the_limit_are_refused_before_they_are_enlarged(
    drawing: RealEsrganPipeline, workspace: FolderWorkspace
) -> None:
    data = encoded(flag(), "PNG")
    with pytest.raises(InputTooLarge, match=r"result is 120 x 80 pixels = 9,600 .* 9,599") as caught:
        upscale(drawing, FolderWorkspace(workspace.folder, RunLimits(image_pixels=9_599)), data)
    assert caught.value.field == "scale"
    with pytest.raises(InputTooLarge, match=r"image is 60 x 40") as caught:
        upscale(drawing, FolderWorkspace(workspace.folder, RunLimits(image_pixels=2_399)), data)
    assert caught.value.field == "image"


def test_a_result_that_the_format_cannot_hold_is_refused(
    drawing: RealEsrganPipeline, workspace: FolderWorkspace
) -> None:
    data = encoded(Image.new("L", (4_096, 1)), "PNG")
    with pytest.raises(InvalidInput, match=r"webp holds at most 16,383 .* 16384 x 4") as caught:
        upscale(drawing, workspace, data, scale=4, output_format="webp")
    assert caught.value.field == "output_format"


class _Impatient(FolderWorkspace):
    """Is cancelled after its second report."""

    def report(self, progress: float, message: str = "") -> None:
        super().report(progress, message)
        if len(self.reports) == 2:
            self.cancel()


def test_it_stops_between_tiles(drawing: RealEsrganPipeline, tmp_path: Path) -> None:
    workspace = _Impatient(tmp_path)
    with pytest.raises(Cancelled):
        upscale(drawing, workspace, encoded(Image.new("RGB", (1_200, 20)), "PNG"))
    assert [share for share, _ in workspace.reports] == [0.0, 0.2]
    assert [path.name for path in tmp_path.iterdir()] == ["input"]


def test_the_network_for_photographs_knows_more_of_them(
    drawing: RealEsrganPipeline, workspace: FolderWorkspace
) -> None:
    photo = RealEsrganPipeline(MODELS, RealEsrganOptions(network="photo"), ENGINE)
    original = photograph("coffee").crop((128, 64, 192, 128))  # light on metal and glaze
    data = encoded(halved(original), "PNG")
    by_photo, by_drawing = (upscaled(each, workspace, data) for each in (photo, drawing))
    assert psnr_db(by_photo, original) - psnr_db(by_drawing, original) >= 0.5


def test_weights_that_are_not_there_name_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(ModelLoadError, match="needs a 'source'"):
        RealEsrganPipeline(None, RealEsrganOptions(), ENGINE)
    with pytest.raises(ModelLoadError, match=r"realesr-animevideov3-x4\.param cannot be read .*'source'"):
        RealEsrganPipeline(tmp_path, RealEsrganOptions(), ENGINE)


def test_options_are_validated() -> None:
    with pytest.raises(ValidationError, match="network"):
        RealEsrganOptions.model_validate({"network": "cat"})
    with pytest.raises(ValidationError, match="tile"):
        RealEsrganOptions.model_validate({"tile": 3})


def test_the_configuration_can_name_it() -> None:
    pipeline = load_pipeline(
        "pipelines.real_esrgan:RealEsrganPipeline",
        ["image-upscale"],
        MODELS,
        {"network": "illustration", "faithful": False, "dtype": "bfloat16"},
        ENGINE,
    )
    assert isinstance(pipeline, RealEsrganPipeline)
