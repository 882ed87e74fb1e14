import numpy as np
import pytest
from PIL import Image

from pipelines.content_check import OpenNsfwCheck
from pipelines.errors import ContentWithheld, ModelLoadError
from pipelines.loading import EngineSettings
from pipelines.sdxl import SdxlPipeline
from pipelines.tasks.text_to_image import TEXT_TO_IMAGE, TextToImageRequest
from tests.fakes import FolderWorkspace
from tests.pipelines.diffusion.conftest import MakeSdxl
from tests.pipelines.diffusion.engines import ENGINE, events, images, previews
from tests.pipelines.photographs import ASTRONAUT, CAT, COFFEE

REQUEST = TextToImageRequest(prompt="a red fox", seed=1, batch_size=3, width=64, height=64)


class DislikesRed:
    """Scores pictures by how red they are on average."""

    def __init__(self, engine: EngineSettings) -> None:
        assert engine.threads == 1

    def score(self, image: Image.Image) -> float:
        return float(np.asarray(image)[..., 0].mean() / 255)


def checked(make_sdxl: MakeSdxl, threshold: float) -> SdxlPipeline:
    check = f"{DislikesRed.__module__}:{DislikesRed.__name__}"
    return make_sdxl(content_check={"check": check, "threshold": threshold})


@pytest.fixture
def scores(sdxl: SdxlPipeline, workspace: FolderWorkspace) -> list[float]:
    return [DislikesRed(ENGINE).score(image) for image in images(sdxl, REQUEST, workspace)]


def test_a_picture_above_the_threshold_is_withheld_and_the_others_remain(
    make_sdxl: MakeSdxl, scores: list[float], workspace: FolderWorkspace
) -> None:
    worst = int(np.argmax(scores))
    threshold = (sorted(scores)[1] + scores[worst]) / 2
    result = TEXT_TO_IMAGE.run(checked(make_sdxl, threshold), REQUEST, workspace)
    assert [image.seed for image in result.images] == [seed for seed in (1, 2, 3) if seed != worst + 1]
    assert result.notes == (
        f"Image {worst + 1} (seed {worst + 1}) was withheld: the content check gave it {scores[worst]:.2f}.",
    )
    assert len(list(workspace.folder.glob("output-*"))) == 2


def test_below_the_threshold_nothing_happens(make_sdxl: MakeSdxl, workspace: FolderWorkspace) -> None:
    result = TEXT_TO_IMAGE.run(checked(make_sdxl, 1.0), REQUEST, workspace)
    assert (len(result.images), result.notes) == (3, ())


def test_when_all_are_withheld_the_request_fails(make_sdxl: MakeSdxl, workspace: FolderWorkspace) -> None:
    with pytest.raises(
        ContentWithheld, match=r"Image 3 \(seed 3\) was withheld.*Change the prompt"
    ) as refusal:
        TEXT_TO_IMAGE.run(checked(make_sdxl, 0.0), REQUEST, workspace)
    assert refusal.value.field == "prompt"
    assert list(workspace.folder.iterdir()) == []


def test_previews_are_checked_too(make_sdxl: MakeSdxl, workspace: FolderWorkspace) -> None:
    request = REQUEST.model_copy(update={"previews": 2})
    assert len(previews(events(checked(make_sdxl, 1.0), request, workspace))) == 2
    assert previews(events(checked(make_sdxl, 0.0), request, workspace)) == []


@pytest.mark.parametrize("check", ["pipelines.nowhere:Check", "pipelines.content_check:Nothing"])
def test_a_check_that_there_is_not(check: str, make_sdxl: MakeSdxl) -> None:
    with pytest.raises(ModelLoadError, match="Check 'content_check'"):
        make_sdxl(content_check={"check": check})


def test_the_check_that_comes_with_it_lets_harmless_pictures_pass() -> None:
    check = OpenNsfwCheck(ENGINE)
    pictures = [Image.open(path).convert("RGB") for path in (CAT, COFFEE, ASTRONAUT)]
    pictures += [Image.new("RGB", (64, 64), colour) for colour in ("white", "black", "teal")]
    assert max(check.score(image) for image in pictures) < 0.2


def test_the_check_that_comes_with_it_is_the_default(make_sdxl: MakeSdxl, workspace: FolderWorkspace) -> None:
    result = TEXT_TO_IMAGE.run(make_sdxl(content_check={}), REQUEST, workspace)
    assert len(result.images) == 3
