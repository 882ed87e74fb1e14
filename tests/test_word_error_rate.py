import pytest

from tests.word_error_rate import word_error_rate


@pytest.mark.parametrize(
    ("said", "heard", "rate"),
    [
        ("mister john dashwood", " Mr. John Dashwood,", 0.0),
        ("he was not an ill disposed young man", "He was not an ill-disposed young man.", 0.0),
        ("one two three four", "one too three four", 0.25),
        ("one two three four", "one two four", 0.25),
        ("one two three four", "one two three and four", 0.25),
        ("one two", "", 1.0),
    ],
)
def test_counts_changed_missing_and_added_words(said: str, heard: str, rate: float) -> None:
    assert word_error_rate(said, heard) == rate
