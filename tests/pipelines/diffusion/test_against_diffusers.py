"""What we draw is what diffusers draws, bit by bit, when it is called with the same arguments."""

from typing import Any

import pytest

from pipelines.diffusion.schedulers import FLOW_SCHEDULERS, SCHEDULERS
from pipelines.errors import InvalidInput
from pipelines.flux import FluxPipeline
from pipelines.tasks.drawing import DrawRequest
from pipelines.tasks.image_to_image import ImageToImageRequest
from pipelines.tasks.image_with_mask import ImageWithMaskRequest
from pipelines.tasks.text_to_image import TextToImageRequest
from tests.fakes import FolderWorkspace
from tests.pipelines.diffusion.engines import ENGINE, Family, bare_images, drawings, farthest, images
from tests.pipelines.diffusion.pictures import encoded, mask, scene

PROMPT = "a red fox runs over the snow"
WIDTH, HEIGHT = SIZE = (64, 96)
BOX = (16, 16, 48, 64)
"""Of what is repainted."""
KINDS = ("text", "image", "mask")


def request_of(kind: str, workspace: FolderWorkspace, **changes: Any) -> DrawRequest:
    common: dict[str, Any] = {"prompt": PROMPT, "seed": 7, **changes}
    if kind == "text":
        return TextToImageRequest(width=WIDTH, height=HEIGHT, **common)
    common |= {"image": workspace.add(encoded(scene(SIZE)), "scene.png"), "denoise": 0.75}
    if kind == "image":
        return ImageToImageRequest(**common)
    box = workspace.add(encoded(mask(SIZE, BOX)), "mask.png")
    return ImageWithMaskRequest(mask=box, keep_unmasked=False, **common)


def bare_arguments(kind: str, family: Family) -> dict[str, Any]:
    """Give the same arguments in diffusers' words."""
    arguments: dict[str, Any] = {"prompt": PROMPT}
    if kind != "image" or isinstance(family.ours, FluxPipeline):
        arguments |= {"width": WIDTH, "height": HEIGHT}
    if kind != "text":
        arguments |= {"image": scene(SIZE), "strength": 0.75}
    if kind == "mask":
        arguments["mask_image"] = mask(SIZE, BOX).convert("L")
    return arguments


@pytest.mark.parametrize("kind", KINDS)
def test_one_picture(kind: str, family: Family, workspace: FolderWorkspace) -> None:
    (ours,) = images(family.ours, request_of(kind, workspace), workspace)
    (bare,) = bare_images(family, kind, [7], **bare_arguments(kind, family))
    assert ours.size == SIZE
    assert farthest(ours, bare) == 0


@pytest.fixture(params=["sdxl", "flux"], scope="module")
def batching(request: pytest.FixtureRequest) -> Family:
    """Each family, with an engine that computes four pictures at once."""
    family: Family = request.getfixturevalue(f"{request.param}_family")
    kind = type(family.ours)
    options = kind.Options(steps=3, max_batch=4)
    ours = kind(request.getfixturevalue(f"{request.param}_folder"), options, ENGINE)
    return Family(ours, family.bare, family.arguments)


@pytest.mark.parametrize("kind", KINDS)
def test_each_picture_of_a_batch_is_the_one_of_its_seed(
    kind: str, batching: Family, workspace: FolderWorkspace
) -> None:
    batch = drawings(batching.ours, request_of(kind, workspace, batch_size=3), workspace).pictures
    assert [drawn.seed for drawn in batch] == [7, 8, 9]
    (alone,) = images(batching.ours, request_of(kind, workspace, seed=9), workspace)
    assert farthest(batch[2].image, alone) <= 2
    assert farthest(batch[1].image, alone) > 20


def test_a_batch_is_what_diffusers_makes_of_it(batching: Family, workspace: FolderWorkspace) -> None:
    ours = images(batching.ours, request_of("text", workspace, batch_size=2), workspace)
    arguments = bare_arguments("text", batching) | {"prompt": [PROMPT] * 2}
    bare = bare_images(batching, "text", [7, 8], **arguments)
    assert max(map(farthest, ours, bare)) <= 2


