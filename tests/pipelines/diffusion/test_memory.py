"""What is in memory once, and how it is kept within bounds."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from diffusers.models.autoencoders.vae import Decoder

from pipelines.sdxl import SdxlPipeline
from pipelines.tasks.image_to_image import ImageToImageRequest
from pipelines.tasks.image_with_mask import ImageWithMaskRequest
from pipelines.tasks.text_to_image import TextToImageRequest
from tests.fakes import FolderWorkspace
from tests.pipelines.diffusion.conftest import MakeSdxl
from tests.pipelines.diffusion.engines import ENGINE, Family, events, farthest, images
from tests.pipelines.diffusion.pictures import encoded, mask, scene
from tests.pipelines.diffusion.watching import Calls, forwards_of

SIZE = (64, 64)


def test_the_weights_are_there_once(family: Family, calls: Calls, workspace: FolderWorkspace) -> None:
    image = workspace.add(encoded(scene(SIZE)), "scene.png")
    box = workspace.add(encoded(mask(SIZE, (0, 0, 32, 32))), "mask.png")
    for request in (
        TextToImageRequest(prompt="a fox", width=64, height=64),
        ImageToImageRequest(prompt="a fox", image=image),
        ImageWithMaskRequest(prompt="a fox", image=image, mask=box),
    ):
        images(family.ours, request, workspace)
    text, redraw, inpaint = calls.pipes
    assert len({type(pipe) for pipe in calls.pipes}) == 3
    parts = ("vae", "text_encoder", "text_encoder_2", "unet", "transformer")
    shared = [name for name in parts if name in text.components]
    assert len(shared) == 4
    for name in shared:
        assert getattr(text, name) is getattr(redraw, name) is getattr(inpaint, name)


def request(width: int, height: int) -> TextToImageRequest:
    return TextToImageRequest(prompt="a fox", width=width, height=height, seed=1, steps=1)


def test_large_pictures_are_decoded_in_tiles(
    make_sdxl: MakeSdxl, sdxl: SdxlPipeline, calls: Calls, workspace: FolderWorkspace
) -> None:
    pipeline = make_sdxl(tile_above_pixels=64 * 96)
    sizes = [(64, 64), (64, 96), (96, 72), (128, 128), (64, 64)]
    tiled = [images(pipeline, request(*size), workspace)[0] for size in sizes]
    assert calls.tiled == [False, False, True, True, False]
    assert [image.size for image in tiled] == sizes
    assert farthest(tiled[0], tiled[4]) == 0
    assert farthest(tiled[0], images(sdxl, request(64, 64), workspace)[0]) == 0


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_precision_can_be_chosen(
    dtype: str, make_sdxl: MakeSdxl, calls: Calls, workspace: FolderWorkspace
) -> None:
    images(make_sdxl(dtype=dtype), request(64, 64), workspace)
    assert str(calls.pipes[0].unet.dtype) == f"torch.{dtype}"


@pytest.mark.filterwarnings("ignore:`upcast_vae` is deprecated:FutureWarning")  # diffusers uses it itself
def test_an_autoencoder_that_overflows_in_half_precision_works_in_full(
    sdxl_folder: Path, calls: Calls, tmp_path: Path, workspace: FolderWorkspace
) -> None:
    folder = tmp_path / "upcast"
    shutil.copytree(sdxl_folder, folder)
    config = folder / "vae" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"force_upcast": True}))
    pipeline = SdxlPipeline(folder, SdxlPipeline.Options(dtype="float16"), ENGINE)
    with forwards_of(Decoder) as decoded:
        events(pipeline, request(64, 64).model_copy(update={"steps": 3, "previews": 2}), workspace)
    assert [picture.dtype for picture in decoded] == [torch.float32] * 3
    assert calls.pipes[0].vae.dtype == torch.float16
