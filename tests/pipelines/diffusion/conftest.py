from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import (
    FluxImg2ImgPipeline,
    FluxInpaintPipeline,
    StableDiffusionXLImg2ImgPipeline,
    StableDiffusionXLInpaintPipeline,
    StableDiffusionXLPipeline,
)
from diffusers import FluxPipeline as BareFluxPipeline

from pipelines.flux import FluxPipeline
from pipelines.sdxl import SdxlPipeline
from tests.pipelines.diffusion.checkpoints import write_flux, write_sdxl
from tests.pipelines.diffusion.engines import ENGINE, Family
from tests.pipelines.diffusion.watching import Calls

FLUX_ARGUMENTS = {"num_inference_steps": 3, "guidance_scale": 0.0, "max_sequence_length": 256}

MakeSdxl = Callable[..., SdxlPipeline]


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    """Pictures are compared bit by bit, and other tests of this process may have changed it."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def sdxl_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sdxl(tmp_path_factory.mktemp("sdxl"))


@pytest.fixture(scope="session")
def flux_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_flux(tmp_path_factory.mktemp("flux"))


@pytest.fixture(scope="session")
def flux_dev_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_flux(tmp_path_factory.mktemp("flux-dev"), dev=True)


@pytest.fixture(scope="session")
def make_sdxl(sdxl_folder: Path) -> MakeSdxl:
    """Load the SDXL checkpoint with options of one's own."""

    def make(**options: Any) -> SdxlPipeline:
        return SdxlPipeline(sdxl_folder, SdxlPipeline.Options(**{"steps": 3, **options}), ENGINE)

    return make


@pytest.fixture(scope="session")
def sdxl(make_sdxl: MakeSdxl) -> SdxlPipeline:
    return make_sdxl()


@pytest.fixture(scope="session")
def flux(flux_folder: Path) -> FluxPipeline:
    return FluxPipeline(flux_folder, FluxPipeline.Options(steps=3, default_size=(64, 64)), ENGINE)


@pytest.fixture(scope="session")
def sdxl_family(sdxl: SdxlPipeline, sdxl_folder: Path) -> Family:
    others = (StableDiffusionXLImg2ImgPipeline, StableDiffusionXLInpaintPipeline)
    bare = bare_pipes(sdxl_folder, StableDiffusionXLPipeline, *others)
    return Family(sdxl, bare, {"num_inference_steps": 3, "guidance_scale": 5.0})


@pytest.fixture(scope="session")
def flux_family(flux: FluxPipeline, flux_folder: Path) -> Family:
    bare = bare_pipes(flux_folder, BareFluxPipeline, FluxImg2ImgPipeline, FluxInpaintPipeline)
    return Family(flux, bare, FLUX_ARGUMENTS)


@pytest.fixture(scope="session")
def flux_dev_family(flux_dev_folder: Path) -> Family:
    bare = bare_pipes(flux_dev_folder, BareFluxPipeline, FluxImg2ImgPipeline, FluxInpaintPipeline)
    options = FluxPipeline.Options(steps=3, guidance=3.5, default_size=(64, 64))
    ours = FluxPipeline(flux_dev_folder, options, ENGINE)
    return Family(ours, bare, FLUX_ARGUMENTS | {"guidance_scale": 3.5})


def bare_pipes(folder: Path, loads: Any, *others: Any) -> dict[str, Any]:
    """Give diffusers' own pipelines, of text, image and mask."""
    pipe = loads.from_pretrained(folder)
    pipes = [pipe, *[kind(**pipe.components) for kind in others]]
    for each in pipes:
        each.set_progress_bar_config(disable=True)
    return dict(zip(("text", "image", "mask"), pipes, strict=True))


@pytest.fixture(params=["sdxl", "flux"])
def family(request: pytest.FixtureRequest) -> Family:
    """Each of the two families."""
    chosen: Family = request.getfixturevalue(f"{request.param}_family")
    return chosen


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """Watch the calls of diffusers' pipelines, which do their work all the same."""
    calls = Calls()
    for kind in (*SdxlPipeline.kinds.values(), *FluxPipeline.kinds.values()):
        monkeypatch.setattr(kind, "__call__", calls.watched(kind.__call__))
    return calls
