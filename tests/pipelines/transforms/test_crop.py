import pytest
from PIL import Image
from pydantic import ValidationError

from pipelines.errors import InvalidInput
from tests.fakes import FolderWorkspace
from tests.pipelines.transforms.pictures import BLUE, RED, encoded, flag, opened, transform


def test_cuts_the_part_out(workspace: FolderWorkspace) -> None:
    key = workspace.add(encoded(flag(), "PNG"), "flag.png")
    image = opened(workspace, transform(workspace, "crop-image", image=key, x=28, y=0, width=5, height=7))
    assert image.size == (5, 7)
    assert (image.getpixel((1, 0)), image.getpixel((2, 0))) == (RED, BLUE)


def test_takes_the_whole_picture(workspace: FolderWorkspace) -> None:
    key = workspace.add(encoded(flag(), "PNG"), "flag.png")
    result = transform(workspace, "crop-image", image=key, x=0, y=0, width=60, height=40)
    assert opened(workspace, result).size == (60, 40)


@pytest.mark.parametrize(
    ("part", "field"),
    [
        ({"x": 60, "y": 0, "width": 1, "height": 1}, "x"),
        ({"x": 0, "y": 41, "width": 1, "height": 1}, "y"),
        ({"x": 10, "y": 0, "width": 51, "height": 1}, "width"),
        ({"x": 0, "y": 0, "width": 60, "height": 41}, "height"),
    ],
)
def test_outside_names_the_field_and_the_size(
    workspace: FolderWorkspace, part: dict[str, int], field: str
) -> None:
    key = workspace.add(encoded(flag(), "PNG"), "flag.png")
    with pytest.raises(InvalidInput, match="60 x 40 pixels") as caught:
        transform(workspace, "crop-image", image=key, **part)
    assert caught.value.field == field


@pytest.mark.parametrize("wrong", [{"x": -1}, {"y": -1}, {"width": 0}, {"height": -3}])
def test_refuses_impossible_numbers(workspace: FolderWorkspace, wrong: dict[str, int]) -> None:
    part = {"x": 0, "y": 0, "width": 1, "height": 1} | wrong
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        transform(workspace, "crop-image", image="any", **part)


def test_counts_from_the_corner_that_is_seen(workspace: FolderWorkspace) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = flag().transpose(Image.Transpose.ROTATE_90)
    key = workspace.add(encoded(stored, "PNG", exif=exif), "turned.png")
    result = transform(workspace, "crop-image", image=key, x=0, y=0, width=60, height=20)
    image = opened(workspace, result)
    assert (image.getpixel((0, 0)), image.getpixel((59, 0))) == (RED, BLUE)
