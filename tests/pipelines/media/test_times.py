import pytest

from pipelines.errors import InvalidInput
from pipelines.media.times import seconds_of


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("90", 90),
        ("90.5", 90.5),
        ("1:30", 90),
        ("01:30", 90),
        ("123:05", 7385),
        ("0:00.25", 0.25),
        ("00:01:30", 90),
        ("1:02:03.5", 3723.5),
        (" 0:10 ", 10),
    ],
)
def test_moments(text: str, seconds: float) -> None:
    assert seconds_of(text, "start_s") == seconds


@pytest.mark.parametrize("text", ["", "-1", "1:60", "1:5", "1:2:3", "1:60:00", "soon", "1e3", "٣", "1,5"])
def test_no_moments(text: str) -> None:
    with pytest.raises(InvalidInput, match="HH:MM:SS") as caught:
        seconds_of(text, "start_s")
    assert caught.value.field == "start_s"
