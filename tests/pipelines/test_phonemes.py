import pytest

from pipelines.phonemes import break_long_words, is_speakable, speakable_text, split_long

STRESS = "\N{MODIFIER LETTER VERTICAL LINE}"
LENGTH = "\N{MODIFIER LETTER TRIANGULAR COLON}"


def test_control_characters_become_spaces() -> None:
    assert speakable_text("one\x00two\ttre\nfour é") == "one two tre\nfour é"


@pytest.mark.parametrize("phonemes", [f"h{STRESS}ai.", ["h", STRESS], f"{STRESS}A", "3"])
def test_sounds_are_speakable(phonemes: str | list[str]) -> None:
    assert is_speakable(phonemes)


@pytest.mark.parametrize("phonemes", ["", "...", "?!", f"{STRESS} {LENGTH}", "—", []])
def test_marks_alone_are_not(phonemes: str | list[str]) -> None:
    assert not is_speakable(phonemes)


@pytest.mark.parametrize(
    ("sentence", "pieces"),
    [
        ("short", ["short"]),
        ("aaaa bbbb, cc dd", ["aaaa bbbb,", " cc dd"]),
        ("aaa bbb ccc ddd", ["aaa bbb ", "ccc ddd"]),
        ("a, bbbbbbbbb cc", ["a, ", "bbbbbbbbb ", "cc"]),
        ("abcdefghijklmno", ["abcdefghij", "klmno"]),
    ],
)
def test_long_sentences_are_cut_after_a_clause_or_a_word(sentence: str, pieces: list[str]) -> None:
    assert ["".join(piece) for piece in split_long(sentence, limit=10)] == pieces


def test_words_longer_than_any_are_broken_at_their_punctuation() -> None:
    assert break_long_words("see https://example.org/some/very/long/path/of/things.html now") == (
        "see https://example. org/ some/ very/ long/ path/ of/things.html now"
    )
    assert max(map(len, break_long_words("x" * 1000).split())) == 40
    assert break_long_words("ordinary words, of any number " * 20) == "ordinary words, of any number " * 20
