import numpy as np
import pytest
from PIL import Image

from pipelines.diffusion.options import DiffusionOptions
from pipelines.diffusion.sizes import drawable
from pipelines.errors import InvalidInput
from pipelines.flux import FluxPipeline
from pipelines.sdxl import SdxlPipeline
from pipelines.tasks.image_to_image import ImageToImageRequest
from pipelines.tasks.text_to_image import TEXT_TO_IMAGE, TextToImageRequest
from tests.fakes import FolderWorkspace
from tests.pipelines.diffusion.conftest import MakeSdxl
from tests.pipelines.diffusion.engines import (
    Family,
    drawings,
    farthest,
    images,
    mean_difference,
    pixels,
)
from tests.pipelines.diffusion.pictures import encoded, scene
from tests.pipelines.diffusion.watching import Calls

Size = tuple[int, int]


@pytest.fixture(scope="module")
def square(make_sdxl: MakeSdxl) -> SdxlPipeline:
    """Draws squares of 64 pixels, and nothing else."""
    return make_sdxl(sizes=((64, 64),))


def request(width: int | None, height: int | None) -> TextToImageRequest:
    return TextToImageRequest(prompt="a quiet harbour", seed=1, width=width, height=height)


def drawn_sizes(calls: Calls) -> list[Size]:
    return [(arguments["width"], arguments["height"]) for arguments in calls.arguments]


@pytest.mark.parametrize(
    ("asked", "size"),
    [
        ((None, None), (64, 64)),
        ((128, None), (128, 128)),
        ((None, 96), (96, 96)),
        ((96, 64), (96, 64)),
        ((64, 200), (64, 200)),
    ],
)
def test_a_size_that_the_model_draws(
    asked: tuple[int | None, int | None],
    size: Size,
    sdxl: SdxlPipeline,
    calls: Calls,
    workspace: FolderWorkspace,
) -> None:
    drawn = drawings(sdxl, request(*asked), workspace)
    assert drawn.pictures[0].image.size == size
    assert drawn_sizes(calls) == [size]
    assert drawn.notes == ()


def test_the_model_may_have_a_default_size(make_sdxl: MakeSdxl, workspace: FolderWorkspace) -> None:
    pipeline = make_sdxl(default_size=(96, 64))
    assert images(pipeline, request(None, None), workspace)[0].size == (96, 64)
    assert images(pipeline, request(64, None), workspace)[0].size == (64, 64)


@pytest.mark.parametrize(
    ("asked", "drawn"),
    [((67, 131), (64, 128)), ((101, 99), (104, 96)), ((300, 100), (304, 96)), ((65, 65), (64, 64))],
)
def test_a_size_between_two_is_scaled(
    asked: Size, drawn: Size, sdxl: SdxlPipeline, calls: Calls, workspace: FolderWorkspace
) -> None:
    result = drawings(sdxl, request(*asked), workspace)
    assert result.pictures[0].image.size == asked
    assert drawn_sizes(calls) == [drawn]
    assert result.notes == (
        f"Drawn at {drawn[0]} x {drawn[1]}, the nearest size that tiny draws, "
        f"and scaled to {asked[0]} x {asked[1]}.",
    )


def test_the_result_tells_the_size(square: SdxlPipeline, workspace: FolderWorkspace) -> None:
    (image,) = TEXT_TO_IMAGE.run(square, request(130, 70), workspace).images
    assert (image.width, image.height) == (130, 70)


@pytest.fixture(scope="module")
def four_sizes(make_sdxl: MakeSdxl) -> SdxlPipeline:
    return make_sdxl(sizes=((64, 64), (128, 128), (96, 64), (64, 96)), steps=1)


@pytest.mark.parametrize(
    ("asked", "drawn"),
    [
        ((512, 512), (128, 128)),
        ((64, 64), (64, 64)),
        ((160, 80), (96, 64)),
        ((70, 140), (64, 96)),
        ((120, 110), (128, 128)),
    ],
)
def test_of_the_listed_sizes_the_one_of_the_nearest_shape_is_drawn(
    asked: Size, drawn: Size, four_sizes: SdxlPipeline, calls: Calls, workspace: FolderWorkspace
) -> None:
    result = drawings(four_sizes, request(*asked), workspace)
    assert result.pictures[0].image.size == asked
    assert drawn_sizes(calls) == [drawn]
    assert len(result.notes) == (asked != drawn)


