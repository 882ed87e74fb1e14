from collections.abc import Sequence
from concurrent.futures import Future

import pytest

from pipelines.errors import Cancelled
from pipelines.sdxl import SdxlPipeline
from pipelines.tasks.text_to_image import TextToImageRequest
from tests.fakes import FolderWorkspace
from tests.pipelines.diffusion.conftest import MakeSdxl
from tests.pipelines.diffusion.engines import Drawings, farthest, images
from tests.pipelines.diffusion.watching import PATIENCE_S, Callers, Calls, WaitingWorkspace

FIRST = TextToImageRequest(prompt="the first", seed=1, steps=2, width=64, height=64)
OPEN = FIRST.model_copy(update={"seed": None})
PROMPTS = ("a red fox", "two cats sleep", "a green apple on a table")


@pytest.fixture(scope="module")
def merging(make_sdxl: MakeSdxl) -> SdxlPipeline:
    """Computes four pictures at once."""
    return make_sdxl(max_batch=4)


@pytest.fixture
def callers(merging: SdxlPipeline, workspace: FolderWorkspace) -> Callers:
    return Callers(workspace.folder, merging)


def wait_together(calls: Calls, callers: Callers, requests: Sequence[TextToImageRequest]) -> list[Drawings]:
    """Make requests while the engine is busy with another."""
    made: list[Future[Drawings]] = []
    with calls.held(lambda: callers.submit(FIRST)):
        made += [callers.submit(request) for request in requests]
    return [each.result(PATIENCE_S) for each in made]


def wishes(**changes: object) -> list[TextToImageRequest]:
    return [OPEN.model_copy(update={"prompt": prompt, **changes}) for prompt in PROMPTS]


def check_each_got_its_own(
    results: Sequence[Drawings],
    requests: Sequence[TextToImageRequest],
    sdxl: SdxlPipeline,
    workspace: FolderWorkspace,
) -> None:
    """See that their pictures are the ones that their seeds give when they are drawn alone."""
    for request, result in zip(requests, results, strict=True):
        assert len(result.pictures) == request.batch_size
        for drawn in result.pictures:
            again = request.model_copy(update={"seed": drawn.seed, "batch_size": 1})
            assert farthest(drawn.image, images(sdxl, again, workspace)[0]) <= 2


@pytest.mark.parametrize("changes", [{}, {"guidance": 1.0}, {"negative_prompt": "blurry"}])
def test_waiting_requests_without_a_seed_are_drawn_at_once_and_each_gets_its_own(
    changes: dict[str, object], callers: Callers, calls: Calls, sdxl: SdxlPipeline, workspace: FolderWorkspace
) -> None:
    requests = wishes(**changes)
    results = wait_together(calls, callers, requests)
    assert calls.batches == [1, 3]
    check_each_got_its_own(results, requests, sdxl, workspace)


def test_negative_prompts_are_not_swapped(
    callers: Callers, calls: Calls, sdxl: SdxlPipeline, workspace: FolderWorkspace
) -> None:
    negatives = ("", "blurry", "low quality, a red fox")
    requests = [OPEN.model_copy(update={"negative_prompt": negative}) for negative in negatives]
    results = wait_together(calls, callers, requests)
    assert calls.batches == [1, 3]
    check_each_got_its_own(results, requests, sdxl, workspace)


