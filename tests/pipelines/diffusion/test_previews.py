from collections.abc import Sequence
from io import BytesIO

import pytest
from PIL import Image

from pipelines.diffusion.schedulers import SCHEDULERS
from pipelines.images import PictureFormat
from pipelines.sdxl import SdxlPipeline
from pipelines.tasks.drawing import DrawEvent, DrawResult, EncodedPreview
from pipelines.tasks.image_to_image import ImageToImageRequest
from pipelines.tasks.image_with_mask import ImageWithMaskRequest
from pipelines.tasks.text_to_image import TEXT_TO_IMAGE, TextToImageRequest
from tests.fakes import FolderWorkspace
from tests.pipelines.diffusion.conftest import MakeSdxl
from tests.pipelines.diffusion.engines import (
    Family,
    events,
    farthest,
    finished,
    images,
    mean_difference,
    previews,
)
from tests.pipelines.diffusion.pictures import encoded, mask, scene

SIZE = (64, 96)


def request(**changes: object) -> TextToImageRequest:
    settings = {"prompt": "a red fox", "seed": 1, "width": 64, "height": 96, "steps": 4, "previews": 3}
    return TextToImageRequest.model_validate(settings | changes)


def distances(happened: Sequence[DrawEvent]) -> list[float]:
    """Give how far each preview is from the finished picture."""
    image = finished(happened).pictures[0].image
    return [mean_difference(preview.image, image) for preview in previews(happened)]


def check_they_come_nearer(happened: Sequence[DrawEvent]) -> None:
    assert [preview.number for preview in previews(happened)] == [0, 1, 2]
    assert {preview.image.size for preview in previews(happened)} == {SIZE}
    found = distances(happened)
    assert found == sorted(found, reverse=True)
    assert found[-1] < 0.75 * found[0]


def test_previews_come_nearer_and_nearer(family: Family, workspace: FolderWorkspace) -> None:
    check_they_come_nearer(events(family.ours, request(), workspace))


def test_previews_of_image_to_image_and_inpainting(family: Family, workspace: FolderWorkspace) -> None:
    image = workspace.add(encoded(scene(SIZE)), "scene.png")
    common = {"prompt": "a red fox", "seed": 1, "steps": 8, "denoise": 0.5, "previews": 3, "image": image}
    check_they_come_nearer(events(family.ours, ImageToImageRequest.model_validate(common), workspace))
    key = workspace.add(encoded(mask(SIZE, (0, 0, 64, 90))), "mask.png")
    wish = ImageWithMaskRequest.model_validate(common | {"mask": key})
    check_they_come_nearer(events(family.ours, wish, workspace))


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_previews_of_every_scheduler(scheduler: str, sdxl: SdxlPipeline, workspace: FolderWorkspace) -> None:
    found = distances(events(sdxl, request(scheduler=scheduler), workspace))
    assert len(found) == 3
    assert found[-1] < found[0]


@pytest.fixture(scope="module", params=["epsilon", "v_prediction", "sample"])
def model(request: pytest.FixtureRequest, make_sdxl: MakeSdxl) -> SdxlPipeline:
    """A model of each kind; the first of its steps has the same time whether one or two are taken."""
    return make_sdxl(scheduler_settings={"prediction_type": request.param, "timestep_spacing": "trailing"})


@pytest.mark.parametrize("scheduler", ["euler", "dpm++-2m", "unipc", "ddim"])
def test_a_preview_is_what_one_step_would_draw(
    scheduler: str, model: SdxlPipeline, workspace: FolderWorkspace
) -> None:
    (preview,) = previews(events(model, request(steps=2, previews=1, scheduler=scheduler), workspace))
    (one_step,) = images(model, request(steps=1, previews=0, scheduler=scheduler), workspace)
    assert farthest(preview.image, one_step) <= 1


@pytest.mark.parametrize(
    ("steps", "wanted", "numbers"),
    [(8, 0, []), (8, 1, [0]), (8, 2, [0, 1]), (4, 3, [0, 1, 2]), (3, 3, [0, 1]), (2, 3, [0]), (1, 3, [])],
)
def test_previews_are_counted_without_gaps(
    steps: int, wanted: int, numbers: list[int], sdxl: SdxlPipeline, workspace: FolderWorkspace
) -> None:
    happened = events(sdxl, request(steps=steps, previews=wanted), workspace)
    assert [preview.number for preview in previews(happened)] == numbers


def test_asking_for_previews_does_not_change_the_picture(family: Family, workspace: FolderWorkspace) -> None:
    (with_previews,) = images(family.ours, request(), workspace)
    (without,) = images(family.ours, request(previews=0), workspace)
    assert farthest(with_previews, without) == 0


def test_a_batch_shows_its_first_picture(make_sdxl: MakeSdxl, workspace: FolderWorkspace) -> None:
    for max_batch in (1, 2):
        happened = events(make_sdxl(max_batch=max_batch), request(batch_size=2), workspace)
        last = previews(happened)[-1]
        assert last.number == 2
        first, second = (mean_difference(last.image, drawn.image) for drawn in finished(happened).pictures)
        assert first < second


def test_the_stream_shows_files(family: Family, workspace: FolderWorkspace) -> None:
    assert TEXT_TO_IMAGE.stream is not None
    *shown, result = TEXT_TO_IMAGE.stream(family.ours, request(output_format="png"), workspace)
    assert isinstance(result, DrawResult)
    for number, preview in enumerate(shown):
        assert isinstance(preview, EncodedPreview)
        assert (preview.number, preview.format) == (number, PictureFormat.PNG)
        with Image.open(BytesIO(preview.data)) as image:
            assert (image.format, image.size) == ("PNG", SIZE)
