import threading
from concurrent.futures import Future
from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel
from diffusers.models.autoencoders.vae import Decoder
from transformers import CLIPTextModel

from pipelines.errors import Cancelled, EngineError, OutOfMemory
from pipelines.sdxl import SdxlPipeline
from pipelines.tasks.drawing import DrawRequest
from pipelines.tasks.image_to_image import ImageToImageRequest
from pipelines.tasks.text_to_image import TEXT_TO_IMAGE, TextToImageRequest
from tests.fakes import FolderWorkspace
from tests.pipelines.diffusion.conftest import MakeSdxl
from tests.pipelines.diffusion.engines import Drawings, Family, drawings, farthest, images
from tests.pipelines.diffusion.pictures import encoded, scene
from tests.pipelines.diffusion.watching import PATIENCE_S, Callers, Calls, WaitingWorkspace, forwards_of

REQUEST = TextToImageRequest(prompt="two cats sleep", seed=1, width=64, height=64)


def steps(workspace: FolderWorkspace) -> list[str]:
    return [message for _, message in workspace.reports if message.startswith("Step")]


def test_every_step_is_reported(family: Family, workspace: FolderWorkspace) -> None:
    drawings(family.ours, REQUEST, workspace)
    assert steps(workspace) == ["Step 1 of 3", "Step 2 of 3", "Step 3 of 3"]
    progress = [progress for progress, _ in workspace.reports]
    assert progress[:3] == pytest.approx([0.3, 0.6, 0.9])
    assert progress == sorted(progress)
    assert progress[-1] <= 1


def test_the_steps_of_a_batch_that_is_drawn_one_by_one_add_up(
    family: Family, workspace: FolderWorkspace
) -> None:
    drawings(family.ours, REQUEST.model_copy(update={"batch_size": 2}), workspace)
    assert steps(workspace) == [f"Step {number} of 6" for number in range(1, 7)]


@pytest.mark.parametrize(("scheduler", "count"), [("euler", 3), ("heun", 5), ("lcm", 3)])
def test_image_to_image_reports_the_steps_that_are_done(
    scheduler: str, count: int, sdxl: SdxlPipeline, workspace: FolderWorkspace
) -> None:
    key = workspace.add(encoded(scene((64, 64))), "scene.png")
    request = ImageToImageRequest(prompt="a fox", image=key, steps=6, denoise=0.5, scheduler=scheduler)
    drawings(sdxl, request, workspace)
    assert steps(workspace) == [f"Step {number} of {count}" for number in range(1, count + 1)]


class StopsAtOnce(FolderWorkspace):
    """Its caller wants to stop when the first step is done."""

    def report(self, progress: float, message: str = "") -> None:
        super().report(progress, message)
        self.cancel()


def test_a_cancelled_run_stops_between_steps(sdxl: SdxlPipeline, workspace: FolderWorkspace) -> None:
    stopped = threading.Event()

    def on_forward(number: int) -> None:
        assert number == 1 or stopped.wait(PATIENCE_S)

    with forwards_of(UNet2DConditionModel, on_forward) as forwards:
        with pytest.raises(Cancelled):
            drawings(sdxl, REQUEST.model_copy(update={"steps": 100}), StopsAtOnce(workspace.folder))
        stopped.set()
        (image,) = images(sdxl, REQUEST, workspace)
    assert len(forwards) == 2 + 3
    assert farthest(image, images(sdxl, REQUEST, workspace)[0]) == 0


def test_who_stops_listening_stops_the_run(sdxl: SdxlPipeline, workspace: FolderWorkspace) -> None:
    assert TEXT_TO_IMAGE.stream is not None
    left = threading.Event()

    def on_forward(number: int) -> None:
        assert number != 3 or left.wait(PATIENCE_S)

    request = REQUEST.model_copy(update={"steps": 8, "previews": 3})
    with forwards_of(UNet2DConditionModel, on_forward) as forwards:
        stream = TEXT_TO_IMAGE.stream(sdxl, request, workspace)
        next(stream)
        stream.close()
        left.set()
        images(sdxl, REQUEST, workspace)
    assert len(forwards) == 3 + 3


def test_a_cancelled_request_that_waits_never_starts(
    sdxl: SdxlPipeline, calls: Calls, workspace: FolderWorkspace
) -> None:
    callers = Callers(workspace.folder, sdxl)
    running: list[Future[Drawings]] = []
    with calls.held(lambda: running.append(callers.submit(REQUEST))):
        waiting = WaitingWorkspace(workspace.folder)
        cancelled = callers.submit(REQUEST, waiting)
        later = callers.submit(REQUEST)
        waiting.cancel()
        assert isinstance(cancelled.exception(PATIENCE_S), Cancelled)
    for done in (*running, later):
        assert len(done.result(PATIENCE_S).pictures) == 1
    assert len(calls.pipes) == 2


def test_one_run_at_a_time(sdxl: SdxlPipeline, calls: Calls, workspace: FolderWorkspace) -> None:
    key = workspace.add(encoded(scene((64, 64))), "scene.png")
    redraw = ImageToImageRequest(prompt="a red fox", image=key, seed=2)
    requests: list[DrawRequest] = [REQUEST, redraw] * 2
    callers = Callers(workspace.folder, sdxl)
    made = [callers.submit(request) for request in requests]
    results = [each.result(PATIENCE_S).pictures[0].image for each in made]
    assert calls.at_once == 1
    assert len(calls.pipes) == 4
    for request, image in zip(requests, results, strict=True):
        assert farthest(image, images(sdxl, request, workspace)[0]) == 0


@pytest.mark.parametrize("part", [CLIPTextModel, UNet2DConditionModel, Decoder])
@pytest.mark.parametrize(
    ("fault", "error", "message"),
    [
        (RuntimeError("a fault of the engine"), EngineError, "The model failed: a fault of the engine"),
        (torch.OutOfMemoryError("no more"), OutOfMemory, "needs more memory than there is"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), OutOfMemory, "needs more memory"),
    ],
)
def test_a_run_that_fails_leaves_the_engine_in_order(
    part: type[Any],
    fault: Exception,
    error: type[EngineError],
    message: str,
    make_sdxl: MakeSdxl,
    workspace: FolderWorkspace,
) -> None:
    def fail(number: int) -> None:
        raise fault

    key = workspace.add(encoded(scene((64, 64))), "scene.png")
    redraw = ImageToImageRequest(prompt="a new prompt", image=key)
    pipeline = make_sdxl()
    with forwards_of(part, fail), pytest.raises(error, match=message):
        images(pipeline, redraw, workspace)
    assert len(images(pipeline, redraw, workspace)) == 1
