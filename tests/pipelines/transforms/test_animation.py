from io import BytesIO
from itertools import pairwise

import pytest
from PIL import Image, ImageDraw

from pipelines.errors import InvalidInput, UnsupportedMedia
from tests.fakes import FolderWorkspace
from tests.pipelines.transforms.pictures import (
    GREEN,
    animated,
    difference,
    encoded,
    opened,
    shown_frames,
    transform,
)

DURATIONS_MS = [100, 200, 300, 1200]
LOSSLESS: dict[str, dict[str, object]] = {
    "GIF": {},
    "PNG": {},
    "WEBP": {"lossless": True},
    "AVIF": {"quality": 100},
}
"""For each format that animates, how the tests write it."""


def _frames(transparent: bool) -> list[Image.Image]:
    """A ball that moves; inside a black frame where the rest is transparent."""
    frames = []
    for step in range(len(DURATIONS_MS)):
        image = Image.new("RGBA", (120, 80), (0, 0, 0, 0) if transparent else (*GREEN, 255))
        draw = ImageDraw.Draw(image)
        if transparent:
            draw.rectangle((0, 0, 119, 79), outline=(0, 0, 0, 255), width=4)
        draw.ellipse((10 + step * 25, 20, 40 + step * 25, 50), fill=(255, 60 * step, 0, 255))
        frames.append(image if transparent else image.convert("RGB"))
    return frames


def _source(format_: str, frames: list[Image.Image], transparent: bool = False) -> bytes:
    options: dict[str, object] = {"duration": DURATIONS_MS, **LOSSLESS[format_]}
    if transparent and format_ == "GIF":
        options["disposal"] = 2
    return animated(frames, format_, **options)


@pytest.mark.parametrize("transparent", [False, True])
@pytest.mark.parametrize("source", ["PNG", "WEBP", "AVIF"])
@pytest.mark.parametrize("target", ["gif", "png", "webp", "avif"])
def test_frames_and_times_survive(
    workspace: FolderWorkspace, source: str, target: str, transparent: bool
) -> None:
    frames = _frames(transparent)
    key = workspace.add(_source(source, frames, transparent), "ball")
    result = transform(workspace, "convert-image", image=key, output_format=target)
    shown = shown_frames(opened(workspace, result))
    assert [duration for _, duration in shown] == DURATIONS_MS
    assert all(difference(frame, wanted) < 7 for (frame, _), wanted in zip(shown, frames, strict=True))


@pytest.mark.parametrize("disposal", [1, 2, 3])
def test_frames_of_a_gif_vanish_as_it_says(workspace: FolderWorkspace, disposal: int) -> None:
    frames = []
    for step in range(3):
        frame = Image.new("RGBA", (48, 20), (0, 0, 0, 0))
        ImageDraw.Draw(frame).ellipse((step * 16, 2, step * 16 + 14, 18), fill=(0, 0, 0, 255))
        frames.append(frame)
    data = animated(frames, "GIF", duration=100, disposal=disposal)
    wanted = shown_frames(Image.open(BytesIO(data)))
    workspace.add(data, "source.gif")
    for target in ("gif", "webp", "png"):
        result = transform(workspace, "convert-image", image="source.gif", output_format=target)
        shown = shown_frames(opened(workspace, result))
        assert all(difference(frame, like) < 5 for (frame, _), (like, _) in zip(shown, wanted, strict=True))


def test_holes_open_and_close_in_a_gif(workspace: FolderWorkspace) -> None:
    solid = Image.new("RGBA", (20, 20), (200, 0, 0, 255))
    left, right = solid.copy(), solid.copy()
    left.paste((0, 0, 0, 0), (2, 2, 8, 18))
    right.paste((0, 0, 0, 0), (12, 2, 18, 18))
    frames = [solid, left, right, left, solid]
    key = workspace.add(animated(frames, "WEBP", duration=100, lossless=True), "holes.webp")
    result = transform(workspace, "convert-image", image=key, output_format="gif")
    shown = shown_frames(opened(workspace, result))
    assert all(difference(frame, like) < 1 for (frame, _), like in zip(shown, frames, strict=True))


