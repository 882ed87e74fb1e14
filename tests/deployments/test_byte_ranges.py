import random

import pytest

from deployments.byte_ranges import parse_range
from deployments.errors import RangeNotSatisfiable, problem_of

SIZE = 1000


@pytest.mark.parametrize(
    ("header", "start", "size_bytes"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-999", 0, 1000),
        ("bytes=10-19", 10, 10),
        ("bytes=990-", 990, 10),
        ("bytes=0-", 0, 1000),
        ("bytes=990-5000", 990, 10),
        ("bytes=-1", 999, 1),
        ("bytes=-1000", 0, 1000),
        ("bytes=-5000", 0, 1000),
        ("Bytes = 1-2 ", 1, 2),
    ],
)
def test_one_range_is_cut_to_the_file(header: str, start: int, size_bytes: int) -> None:
    part = parse_range(header, SIZE)
    assert part is not None
    assert (part.start, part.size_bytes) == (start, size_bytes)


@pytest.mark.parametrize(
    "header",
    [
        *("", "bytes", "bytes=", "bytes=-", "bytes=5-4", "bytes=a-b", "bytes=1", "bytes=--1", "bytes=1-2-3"),
        *(
            "lines=0-1",
            "bytes=0-1,5-6",
            "bytes=0x1-2",
            "bytes=\u0661-2",
            "bytes=0-1\n",
            f"bytes={'9' * 5000}-",
        ),
    ],
)
def test_what_cannot_be_read_asks_for_the_whole_file(header: str) -> None:
    assert parse_range(header, SIZE) is None


@pytest.mark.parametrize("header", ["bytes=1000-", "bytes=1000-1001", "bytes=999999-", "bytes=-0"])
def test_a_range_outside_the_file_tells_its_size(header: str) -> None:
    with pytest.raises(RangeNotSatisfiable) as raised:
        parse_range(header, SIZE)
    assert problem_of(raised.value).headers == {"Content-Range": "bytes */1000"}


@pytest.mark.parametrize("header", ["bytes=0-", "bytes=0-0", "bytes=-1", "bytes=5-"])
def test_an_empty_file_has_no_parts(header: str) -> None:
    assert parse_range(header, 0) is None


def test_any_range_gives_the_bytes_that_a_slice_gives() -> None:
    chance = random.Random(1)
    for _ in range(2000):
        size = chance.randint(1, 50)
        data = bytes(range(size))
        start, end = chance.randrange(size), chance.randrange(60)
        kind = chance.choice(["both", "open", "suffix"])
        header = {"both": f"{start}-{end}", "open": f"{start}-", "suffix": f"-{end + 1}"}[kind]
        part = parse_range(f"bytes={header}", size)
        if kind == "both" and end < start:
            assert part is None
            continue
        expected = {"both": data[start : end + 1], "open": data[start:], "suffix": data[-end - 1 :]}[kind]
        assert part is not None
        assert data[part.start : part.end + 1] == expected
        assert part.size_bytes == len(expected)
