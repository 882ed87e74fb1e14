import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from transformers import Florence2ForConditionalGeneration, Florence2Processor

from pipelines.errors import Cancelled, InputTooLarge, InvalidInput, ModelLoadError, UnsupportedMedia
from pipelines.florence import FlorenceOptions, FlorencePipeline
from pipelines.loading import EngineSettings
from pipelines.seeing.wishes import CAPTIONS, Wish
from pipelines.tasks.base import RunLimits
from pipelines.tasks.image_to_text import (
    IMAGE_TO_TEXT,
    Box,
    ImageToTextPipeline,
    ImageToTextRequest,
    ImageToTextResult,
    Label,
)
from tests.fakes import FolderWorkspace
from tests.pipelines.photographs import CAT, COFFEE
from tests.pipelines.tiny_florence import make_florence
from tests.pipelines.transforms.pictures import encoded

MAX_TOKENS = 24


def places(*numbers: int) -> list[str]:
    return [f"<loc_{number}>" for number in numbers]


def load(folder: Path | None, **options: Any) -> FlorencePipeline:
    settings = FlorenceOptions(**{"max_new_tokens": MAX_TOKENS, **options})
    return FlorencePipeline(folder, settings, EngineSettings(threads=1))


@pytest.fixture(scope="module")
def babbler(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint whose answers depend on picture and prompt, and mean nothing."""
    return make_florence(tmp_path_factory.mktemp("babbler"))


@pytest.fixture(scope="module")
def florence(babbler: Path) -> FlorencePipeline:
    return load(babbler)


def look(
    pipeline: FlorencePipeline, workspace: FolderWorkspace, picture: Path | bytes, prompt: str | None = None
) -> ImageToTextResult:
    request = ImageToTextRequest(image=workspace.add(picture, "picture"), prompt=prompt)
    return IMAGE_TO_TEXT.run(pipeline, request, workspace)


@pytest.fixture
def answer(tmp_path: Path, workspace: FolderWorkspace) -> Callable[..., ImageToTextResult]:
    """Look at the cat, 451 x 300, with a model that answers with these tokens."""

    def give(prompt: str | None, *tokens: str, picture: Path | bytes = CAT) -> ImageToTextResult:
        model = load(make_florence(tmp_path / "model", tokens), max_new_tokens=100)
        return look(model, workspace, picture, prompt)

    return give


def bare_answer(folder: Path, token: str) -> Any:
    """Ask transformers itself about the cat."""
    processor = Florence2Processor.from_pretrained(folder)
    model = Florence2ForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
    with Image.open(CAT) as image:
        inputs = processor(text=token, images=image.convert("RGB"), return_tensors="pt")
    tokens = model.generate(**inputs, do_sample=False, num_beams=3, max_new_tokens=MAX_TOKENS)
    raw = processor.batch_decode(tokens)[0]
    return processor.post_process_generation(raw, task=token, image_size=(451, 300))[token]


@pytest.mark.parametrize("wish", [*CAPTIONS, Wish.TEXT])
def test_says_what_the_bare_library_says(
    wish: Wish, florence: FlorencePipeline, babbler: Path, workspace: FolderWorkspace
) -> None:
    words = bare_answer(babbler, wish.value)
    assert len(words) > 10
    assert look(florence, workspace, CAT, wish.value) == ImageToTextResult(text=words)


def test_finds_what_the_bare_library_finds(tmp_path: Path, workspace: FolderWorkspace) -> None:
    folder = make_florence(
        tmp_path / "model", ["<s>", *"car", *places(53, 334, 933, 775), "x", *places(1, 2, 3, 4)]
    )
    bare = bare_answer(folder, "<OD>")
    ours = look(load(folder), workspace, CAT, "<OD>")
    assert [label.text for label in ours.labels] == bare["labels"]
    assert [list(label.box.model_dump().values()) for label in ours.labels if label.box] == bare["bboxes"]


def test_what_it_says_depends_on_what_it_sees(florence: FlorencePipeline, workspace: FolderWorkspace) -> None:
    cat, coffee, also_asked = (
        look(florence, workspace, picture, prompt).text
        for picture, prompt in ((CAT, "caption"), (COFFEE, "caption"), (CAT, "detailed caption"))
    )
    assert len({cat, coffee, also_asked}) == 3


def test_a_caption_is_its_text(answer: Callable[..., ImageToTextResult]) -> None:
    assert answer(None, "<s>", *"cat", "Ġ", *"face", "</s>", "<pad>") == ImageToTextResult(text="cat face")


def test_objects_have_boxes_in_pixels_of_the_picture(answer: Callable[..., ImageToTextResult]) -> None:
    result = answer("tags", "<s>", *"ear", *places(0, 100, 500, 999), *places(500, 0, 999, 100), *"nose",
                    *places(400, 400, 300, 600))  # fmt: skip
    assert result == ImageToTextResult(
        text="ear, nose",
        labels=(
            Label(text="ear", box=Box(left=0, top=30, right=225, bottom=299)),
            Label(text="ear", box=Box(left=225, top=0, right=450, bottom=30)),
            Label(text="nose", box=Box(left=135, top=120, right=180, bottom=180)),
        ),
    )


def test_text_with_regions_has_the_boxes_around_them(answer: Callable[..., ImageToTextResult]) -> None:
    quads = (places(100, 100, 500, 150, 490, 300, 90, 250), places(0, 500, 999, 500, 999, 999, 0, 999))
    result = answer("<OCR_WITH_REGION>", "<s>", *"Exit", *quads[0], "1", "2", *quads[1])
    assert result == ImageToTextResult(
        text="Exit\n12",
        labels=(
            Label(text="Exit", box=Box(left=40, top=30, right=225, bottom=90)),
            Label(text="12", box=Box(left=0, top=150, right=450, bottom=299)),
        ),
    )


def test_boxes_are_in_pixels_as_displayed(answer: Callable[..., ImageToTextResult]) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned by a quarter
    picture = encoded(Image.new("RGB", (2_000, 8_000), "navy"), "JPEG", exif=exif)
    result = answer("detect", *"sea", *places(0, 0, 999, 999), picture=picture)
    assert result.labels[0].box == Box(left=4, top=1, right=7_996, bottom=1_999)


def test_tokens_that_stand_astray_are_not_told(answer: Callable[..., ImageToTextResult]) -> None:
    assert answer("tags", *places(7), *"sea", *places(0, 0, 9, 9)).text == "sea"
    assert answer("tags", *places(7)) == ImageToTextResult(text="")


def test_any_picture_is_looked_at(florence: FlorencePipeline, workspace: FolderWorkspace) -> None:
    for image in (
        Image.new("RGBA", (1, 1)),
        Image.new("CMYK", (9, 9)),
        Image.new("I;16", (40, 3)),
        Image.new("1", (3, 900)),
    ):
        format_ = "TIFF" if image.mode == "CMYK" else "PNG"
        assert look(florence, workspace, encoded(image, format_)) is not None


def test_what_cannot_be_looked_at_is_refused(florence: FlorencePipeline, workspace: FolderWorkspace) -> None:
    for data in (b"no picture", CAT.read_bytes()[:50_000]):
        with pytest.raises(UnsupportedMedia):
            look(florence, workspace, data)
    with pytest.raises(InvalidInput, match="detailed caption"):
        look(florence, workspace, CAT, "Is she hungry?")
    small = FolderWorkspace(workspace.folder, RunLimits(image_pixels=1_000))
    with pytest.raises(InputTooLarge):
        look(florence, small, CAT)


class ImpatientWorkspace(FolderWorkspace):
    """Its caller stops when five tokens are there."""

    def report(self, progress: float, message: str = "") -> None:
        super().report(progress, message)
        if progress >= 5 / MAX_TOKENS:
            self.cancel()


def test_stops_between_tokens(florence: FlorencePipeline, tmp_path: Path) -> None:
    workspace = ImpatientWorkspace(tmp_path)
    with pytest.raises(Cancelled):
        look(florence, workspace, CAT)
    assert len(workspace.reports) < 7


def test_nothing_is_computed_for_who_has_left(florence: FlorencePipeline, workspace: FolderWorkspace) -> None:
    workspace.cancel()
    with pytest.raises(Cancelled):
        look(florence, workspace, CAT)
    assert workspace.reports == []


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_dtype_can_be_chosen(dtype: str, babbler: Path, workspace: FolderWorkspace) -> None:
    assert look(load(babbler, dtype=dtype, beams=1), workspace, CAT) is not None


def test_it_is_a_pipeline_of_the_task() -> None:
    assert issubclass(FlorencePipeline, ImageToTextPipeline)


def edited(name: str, **changes: Any) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        file = folder / name
        file.write_text(json.dumps(json.loads(file.read_text()) | changes))

    return edit


def removed(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def cut(name: str) -> Callable[[Path], None]:
    def shorten(folder: Path) -> None:
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[: len(data) // 2])

    return shorten


def deeper(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["text_config"]["decoder_layers"] = 2
    (folder / "config.json").write_text(json.dumps(config))


def pickled(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (shutil.rmtree, r"missing: config\.json, \*\.safetensors, processor_config\.json or prep"),
        (removed("config.json"), r"missing: config\.json\."),
        (removed("tokenizer.json"), r"missing: tokenizer\.json\."),
        (pickled, r"missing: \*\.safetensors\."),
        (cut("config.json"), r"config\.json cannot be read"),
        (cut("model.safetensors"), r"model\.safetensors is damaged .* Fetch the checkpoint anew"),
        (cut("tokenizer.json"), "cannot be loaded"),
        (cut("processor_config.json"), r"processor_config\.json"),
        (edited("config.json", model_type="bart"), r"config\.json is of another model"),
        (edited("config.json", auto_map={"AutoModel": "code.Model"}), "brings its own code"),
        (edited("processor_config.json", post_processor_config=None), "cannot parse pure_text, ocr"),
        (deeper, "lacks 26 weights, first model.language_model.decoder.layers.1"),
    ],
)
def test_a_checkpoint_that_cannot_be_loaded_names_the_remedy(
    damage: Callable[[Path], None], message: str, babbler: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(babbler, folder)
    damage(folder)
    with pytest.raises(ModelLoadError, match=message):
        load(folder)


def test_a_checkpoint_is_needed() -> None:
    with pytest.raises(ModelLoadError, match="florence-community"):
        load(None)