@pytest.mark.parametrize(
    ("sizes", "batches"),
    [
        ((1, 1, 1, 1, 1), [1, 4, 1]),
        ((2, 2, 2), [1, 4, 2]),
        ((3, 2, 1), [1, 4, 2]),
        ((6, 1), [1, 4, 2, 1]),
    ],
)
def test_a_batch_is_never_larger_than_configured(
    sizes: Sequence[int],
    batches: list[int],
    callers: Callers,
    calls: Calls,
    sdxl: SdxlPipeline,
    workspace: FolderWorkspace,
) -> None:
    requests = [OPEN.model_copy(update={"batch_size": size}) for size in sizes]
    results = wait_together(calls, callers, requests)
    assert calls.batches == batches
    check_each_got_its_own(results[1:3], requests[1:3], sdxl, workspace)


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 5},
        {"width": 96},
        {"steps": 3},
        {"guidance": 3.0},
        {"scheduler": "ddim"},
        {"previews": 1},
        {"prompt": "a red fox " * 30},
        {"negative_prompt": "blurry " * 90},
    ],
    ids=lambda changes: str(*changes),
)
def test_a_request_of_another_kind_is_drawn_alone(
    changes: dict[str, object], callers: Callers, calls: Calls, sdxl: SdxlPipeline, workspace: FolderWorkspace
) -> None:
    requests = [OPEN, OPEN.model_copy(update=changes), OPEN]
    results = wait_together(calls, callers, requests)
    assert calls.batches == [1, 2, 1]
    check_each_got_its_own(results[:2], requests[:2], sdxl, workspace)


def test_without_room_for_a_second_none_are_merged(
    sdxl: SdxlPipeline, calls: Calls, workspace: FolderWorkspace
) -> None:
    wait_together(calls, Callers(workspace.folder, sdxl), [OPEN, OPEN])
    assert calls.batches == [1, 1, 1]


def test_one_that_gave_up_while_it_waited_is_left_out(
    callers: Callers, calls: Calls, sdxl: SdxlPipeline, workspace: FolderWorkspace
) -> None:
    first, second, third = wishes()
    gives_up = WaitingWorkspace(workspace.folder)
    with calls.held(lambda: callers.submit(FIRST)):
        made = [callers.submit(first)]
        cancelled = callers.submit(second, gives_up)
        made.append(callers.submit(third))
        gives_up.cancel()
        assert isinstance(cancelled.exception(PATIENCE_S), Cancelled)
    results = [each.result(PATIENCE_S) for each in made]
    assert calls.batches == [1, 2]
    check_each_got_its_own(results, [first, third], sdxl, workspace)


class GivesUpLater(WaitingWorkspace):
    """Its caller wants to stop when the first step is done."""

    def report(self, progress: float, message: str = "") -> None:
        super().report(progress, message)
        self.cancel()


def test_one_that_gives_up_on_the_way_does_not_spoil_the_others(
    callers: Callers, calls: Calls, sdxl: SdxlPipeline, workspace: FolderWorkspace
) -> None:
    first, second, third = wishes()
    with calls.held(lambda: callers.submit(FIRST)):
        made = [callers.submit(first)]
        cancelled = callers.submit(second, GivesUpLater(workspace.folder))
        made.append(callers.submit(third))
    results = [each.result(PATIENCE_S) for each in made]
    assert isinstance(cancelled.exception(PATIENCE_S), Cancelled)
    assert calls.batches == [1, 3]
    check_each_got_its_own(results, [first, third], sdxl, workspace)


def test_who_is_more_urgent_is_drawn_first(
    callers: Callers, calls: Calls, sdxl: SdxlPipeline, workspace: FolderWorkspace
) -> None:
    urgent = WaitingWorkspace(workspace.folder)
    urgent.priority = 3
    with calls.held(lambda: callers.submit(FIRST)):
        jobs = [callers.submit(FIRST.model_copy(update={"batch_size": 2})) for _ in range(3)]
        call = callers.submit(FIRST.model_copy(update={"batch_size": 3}), urgent)
    for each in (*jobs, call):
        each.result(PATIENCE_S)
    assert calls.batches == [1, 3, 2, 2, 2]


def test_to_wait_for_ones_turn_is_a_sign_of_life_and_to_be_drawn_without_a_step_is_none(
    callers: Callers, calls: Calls, workspace: FolderWorkspace
) -> None:
    drawn, waits = WaitingWorkspace(workspace.folder), WaitingWorkspace(workspace.folder)
    with calls.held(lambda: callers.submit(FIRST, drawn)):
        callers.submit(FIRST, waits)
        drawn.waits.clear()
        for _ in range(3):
            waits.waits.clear()
            assert waits.waits.wait(PATIENCE_S)
        assert not drawn.waits.is_set()