def test_too_many_pixels_are_scaled_up_and_too_few_down(
    make_sdxl: MakeSdxl, calls: Calls, workspace: FolderWorkspace
) -> None:
    pipeline = make_sdxl(min_pixels=96 * 96, max_pixels=128 * 128, steps=1)
    for asked, drawn in [((256, 64), (256, 64)), ((512, 128), (256, 64)), ((64, 64), (96, 96))]:
        assert images(pipeline, request(*asked), workspace)[0].size == asked
        assert drawn_sizes(calls)[-1] == drawn


@pytest.mark.parametrize("asked", [(128, 64), (64, 128), (70, 64), (64, 300)])
def test_a_square_is_widened_by_its_edges_and_nothing_is_cut(
    asked: Size, square: SdxlPipeline, workspace: FolderWorkspace
) -> None:
    (middle,) = images(square, request(64, 64), workspace)
    (wide,) = images(square, request(*asked), workspace)
    assert wide.size == asked
    left, top = (asked[0] - 64) // 2, (asked[1] - 64) // 2
    assert farthest(wide.crop((left, top, left + 64, top + 64)), middle) == 0
    values, original = pixels(wide), pixels(middle)
    if left:
        assert np.array_equal(values[:, :left], np.repeat(original[:, :1], left, 1))
        assert np.array_equal(values[:, -1], original[:, -1])
    if top:
        assert np.array_equal(values[:top], np.repeat(original[:1], top, 0))
        assert np.array_equal(values[-1], original[-1])


@pytest.mark.parametrize("size", [(50, 37), (300, 100), (64, 64), (1, 1), (97, 320)])
def test_image_to_image_gives_the_size_back(size: Size, family: Family, workspace: FolderWorkspace) -> None:
    key = workspace.add(encoded(scene(size)), "scene.png")
    redraw = ImageToImageRequest(prompt="a quiet harbour", image=key, seed=1, steps=2)
    result = drawings(family.ours, redraw, workspace)
    assert result.pictures[0].image.size == size
    assert len(result.notes) == (size != (64, 64))


def test_image_to_image_draws_at_the_pictures_own_size(
    sdxl: SdxlPipeline, calls: Calls, workspace: FolderWorkspace
) -> None:
    key = workspace.add(encoded(scene((300, 100))), "scene.png")
    images(sdxl, ImageToImageRequest(prompt="a quiet harbour", image=key, steps=2), workspace)
    assert [image.size for image in calls.arguments[0]["image"]] == [(304, 96)]


def test_flux_draws_in_steps_of_16(flux: FluxPipeline, workspace: FolderWorkspace) -> None:
    result = drawings(flux, request(80, 70), workspace)
    assert result.pictures[0].image.size == (80, 70)
    assert "Drawn at 80 x 64" in result.notes[0]


def test_a_scaled_picture_shows_the_same(square: SdxlPipeline, workspace: FolderWorkspace) -> None:
    (small,) = images(square, request(64, 64), workspace)
    (large,) = images(square, request(256, 256), workspace)
    assert mean_difference(large.resize((64, 64)), small) < 4


@pytest.mark.parametrize("asked", [(1, 1_000_000), (1_000_000, 1), (3, 40_000), (5_000, 5_000), (8, 8)])
def test_no_shape_is_drawn_beyond_the_bound(asked: Size) -> None:
    options = DiffusionOptions(min_pixels=589_824, max_pixels=1_572_864)
    width, height = drawable(asked, options, 8)
    assert width * height <= options.max_pixels * 1.01
    assert (width > height) == (asked[0] > asked[1])
    assert width % 8 == height % 8 == 0


def test_a_picture_that_no_file_could_hold_is_refused_before_it_is_drawn(
    square: SdxlPipeline, calls: Calls, workspace: FolderWorkspace
) -> None:
    image = workspace.add(encoded(Image.new("RGB", (17_000, 2))), "long.png")
    with pytest.raises(InvalidInput, match="webp holds at most 16,383 pixels per side") as refusal:
        images(square, ImageToImageRequest(prompt="a", image=image), workspace)
    assert refusal.value.field == "output_format"
    assert calls.arguments == []
