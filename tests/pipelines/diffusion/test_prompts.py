import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from transformers import CLIPTextModel, CLIPTextModelWithProjection, T5EncoderModel

from pipelines.errors import Cancelled
from pipelines.flux import FluxPipeline
from pipelines.loading import EngineSettings
from pipelines.sdxl import SdxlPipeline
from pipelines.tasks.drawing import MAX_PROMPT_LENGTH
from pipelines.tasks.text_to_image import TextToImageRequest
from tests.fakes import FolderWorkspace
from tests.pipelines.diffusion.checkpoints import WINDOW
from tests.pipelines.diffusion.engines import Family, bare_images, drawings, farthest, images
from tests.pipelines.diffusion.watching import Calls, forwards_of

ROOM = WINDOW - 2
"""Words of a window: each word of these tests is one token."""
ONE_WINDOW = " ".join(["fox", "red", "snow"] * (ROOM // 3))
LONG = f"{ONE_WINDOW} green apple"


def request(prompt: str, **changes: object) -> TextToImageRequest:
    return TextToImageRequest.model_validate(
        {"prompt": prompt, "seed": 1, "width": 64, "height": 64} | changes
    )


def embeddings(calls: Calls) -> dict[str, torch.Tensor]:
    """Give what diffusers got last."""
    return {name: value for name, value in calls.arguments[-1].items() if name.endswith("_embeds")}


def test_a_prompt_of_one_window_is_diffusers(sdxl_family: Family, workspace: FolderWorkspace) -> None:
    assert len(sdxl_family.bare["text"].tokenizer(ONE_WINDOW).input_ids) == WINDOW
    (ours,) = images(sdxl_family.ours, request(ONE_WINDOW, negative_prompt=ONE_WINDOW), workspace)
    (bare,) = bare_images(
        sdxl_family, "text", [1], prompt=ONE_WINDOW, negative_prompt=ONE_WINDOW, width=64, height=64
    )
    assert farthest(ours, bare) == 0


def test_what_stands_behind_the_first_window_counts(
    sdxl: SdxlPipeline, calls: Calls, workspace: FolderWorkspace
) -> None:
    (long,) = images(sdxl, request(LONG), workspace)
    assert embeddings(calls)["prompt_embeds"].shape[:2] == (1, 2 * WINDOW)
    (other,) = images(sdxl, request(f"{ONE_WINDOW} blue boats"), workspace)
    (truncated,) = images(sdxl, request(ONE_WINDOW), workspace)
    assert farthest(long, truncated) > 0
    assert farthest(long, other) > 0


def test_each_window_is_embedded_like_a_prompt(
    sdxl: SdxlPipeline, calls: Calls, workspace: FolderWorkspace
) -> None:
    images(sdxl, request(LONG), workspace)
    long = embeddings(calls)
    for start, text in ((0, ONE_WINDOW), (WINDOW, "green apple")):
        images(sdxl, request(text), workspace)
        alone = embeddings(calls)["prompt_embeds"]
        torch.testing.assert_close(long["prompt_embeds"][:, start : start + WINDOW], alone)
    images(sdxl, request(ONE_WINDOW), workspace)
    torch.testing.assert_close(long["pooled_prompt_embeds"], embeddings(calls)["pooled_prompt_embeds"])


def test_a_long_prompt_is_drawn_as_diffusers_does_with_its_embeddings(
    sdxl_family: Family, calls: Calls, workspace: FolderWorkspace
) -> None:
    (ours,) = images(sdxl_family.ours, request(LONG), workspace)
    given = embeddings(calls)
    assert not given["negative_prompt_embeds"].any()
    (bare,) = bare_images(sdxl_family, "text", [1], **given, width=64, height=64)
    assert farthest(ours, bare) == 0


@pytest.mark.parametrize(("prompt", "negative"), [("fox", LONG), (LONG, "blurry"), (LONG, LONG + LONG)])
def test_prompts_of_different_lengths(
    prompt: str, negative: str, sdxl: SdxlPipeline, calls: Calls, workspace: FolderWorkspace
) -> None:
    (image,) = images(sdxl, request(prompt, negative_prompt=negative), workspace)
    given = embeddings(calls)
    assert given["prompt_embeds"].shape == given["negative_prompt_embeds"].shape
    (without,) = images(sdxl, request(prompt), workspace)
    assert farthest(image, without) > 0


def test_without_guidance_a_long_negative_prompt_changes_nothing(
    sdxl: SdxlPipeline, workspace: FolderWorkspace
) -> None:
    result = drawings(sdxl, request("fox", negative_prompt=LONG, guidance=1.0), workspace)
    (without,) = images(sdxl, request("fox", guidance=1.0), workspace)
    assert farthest(result.pictures[0].image, without) == 0
    assert result.notes == ("A negative prompt needs a guidance above 1; it was ignored.",)


def test_the_longest_prompt(family: Family, workspace: FolderWorkspace) -> None:
    prompt = ("the photograph of a zebra, 1234!" * 1_000)[:MAX_PROMPT_LENGTH]
    assert len(prompt) == MAX_PROMPT_LENGTH
    result = drawings(family.ours, request(prompt, steps=1), workspace)
    assert result.pictures[0].image.size == (64, 64)


def test_of_an_endless_prompt_sdxl_reads_the_beginning(
    sdxl: SdxlPipeline, workspace: FolderWorkspace
) -> None:
    endless = f"{ONE_WINDOW} " * 64
    read = drawings(sdxl, request(endless, steps=1), workspace)
    more = drawings(sdxl, request(f"{endless} fox", steps=1), workspace)
    assert read.notes == ()
    assert "the model reads the first" in more.notes[0]
    assert farthest(read.pictures[0].image, more.pictures[0].image) == 0


def test_no_more_than_a_few_windows_are_encoded_at_once(
    sdxl: SdxlPipeline, workspace: FolderWorkspace
) -> None:
    images(sdxl, request("fox"), workspace)
    with forwards_of(CLIPTextModelWithProjection) as given:
        images(sdxl, request(f"{ONE_WINDOW} " * 20, steps=1), workspace)
    assert [len(output.text_embeds) for output in given] == [8, 8, 4]


def test_a_prompt_is_encoded_once(sdxl: SdxlPipeline, workspace: FolderWorkspace) -> None:
    wish = request("a wooden harbour", negative_prompt="blurry boats")
    with forwards_of(CLIPTextModelWithProjection) as given:
        images(sdxl, wish, workspace)
        assert len(given) == 2
    with forwards_of(CLIPTextModel) as given:
        images(sdxl, wish.model_copy(update={"seed": 2, "batch_size": 2, "width": 96}), workspace)
    assert not given


def test_flux_encodes_a_prompt_once(flux: FluxPipeline, workspace: FolderWorkspace) -> None:
    with forwards_of(T5EncoderModel) as given:
        for _ in range(2):
            images(flux, request("a wooden harbour"), workspace)
    assert len(given) == 1


def test_flux_says_how_much_of_a_prompt_it_read(flux: FluxPipeline, workspace: FolderWorkspace) -> None:
    fits = drawings(flux, request("fox " * 255), workspace)
    too_long = drawings(flux, request("fox " * 255 + "red"), workspace)
    assert fits.notes == ()
    assert too_long.notes == ("The prompt has 257 tokens; the model reads the first 256 of them.",)
    assert farthest(fits.pictures[0].image, too_long.pictures[0].image) == 0


def test_flux_can_be_told_to_read_more(flux_folder: Path, workspace: FolderWorkspace) -> None:
    options = FluxPipeline.Options(steps=1, prompt_tokens=512)
    long_reader = FluxPipeline(flux_folder, options, EngineSettings(threads=1))
    first = drawings(long_reader, request("fox " * 300 + "red"), workspace)
    second = drawings(long_reader, request("fox " * 300 + "apple"), workspace)
    assert first.notes == ()
    assert farthest(first.pictures[0].image, second.pictures[0].image) > 0


def test_flux_says_what_it_ignores(flux: FluxPipeline, workspace: FolderWorkspace) -> None:
    (plain,) = images(flux, request("a red fox"), workspace)
    result = drawings(flux, request("a red fox", negative_prompt="blurry", guidance=7.0), workspace)
    assert result.notes == (
        "This model takes no guidance; it was ignored.",
        "This model takes no negative prompt; it was ignored.",
    )
    assert farthest(plain, result.pictures[0].image) == 0


def test_requests_that_come_while_flux_reads_do_not_disturb_it(
    flux: FluxPipeline, calls: Calls, workspace: FolderWorkspace
) -> None:
    """The tokens of a new prompt are counted in its own thread, while the drawing thread reads another's."""
    gives_up, done = FolderWorkspace(workspace.folder), threading.Event()
    gives_up.cancel()

    def come() -> None:
        while not done.is_set():
            with suppress(Cancelled):
                images(flux, request("fox " * 2_000), gives_up)

    with ThreadPoolExecutor() as pool:
        coming = pool.submit(come)
        for number in range(10):
            images(flux, request(f"fox {number}", steps=1), workspace)
        done.set()
        coming.result()
    assert {given["prompt_embeds"].shape[1] for given in calls.arguments} == {256}
