from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipelines.errors import InvalidInput
from pipelines.sdxl import SdxlPipeline
from pipelines.tasks.image_with_mask import IMAGE_WITH_MASK, ImageWithMaskRequest, MaskChannel
from tests.fakes import FolderWorkspace
from tests.pipelines.diffusion.conftest import MakeSdxl
from tests.pipelines.diffusion.engines import Family, drawings, farthest, images, pixels
from tests.pipelines.diffusion.pictures import encoded, mask, scene, transparent_mask

SIZE = (64, 96)
LEFT, TOP, RIGHT, BOTTOM = BOX = (16, 24, 48, 72)


def request(workspace: FolderWorkspace, mask_image: Image.Image, **changes: Any) -> ImageWithMaskRequest:
    image = workspace.add(encoded(changes.pop("scene", scene(SIZE))), "scene.png")
    key = workspace.add(encoded(mask_image), "mask.png")
    settings = {"prompt": "a red fox", "seed": 2, "steps": 4, "denoise": 0.8, **changes}
    return ImageWithMaskRequest(image=image, mask=key, **settings)


def changed(result: Image.Image, size: tuple[int, int] = SIZE) -> Any:
    """Say where the picture is another one."""
    return (pixels(result) != pixels(scene(size))).any(-1)


def test_only_what_is_white_is_repainted(family: Family, workspace: FolderWorkspace) -> None:
    result = drawings(family.ours, request(workspace, mask(SIZE, BOX)), workspace)
    inside = np.zeros((SIZE[1], SIZE[0]), bool)
    inside[TOP:BOTTOM, LEFT:RIGHT] = True
    where = changed(result.pictures[0].image)
    assert not where[~inside].any()
    assert where[inside].mean() > 0.95
    assert result.notes == ()


def test_the_rest_may_change_a_little_where_it_is_not_kept(
    family: Family, workspace: FolderWorkspace
) -> None:
    wish = request(workspace, mask(SIZE, BOX), keep_unmasked=False)
    (image,) = images(family.ours, wish, workspace)
    assert changed(image)[:TOP].any()


def test_the_rest_is_kept_when_the_picture_is_drawn_at_another_size(
    family: Family, workspace: FolderWorkspace
) -> None:
    size, box = (101, 67), (30, 20, 70, 50)
    wish = request(workspace, mask(size, box), scene=scene(size))
    result = drawings(family.ours, wish, workspace)
    where = changed(result.pictures[0].image, size)
    assert where[20:50, 30:70].mean() > 0.95
    where[20:50, 30:70] = False
    assert not where.any()
    assert "scaled to 101 x 67" in result.notes[0]


def test_soft_edges_blend(family: Family, workspace: FolderWorkspace) -> None:
    half = mask(SIZE, BOX)
    half.paste((128, 0, 0), (LEFT, TOP, RIGHT, TOP + 8))
    blended = pixels(images(family.ours, request(workspace, half), workspace)[0])
    drawn = pixels(images(family.ours, request(workspace, half, keep_unmasked=False), workspace)[0])
    strip = np.s_[TOP : TOP + 8, LEFT:RIGHT]
    assert np.abs(blended[strip] - (drawn[strip] + pixels(scene(SIZE))[strip]) / 2).max() <= 2


def test_a_mask_of_another_size_is_resized(family: Family, workspace: FolderWorkspace) -> None:
    wish = request(workspace, mask((32, 48), (8, 12, 24, 36)))
    result = drawings(family.ours, wish, workspace)
    where = changed(result.pictures[0].image)
    assert where[TOP + 2 : BOTTOM - 2, LEFT + 2 : RIGHT - 2].mean() > 0.95
    where[TOP - 2 : BOTTOM + 2, LEFT - 2 : RIGHT + 2] = False
    assert not where.any()
    assert result.notes == ("The mask was resized from 32 x 48 to 64 x 96, the image's size.",)


