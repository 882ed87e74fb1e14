import pytest

from pipelines.errors import InvalidInput
from pipelines.sdxl import SdxlPipeline
from pipelines.tasks.drawing import MAX_SEED, DrawResult
from pipelines.tasks.text_to_image import TEXT_TO_IMAGE, TextToImageRequest
from tests.fakes import FolderWorkspace
from tests.pipelines.diffusion.conftest import MakeSdxl
from tests.pipelines.diffusion.engines import Family, drawings, farthest, images

REQUEST = TextToImageRequest(prompt="a green apple on a table", width=64, height=64)


def seeded(seed: int, **changes: object) -> TextToImageRequest:
    return REQUEST.model_copy(update={"seed": seed, **changes})


def files(result: DrawResult, workspace: FolderWorkspace) -> list[bytes]:
    return [workspace.path(image.image).read_bytes() for image in result.images]


def test_the_same_seed_gives_the_same_file(family: Family, workspace: FolderWorkspace) -> None:
    first, second = (TEXT_TO_IMAGE.run(family.ours, seeded(3), workspace) for _ in range(2))
    other = TEXT_TO_IMAGE.run(family.ours, seeded(4), workspace)
    assert first.images[0].image != second.images[0].image
    assert files(first, workspace) == files(second, workspace)
    assert files(first, workspace) != files(other, workspace)


def test_the_seed_that_was_found_draws_the_picture_again(
    sdxl: SdxlPipeline, workspace: FolderWorkspace
) -> None:
    found = drawings(sdxl, REQUEST.model_copy(update={"batch_size": 3}), workspace).pictures
    first, second, third = (drawn.seed for drawn in found)
    assert (second, third) == (first + 1, first + 2)
    (again,) = images(sdxl, seeded(second), workspace)
    assert farthest(found[1].image, again) == 0


def test_every_run_without_a_seed_has_its_own(sdxl: SdxlPipeline, workspace: FolderWorkspace) -> None:
    found = [drawings(sdxl, REQUEST, workspace).pictures[0].seed for _ in range(3)]
    assert len(set(found)) == 3
    assert all(0 < seed <= MAX_SEED for seed in found)  # AI Server's clients send 0 for a random one


def test_there_is_a_seed_for_each_picture_of_a_batch() -> None:
    settings = {"prompt": "a", "batch_size": 2}
    assert TextToImageRequest(**settings, seed=MAX_SEED - 1).seed == MAX_SEED - 1
    with pytest.raises(InvalidInput, match=f"for 2 pictures give at most {MAX_SEED - 1}") as refusal:
        TextToImageRequest(**settings, seed=MAX_SEED)
    assert refusal.value.field == "seed"


def test_a_pictures_neighbours_in_the_batch_do_not_change_it(
    make_sdxl: MakeSdxl, sdxl: SdxlPipeline, workspace: FolderWorkspace
) -> None:
    pairs = images(make_sdxl(max_batch=2), seeded(5, batch_size=5), workspace)
    for index, image in enumerate(pairs):
        (alone,) = images(sdxl, seeded(5 + index), workspace)
        assert farthest(image, alone) <= 2
