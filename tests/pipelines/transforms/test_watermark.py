import pytest
from PIL import Image
from pydantic import ValidationError

from pipelines.errors import UnsupportedMedia
from tests.fakes import FolderWorkspace
from tests.pipelines.transforms.pictures import WHITE, animated, encoded, opened, shown_frames, transform

BLACK = (0, 0, 0)


@pytest.fixture
def keys(workspace: FolderWorkspace) -> dict[str, str]:
    return {
        "image": workspace.add(encoded(Image.new("RGB", (100, 80), BLACK), "PNG"), "black.png"),
        "watermark": workspace.add(encoded(Image.new("RGB", (20, 10), WHITE), "PNG"), "mark.png"),
    }


def _lit(image: Image.Image) -> tuple[int, int, int, int] | None:
    return image.convert("L").getbbox()


@pytest.mark.parametrize(
    ("position", "box"),
    [
        (None, (10, 10, 30, 20)),
        ("TopLeft", (10, 10, 30, 20)),
        ("TopRight", (70, 10, 90, 20)),
        ("BottomLeft", (10, 60, 30, 70)),
        ("BottomRight", (70, 60, 90, 70)),
        ("Center", (40, 35, 60, 45)),
    ],
)
def test_lies_where_it_should(
    workspace: FolderWorkspace, keys: dict[str, str], position: str | None, box: tuple[int, int, int, int]
) -> None:
    where = {"position": position} if position else {}
    image = opened(workspace, transform(workspace, "watermark-image", **keys, **where))
    assert _lit(image) == box


@pytest.mark.parametrize(("opacity", "value"), [(None, 128), (0.0, 0), (0.25, 64), (1.0, 255)])
def test_opacity_counts(
    workspace: FolderWorkspace, keys: dict[str, str], opacity: float | None, value: int
) -> None:
    fields = {} if opacity is None else {"opacity": opacity}
    image = opened(workspace, transform(workspace, "watermark-image", **keys, **fields))
    assert image.getpixel((15, 15)) == (value, value, value)


@pytest.mark.parametrize(
    ("scale", "box"), [(2.0, (10, 10, 50, 30)), (0.5, (10, 10, 20, 15)), (50.0, (10, 10, 90, 50))]
)
def test_scale_counts_up_to_the_margin(
    workspace: FolderWorkspace, keys: dict[str, str], scale: float, box: tuple[int, int, int, int]
) -> None:
    image = opened(workspace, transform(workspace, "watermark-image", **keys, watermark_scale=scale))
    assert _lit(image) == box


def test_fits_on_a_tiny_picture(workspace: FolderWorkspace, keys: dict[str, str]) -> None:
    tiny = workspace.add(encoded(Image.new("RGB", (3, 5)), "PNG"), "tiny.png")
    image = opened(workspace, transform(workspace, "watermark-image", **keys | {"image": tiny}))
    assert _lit(image) == (1, 1, 2, 2)


def test_its_own_transparency_counts_and_a_transparent_picture_stays_so(
    workspace: FolderWorkspace, keys: dict[str, str]
) -> None:
    mark = Image.new("RGBA", (20, 10), (255, 0, 0, 255))
    mark.paste((0, 0, 0, 0), (10, 0, 20, 10))
    keys["watermark"] = workspace.add(encoded(mark, "PNG"), "half.png")
    keys["image"] = workspace.add(encoded(Image.new("RGBA", (60, 60)), "PNG"), "clear.png")
    image = opened(workspace, transform(workspace, "watermark-image", **keys, opacity=1))
    assert image.getpixel((15, 15)) == (255, 0, 0, 255)
    assert image.getchannel("A").getbbox() == (10, 10, 20, 20)


def test_a_grey_picture_takes_a_coloured_mark(workspace: FolderWorkspace, keys: dict[str, str]) -> None:
    keys["image"] = workspace.add(encoded(Image.new("L", (60, 60), 100), "PNG"), "grey.png")
    keys["watermark"] = workspace.add(encoded(Image.new("RGB", (5, 5), (255, 0, 0)), "PNG"), "red.png")
    image = opened(workspace, transform(workspace, "watermark-image", **keys, opacity=1))
    assert (image.getpixel((12, 12)), image.getpixel((30, 30))) == ((255, 0, 0), (100, 100, 100))


def test_every_frame_gets_it_once(workspace: FolderWorkspace, keys: dict[str, str]) -> None:
    frames = [Image.new("RGB", (60, 60), (0, 0, blue)) for blue in (0, 100, 200)]
    keys["image"] = workspace.add(animated(frames, "GIF", duration=100), "blue.gif")
    image = opened(workspace, transform(workspace, "watermark-image", **keys))
    assert image.format == "GIF"
    assert [frame.getpixel((12, 12)) for frame, _ in shown_frames(image)] == [
        (128, 128, 128, 255),
        (128, 128, 178, 255),
        (128, 128, 228, 255),
    ]


@pytest.mark.parametrize("wrong", [{"opacity": 1.1}, {"watermark_scale": 0}, {"position": "Middle"}])
def test_refuses_impossible_values(workspace: FolderWorkspace, wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        transform(workspace, "watermark-image", image="any", watermark="any", **wrong)


def test_says_which_file_is_bad(workspace: FolderWorkspace, keys: dict[str, str]) -> None:
    keys["watermark"] = workspace.add(b"hello", "hello.txt")
    with pytest.raises(UnsupportedMedia, match="jpg, png, gif, bmp, tiff, webp, avif") as caught:
        transform(workspace, "watermark-image", **keys)
    assert caught.value.field == "watermark"
