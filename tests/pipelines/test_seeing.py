from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from pipelines.images import open_image
from pipelines.seeing.lines import Piece, as_text, in_lines
from pipelines.seeing.pictures import as_seen
from pipelines.seeing.sentences import caption, detailed_caption
from pipelines.seeing.tags import Tag, Tags
from pipelines.tasks.image_to_text import Box

NOTHING: list[list[Piece]] = []


def piece(text: str, x: float, y: float, along: complex = 90) -> Piece:
    box = Box(left=0, top=0, right=1, bottom=1)  # does not count for the order
    return Piece(text, 0.99, box, complex(x, y), along, 20.0)


def test_pieces_side_by_side_are_one_line() -> None:
    pieces = [piece("Cake", 0, 42), piece("3.50", 300, 4), piece("Coffee", 0, 0), piece("4.20", 300, 38)]
    assert as_text(in_lines(pieces)) == "Coffee 3.50\nCake 4.20"


def test_nothing_has_no_lines() -> None:
    assert in_lines([]) == []


@pytest.mark.parametrize("direction", [1, 1j, -1, -1j, 0.996 + 0.087j, -0.98 + 0.2j])
def test_a_page_is_read_as_its_text_runs(direction: complex) -> None:
    places = {"1a": 0, "1b": 1000, "2a": 24j, "2b": 1000 + 24j, "3": 500 + 48j}
    turned = {text: place * direction for text, place in places.items()}
    pieces = [piece(text, at.real, at.imag, 90 * direction) for text, at in reversed(turned.items())]
    sidenote = piece("note", 5_000, 5_000, 30j * direction)
    assert as_text(in_lines([sidenote, *pieces])).replace("note", "").split() == list(places)


def tags(*classes: Tag, **kinds: float) -> Tags:
    return Tags(classes, tuple(Tag(f"a {name}", score) for name, score in kinds.items()))


UNSURE = tags(Tag("a plaque", 0.2), Tag("a menu", 0.1), Tag("an ear of corn", 0.1), dog=0.1)


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (tags(Tag("an espresso", 0.95), Tag("a cup", 0.02), dog=0.1), "An espresso."),
        (
            tags(Tag("an espresso", 0.7), Tag("a coffee mug", 0.2), Tag("a tray", 0.1), dog=0.1),
            "An espresso, perhaps also a coffee mug or a tray.",
        ),
        (
            tags(
                Tag("a tiger cat", 0.4, "a cat"),
                Tag("a lynx", 0.2),
                Tag("a tabby cat", 0.3, "a cat"),
                cat=0.7,
            ),
            "A cat, perhaps a tiger cat or a tabby cat.",
        ),
        (tags(*[Tag("a collie", 0.05, "a dog")] * 3, dog=0.8), "A dog."),
        (
            UNSURE,
            "No object was recognised with confidence; the closest are a plaque, a menu and an ear of corn.",
        ),
    ],
)
def test_a_caption_is_as_sure_as_the_model(found: Tags, sentence: str) -> None:
    assert caption(found, NOTHING) == sentence


def test_a_caption_quotes_what_was_read_with_certainty() -> None:
    doubtful = replace(piece("mumble", 0, 0), score=0.7)
    lines = [[piece("Exit", 0, 0), doubtful], [piece("12", 0, 30)], [doubtful]]
    assert caption(UNSURE, lines) == "No object was recognised with confidence. It reads: “Exit 12”"
    long = caption(UNSURE, [[piece("word " * 100, 0, 0)]])
    assert long.endswith("word word …”")
    assert len(long) < 300


@pytest.mark.parametrize("stray", ["8", "00000", "..."])
def test_a_caption_does_not_quote_stray_letters(stray: str) -> None:
    assert caption(tags(Tag("a bubble", 0.9), dog=0.1), [[piece(stray, 0, 0)]]) == "A bubble."


def test_a_detailed_caption_tells_all() -> None:
    found = tags(Tag("a tabby cat", 0.4, "a cat"), Tag("a tiger cat", 0.31, "a cat"), cat=0.72)
    assert detailed_caption(found, [[piece("Cat", 0, 0)], [piece("food", 0, 30)]]) == (
        "A cat, perhaps a tabby cat or a tiger cat. Certainty: cat 72%, tabby cat 40%, tiger cat 31%. "
        "It reads: “Cat\nfood”"
    )


def test_a_name_stands_once() -> None:
    found = tags(Tag("sunglasses", 0.5), Tag("sunglasses", 0.3), dog=0.01)
    assert [(tag.name, tag.score) for tag in found.from_score(0.1)] == [("sunglasses", 0.5)]


def seen(image: Image.Image, folder: Path, max_side: int = 1_000) -> Image.Image:
    buffer = BytesIO()
    image.save(buffer, "PNG")
    (folder / "picture").write_bytes(buffer.getvalue())
    with open_image(folder / "picture", "image", 10**8) as picture:
        return as_seen(picture, max_side)


@pytest.mark.parametrize(
    ("colour", "background"),
    [((0, 0, 0), (255, 255, 255)), ((200, 30, 30), (255, 255, 255)), ((255, 255, 255), (0, 0, 0))],
)
def test_what_is_transparent_is_put_on_a_ground_that_shows_the_rest(
    colour: tuple[int, int, int], background: tuple[int, int, int], tmp_path: Path
) -> None:
    image = Image.new("RGBA", (20, 10), (0, 0, 0, 0))
    image.paste((*colour, 255), (0, 0, 10, 10))
    shown = seen(image, tmp_path)
    assert shown.mode == "RGB"
    assert (shown.getpixel((2, 5)), shown.getpixel((15, 5))) == (colour, background)


def test_an_empty_picture_is_white(tmp_path: Path) -> None:
    assert seen(Image.new("LA", (4, 4)), tmp_path).getpixel((1, 1)) == (255, 255, 255)


@pytest.mark.parametrize(
    ("size", "expected"), [((300, 150), (100, 50)), ((80, 20), (80, 20)), ((3, 3_000), (1, 100))]
)
def test_nothing_larger_is_looked_at(
    size: tuple[int, int], expected: tuple[int, int], tmp_path: Path
) -> None:
    assert seen(Image.new("L", size), tmp_path, 100).size == expected