def test_what_counts_is_red(family: Family, workspace: FolderWorkspace) -> None:
    (white,) = images(family.ours, request(workspace, mask(SIZE, BOX)), workspace)
    (red,) = images(family.ours, request(workspace, mask(SIZE, BOX, "red")), workspace)
    (grey,) = images(family.ours, request(workspace, mask(SIZE, BOX).convert("L")), workspace)
    assert farthest(white, red) == farthest(white, grey) == 0
    with pytest.raises(InvalidInput, match="make white or red what shall be repainted"):
        images(family.ours, request(workspace, mask(SIZE, BOX, "lime")), workspace)


def test_with_the_alpha_channel_what_is_transparent_is_repainted(
    family: Family, workspace: FolderWorkspace
) -> None:
    (white,) = images(family.ours, request(workspace, mask(SIZE, BOX)), workspace)
    wish = request(workspace, transparent_mask(SIZE, BOX), mask_channel=MaskChannel.ALPHA)
    (transparent,) = images(family.ours, wish, workspace)
    assert farthest(white, transparent) == 0


@pytest.mark.parametrize(
    ("useless", "channel", "advice"),
    [
        (Image.new("RGB", SIZE), "red", "make white or red"),
        (Image.new("L", SIZE, 127), "red", "make white or red"),
        (Image.new("RGBA", SIZE, "white"), "alpha", "make transparent"),
        (mask(SIZE, BOX), "alpha", "has no transparency"),
    ],
)
def test_a_mask_that_asks_for_nothing_is_refused(
    useless: Image.Image, channel: MaskChannel, advice: str, family: Family, workspace: FolderWorkspace
) -> None:
    with pytest.raises(InvalidInput, match=advice) as refusal:
        images(family.ours, request(workspace, useless, mask_channel=channel), workspace)
    assert refusal.value.field == "mask"


def test_a_batch_keeps_the_rest_in_each_picture(family: Family, workspace: FolderWorkspace) -> None:
    first, second = images(family.ours, request(workspace, mask(SIZE, BOX), batch_size=2), workspace)
    assert farthest(first, second) > 0
    for image in (first, second):
        assert not changed(image)[:TOP].any()


@pytest.mark.parametrize("width", [1, 4, 9])
def test_a_thin_stroke_is_repainted_by_a_model_that_draws_small(
    width: int, make_sdxl: MakeSdxl, workspace: FolderWorkspace
) -> None:
    size, left = (512, 512), 251
    stroke = mask(size, (left, 0, left + width, 512))
    small = make_sdxl(sizes=((64, 64),))
    wish = request(workspace, stroke, scene=scene(size), denoise=1.0)
    (image,) = images(small, wish, workspace)
    (blurred,) = images(small, request(workspace, stroke, scene=scene(size), denoise=0.02), workspace)
    where = (pixels(image) != pixels(blurred)).any(-1)
    assert where[:, left : left + width].mean() > 0.9


@pytest.mark.parametrize(("settings", "exact"), [({}, True), ({"quality": 80}, False)])
def test_what_is_kept_is_kept_in_the_file_too(
    settings: dict[str, Any], exact: bool, sdxl: SdxlPipeline, workspace: FolderWorkspace
) -> None:
    wish = request(workspace, mask(SIZE, BOX), output_format="webp", **settings)
    (drawn,) = IMAGE_WITH_MASK.run(sdxl, wish, workspace).images
    with Image.open(workspace.path(drawn.image)) as image:
        where = changed(image.convert("RGB"))
    assert where[:TOP].any() != exact


def test_an_animated_mask_gives_its_first_frame(sdxl: SdxlPipeline, workspace: FolderWorkspace) -> None:
    frames = [mask(SIZE, (0, 0, *SIZE))]
    key = workspace.add(
        encoded(mask(SIZE, BOX), "WEBP", save_all=True, append_images=frames, lossless=True), "mask.webp"
    )
    wish = request(workspace, mask(SIZE, BOX)).model_copy(update={"mask": key})
    assert drawings(sdxl, wish, workspace).notes == ("The mask is animated; its first frame was used.",)