@pytest.mark.parametrize(
    ("operation", "fields", "size"),
    [
        ("scale-image", {"width": 60}, (60, 40)),
        ("crop-image", {"x": 0, "y": 0, "width": 50, "height": 60}, (50, 60)),
    ],
)
@pytest.mark.parametrize("source", list(LOSSLESS))
def test_an_animation_stays_one_in_its_own_format(
    workspace: FolderWorkspace, source: str, operation: str, fields: dict[str, int], size: tuple[int, int]
) -> None:
    key = workspace.add(_source(source, _frames(transparent=False)), "ball")
    image = opened(workspace, transform(workspace, operation, image=key, **fields))
    assert (image.format, image.size) == (source, size)
    shown = shown_frames(image)
    assert sum(duration for _, duration in shown) == sum(DURATIONS_MS)  # equal frames may become one
    assert len(shown) > 2
    assert all(difference(a, b) > 0.1 for (a, _), (b, _) in pairwise(shown[:3]))


def test_a_still_format_gets_the_first_frame(workspace: FolderWorkspace) -> None:
    frames = _frames(transparent=False)
    key = workspace.add(_source("GIF", frames), "ball.gif")
    image = opened(workspace, transform(workspace, "convert-image", image=key, output_format="jpg"))
    assert difference(image, frames[0]) < 5


@pytest.mark.parametrize(
    ("gif_loop", "plays", "gif_loop_again"), [(None, 1, None), (0, 0, 0), (1, 2, 1), (4, 5, 4)]
)
def test_gif_counts_repetitions_and_the_others_count_plays(
    workspace: FolderWorkspace, gif_loop: int | None, plays: int, gif_loop_again: int | None
) -> None:
    data = animated(_frames(transparent=False), "GIF", duration=100, loop=gif_loop)
    workspace.add(data, "source.gif")
    webp = transform(workspace, "convert-image", image="source.gif", output_format="webp")
    assert opened(workspace, webp).info["loop"] == plays
    png = transform(workspace, "convert-image", image=webp.image, output_format="png")
    assert opened(workspace, png).info["loop"] == plays
    gif = transform(workspace, "convert-image", image=png.image, output_format="gif")
    assert opened(workspace, gif).info.get("loop") == gif_loop_again


def test_a_film_of_odd_times_keeps_its_length_as_a_gif(workspace: FolderWorkspace) -> None:
    frames = [Image.new("RGB", (8, 8), (index * 8, 0, 0)) for index in range(30)]
    key = workspace.add(animated(frames, "WEBP", duration=33, lossless=True), "film.webp")
    result = transform(workspace, "convert-image", image=key, output_format="gif")
    durations = [duration for _, duration in shown_frames(opened(workspace, result))]
    assert set(durations) == {30, 40}
    assert sum(durations) == 990


def test_a_frame_without_a_time_is_shown_as_browsers_show_it(workspace: FolderWorkspace) -> None:
    key = workspace.add(animated(_frames(transparent=False), "GIF", duration=0), "hasty.gif")
    result = transform(workspace, "convert-image", image=key, output_format="webp")
    assert {duration for _, duration in shown_frames(opened(workspace, result))} == {100}


def test_a_png_for_old_viewers_is_not_part_of_the_animation(workspace: FolderWorkspace) -> None:
    frames = _frames(transparent=False)
    data = encoded(
        Image.new("RGB", (120, 80)),
        "PNG",
        save_all=True,
        append_images=frames,
        duration=100,
        default_image=True,
    )
    result = transform(workspace, "convert-image", image=workspace.add(data, "old.png"), output_format="webp")
    shown = shown_frames(opened(workspace, result))
    assert len(shown) == len(frames)
    assert difference(shown[0][0], frames[0]) < 7


@pytest.mark.parametrize("source", list(LOSSLESS))
def test_an_animation_that_ends_too_early_is_refused(workspace: FolderWorkspace, source: str) -> None:
    data = _source(source, _frames(transparent=False))
    key = workspace.add(data[: len(data) * 2 // 3], "torn")
    with pytest.raises(UnsupportedMedia, match="image"):
        transform(workspace, "convert-image", image=key, output_format="gif")


@pytest.mark.parametrize("target", ["gif", "png"])
def test_frames_that_last_longer_than_the_format_can_say(workspace: FolderWorkspace, target: str) -> None:
    key = workspace.add(animated(_frames(transparent=False), "WEBP", duration=700_001), "slow.webp")
    with pytest.raises(InvalidInput, match="how long") as caught:
        transform(workspace, "convert-image", image=key, output_format=target)
    assert caught.value.field == "output_format"


def test_more_plays_than_the_format_can_count(workspace: FolderWorkspace) -> None:
    key = workspace.add(animated(_frames(transparent=False), "PNG", duration=100, loop=100_000), "long.png")
    result = transform(workspace, "convert-image", image=key, output_format="webp")
    assert opened(workspace, result).info["loop"] == 65_535