@pytest.mark.parametrize("guidance", [0.0, 1.0, 1.5])
@pytest.mark.parametrize("negative", ["", "blurry, low quality"])
def test_guidance_and_negative_prompt(
    guidance: float, negative: str, sdxl_family: Family, workspace: FolderWorkspace
) -> None:
    request = request_of("text", workspace, guidance=guidance, negative_prompt=negative)
    (ours,) = images(sdxl_family.ours, request, workspace)
    arguments = bare_arguments("text", sdxl_family) | {"guidance_scale": guidance}
    (bare,) = bare_images(sdxl_family, "text", [7], negative_prompt=negative or None, **arguments)
    assert farthest(ours, bare) == 0


@pytest.mark.parametrize("name", SCHEDULERS)
def test_schedulers_of_sdxl(name: str, sdxl_family: Family, workspace: FolderWorkspace) -> None:
    check_scheduler(name, *SCHEDULERS[name], "text", sdxl_family, workspace)


@pytest.mark.parametrize("kind", ["image", "mask"])
@pytest.mark.parametrize("name", ["dpm++-2m-karras", "heun", "lcm"])
def test_schedulers_of_sdxl_that_start_midway(
    name: str, kind: str, sdxl_family: Family, workspace: FolderWorkspace
) -> None:
    check_scheduler(name, *SCHEDULERS[name], kind, sdxl_family, workspace)


@pytest.mark.parametrize("name", FLOW_SCHEDULERS)
@pytest.mark.parametrize("kind", KINDS)
def test_schedulers_of_flux(name: str, kind: str, flux_family: Family, workspace: FolderWorkspace) -> None:
    check_scheduler(name, *FLOW_SCHEDULERS[name], kind, flux_family, workspace)


def check_scheduler(
    name: str, scheduler: Any, changes: Any, kind: str, family: Family, workspace: FolderWorkspace
) -> None:
    (ours,) = images(family.ours, request_of(kind, workspace, scheduler=name.upper()), workspace)
    pipe = family.bare[kind]
    own = pipe.scheduler
    pipe.scheduler = scheduler.from_config(own.config, **changes)
    try:
        (bare,) = bare_images(family, kind, [7], **bare_arguments(kind, family))
    finally:
        pipe.scheduler = own
    assert farthest(ours, bare) == 0


def test_a_scheduler_is_only_for_the_request_that_names_it(
    sdxl_family: Family, workspace: FolderWorkspace
) -> None:
    (before,) = images(sdxl_family.ours, request_of("text", workspace), workspace)
    (karras,) = images(
        sdxl_family.ours, request_of("text", workspace, scheduler="dpm++-2m-karras"), workspace
    )
    (after,) = images(sdxl_family.ours, request_of("text", workspace), workspace)
    assert farthest(before, karras) > 0
    assert farthest(before, after) == 0


def test_an_unknown_scheduler_is_refused_with_those_that_there_are(
    family: Family, workspace: FolderWorkspace
) -> None:
    with pytest.raises(InvalidInput, match=r"no scheduler 'ruler'\. Choose one of: euler") as refusal:
        drawings(family.ours, request_of("text", workspace, scheduler="ruler"), workspace)
    assert refusal.value.field == "scheduler"


def test_lcm_takes_no_more_steps_than_it_knows(sdxl_family: Family, workspace: FolderWorkspace) -> None:
    with pytest.raises(InvalidInput, match="at most 50 steps, not 51") as refusal:
        drawings(sdxl_family.ours, request_of("text", workspace, scheduler="lcm", steps=51), workspace)
    assert refusal.value.field == "steps"


def test_flux_dev_heeds_the_guidance(flux_dev_family: Family, workspace: FolderWorkspace) -> None:
    arguments = bare_arguments("text", flux_dev_family)
    default = drawings(flux_dev_family.ours, request_of("text", workspace), workspace)
    strong = drawings(flux_dev_family.ours, request_of("text", workspace, guidance=8.0), workspace)
    (bare,) = bare_images(flux_dev_family, "text", [7], **arguments)
    assert farthest(default.pictures[0].image, bare) == 0
    (bare,) = bare_images(flux_dev_family, "text", [7], **arguments | {"guidance_scale": 8.0})
    assert farthest(strong.pictures[0].image, bare) == 0
    assert farthest(default.pictures[0].image, strong.pictures[0].image) > 2
    assert strong.notes == ()
