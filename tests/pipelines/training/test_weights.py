"""The models that ship, judged as `ai-server bench pictures` does, on a fifth of its prompts."""

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

import pipelines
from pipelines.diffusion.pipeline import DiffusionPipeline
from pipelines.flux import FluxOptions, FluxPipeline
from pipelines.loading import EngineSettings
from pipelines.sdxl import SdxlPipeline
from pipelines.tasks.drawing import Drawn
from pipelines.tasks.text_to_image import TextToImageRequest
from pipelines.training import exam, judge
from tests.fakes import FolderWorkspace

WEIGHTS = Path(pipelines.__file__).parent / "weights"
ENGINE = EngineSettings(threads=1)
LIMITS_BYTES = {"tiny-sdxl": 35_000_000, "tiny-flux": 20_000_000}


def sdxl() -> DiffusionPipeline:
    options = SdxlPipeline.Options(steps=8, guidance=1.5, sizes=((128, 128),))
    return SdxlPipeline(WEIGHTS / "tiny-sdxl", options, ENGINE)


def flux() -> DiffusionPipeline:
    options = FluxOptions(steps=4, guidance=0, prompt_tokens=32, sizes=((128, 128),))
    return FluxPipeline(WEIGHTS / "tiny-flux", options, ENGINE)


@pytest.mark.parametrize(("load", "least"), [(sdxl, 0.9), (flux, 0.8)])
def test_they_draw_what_they_are_asked_for(
    load: Callable[[], DiffusionPipeline], least: float, workspace: FolderWorkspace
) -> None:
    pipeline = load()
    asked = exam.questions()[::5]

    def drawn(prompt: str) -> Image.Image:
        request = TextToImageRequest(prompt=prompt, seed=1, width=128, height=128)
        (picture,) = (each for each in pipeline.text_to_image(request, workspace) if isinstance(each, Drawn))
        return picture.image

    score = exam.mark(judge.load(), asked, [drawn(question.prompt) for question in asked])[-1]
    assert score.count == 40
    assert score.top1 >= least
    assert score.ground >= 0.95


@pytest.mark.parametrize(("model", "limit_bytes"), LIMITS_BYTES.items())
def test_they_are_small(model: str, limit_bytes: int) -> None:
    assert sum(file.stat().st_size for file in (WEIGHTS / model).rglob("*.safetensors")) <= limit_bytes
