import pytest
from PIL import Image
from pydantic import ValidationError

from pipelines.errors import Cancelled, InputTooLarge, InvalidInput
from pipelines.tasks.base import RunLimits
from tests.fakes import FolderWorkspace
from tests.pipelines.transforms.pictures import difference, encoded, flag, opened, transform


@pytest.mark.parametrize(
    ("wanted", "size"),
    [
        ({"width": 30}, (30, 20)),
        ({"height": 10}, (15, 10)),
        ({"width": 30, "height": 30}, (30, 20)),
        ({"width": 400, "height": 80}, (120, 80)),
        ({"width": 1}, (1, 1)),
    ],
)
def test_keeps_the_aspect(workspace: FolderWorkspace, wanted: dict[str, int], size: tuple[int, int]) -> None:
    key = workspace.add(encoded(flag(), "PNG"), "flag.png")
    result = transform(workspace, "scale-image", image=key, **wanted)
    image = opened(workspace, result)
    assert image.size == size
    assert image.format == "PNG"
    assert workspace.reports


def test_needs_a_side(workspace: FolderWorkspace) -> None:
    key = workspace.add(encoded(flag(), "PNG"), "flag.png")
    with pytest.raises(InvalidInput, match="width, height or both") as caught:
        transform(workspace, "scale-image", image=key)
    assert caught.value.field == "width"


@pytest.mark.parametrize("side", [0, -5, 32_001])
def test_refuses_impossible_sides(workspace: FolderWorkspace, side: int) -> None:
    with pytest.raises(ValidationError, match="width"):
        transform(workspace, "scale-image", image="any", width=side)


def test_refuses_a_result_over_the_limit_before_making_it(workspace: FolderWorkspace) -> None:
    key = workspace.add(encoded(flag(size=(40, 40)), "PNG"), "flag.png")
    with pytest.raises(InputTooLarge, match=r"30000 x 30000 .* 100,000,000"):
        transform(workspace, "scale-image", image=key, width=30_000)


def test_refuses_a_side_that_follows_from_the_aspect(workspace: FolderWorkspace) -> None:
    key = workspace.add(encoded(Image.new("L", (1, 100)), "PNG"), "line.png")
    with pytest.raises(InvalidInput, match="500 x 50000") as caught:
        transform(workspace, "scale-image", image=key, width=500)
    assert caught.value.field == "width"


def test_a_large_jpeg_comes_out_as_if_it_had_been_decoded_in_full(workspace: FolderWorkspace) -> None:
    photo = Image.effect_noise((201, 151), 40).resize((1601, 1203), Image.Resampling.BICUBIC).convert("RGB")
    data = encoded(photo, "JPEG", quality=95)
    result = transform(workspace, "scale-image", image=workspace.add(data, "photo.jpg"), width=400)
    expected = photo.resize((400, 301), Image.Resampling.LANCZOS)
    assert difference(opened(workspace, result), expected) < 1.0


def test_transparent_edges_do_not_darken(workspace: FolderWorkspace) -> None:
    half = Image.new("RGBA", (40, 40), (0, 0, 0, 0))
    half.paste((255, 255, 255, 255), (0, 0, 21, 40))
    result = transform(
        workspace, "scale-image", image=workspace.add(encoded(half, "PNG"), "half.png"), width=10
    )
    colours = opened(workspace, result).getcolors() or []
    assert all(pixel[:3] == (255, 255, 255) for _, pixel in colours if pixel[3])  # type: ignore[index]


def test_stops_when_it_is_cancelled(workspace: FolderWorkspace) -> None:
    key = workspace.add(encoded(flag(), "PNG"), "flag.png")
    workspace.cancel()
    with pytest.raises(Cancelled):
        transform(workspace, "scale-image", image=key, width=10)
    assert [path.name for path in workspace.folder.iterdir()] == [key]


def test_the_limit_is_the_configured_one(workspace: FolderWorkspace) -> None:
    small = FolderWorkspace(workspace.folder, RunLimits(image_pixels=1000))
    key = small.add(encoded(flag(), "PNG"), "flag.png")
    with pytest.raises(InputTooLarge, match=r"60 x 40 .* 1,000"):
        transform(small, "scale-image", image=key, width=10)
