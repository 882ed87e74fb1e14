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
    assert all(0 <= seed <= MAX_SEED for seed in found)


def test_seeds_begin_anew_behind_the_last(sdxl: SdxlPipeline, workspace: FolderWorkspace) -> None:
    last, first = drawings(sdxl, seeded(MAX_SEED, batch_size=2), workspace).pictures
    assert (last.seed, first.seed) == (MAX_SEED, 0)
    (zero,) = images(sdxl, seeded(0), workspace)
    assert farthest(first.image, zero) == 0


def test_a_pictures_neighbours_in_the_batch_do_not_change_it(
    make_sdxl: MakeSdxl, sdxl: SdxlPipeline, workspace: FolderWorkspace
) -> None:
    pairs = images(make_sdxl(max_batch=2), seeded(5, batch_size=5), workspace)
    for index, image in enumerate(pairs):
        (alone,) = images(sdxl, seeded(5 + index), workspace)
        assert farthest(image, alone) <= 2
