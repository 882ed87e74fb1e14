from dataclasses import dataclass

import pytest

from deployments.routers.openai.transcripts import Granularity, as_srt, as_verbose_json, as_vtt, usage
from pipelines.languages import language_name
from pipelines.tasks.speech_to_text import Segment, SpeechToTextResult, Word


@dataclass(frozen=True)
class Phrase:
    start_s: float
    end_s: float
    text: str


def transcript(*phrases: Phrase, language: str = "en") -> SpeechToTextResult:
    segments = tuple(
        Segment(id=number, start_s=phrase.start_s, end_s=phrase.end_s, text=phrase.text)
        for number, phrase in enumerate(phrases)
    )
    text = "".join(phrase.text for phrase in phrases).strip()
    return SpeechToTextResult(text=text, language=language, duration_s=8.47, segments=segments)


TWO = transcript(Phrase(0.0, 2.48, " He was not"), Phrase(2.48, 3661.0056, " an ordinary man."))


def test_srt_numbers_its_cues_and_writes_times_with_a_comma() -> None:
    assert as_srt(TWO) == (
        "1\n00:00:00,000 --> 00:00:02,480\nHe was not\n\n"
        "2\n00:00:02,480 --> 01:01:01,006\nan ordinary man.\n\n"
    )


def test_vtt_has_a_header_and_writes_times_with_a_dot() -> None:
    assert as_vtt(TWO) == (
        "WEBVTT\n\n"
        "00:00:00.000 --> 00:00:02.480\nHe was not\n\n"
        "00:00:02.480 --> 01:01:01.006\nan ordinary man.\n\n"
    )


def test_subtitles_leave_out_empty_phrases_and_count_on() -> None:
    spoken = transcript(Phrase(0, 1, "  "), Phrase(1, 2, " yes"))
    assert as_srt(spoken) == "1\n00:00:01,000 --> 00:00:02,000\nyes\n\n"


def test_a_cue_ends_after_it_starts() -> None:
    assert "00:00:01.000 --> 00:00:01.001" in as_vtt(transcript(Phrase(1, 1, "yes")))


def test_what_looks_like_markup_stays_text() -> None:
    spoken = transcript(Phrase(0, 1, "a < b --> c\n\n& d"))
    assert "\na &lt; b --&gt; c &amp; d\n\n" in as_vtt(spoken)
    assert "\na < b -> c & d\n\n" in as_srt(spoken)


def test_silence_gives_subtitles_without_cues() -> None:
    assert as_srt(transcript()) == ""
    assert as_vtt(transcript()) == "WEBVTT\n\n"


@pytest.mark.parametrize(("code", "name"), [("en", "english"), ("yue", "cantonese"), ("tlh", "tlh")])
def test_languages_have_openais_names(code: str, name: str) -> None:
    assert language_name(code) == name


def test_words_are_written_without_the_spaces_that_join_them() -> None:
    word = Word(text=" yes,", start_s=0.1, end_s=0.4, probability=0.9)
    segment = Segment(id=0, start_s=0, end_s=1, text=" yes,", words=(word,))
    result = SpeechToTextResult(text="yes,", language="de", duration_s=1, segments=(segment,))
    assert as_verbose_json(result, frozenset({Granularity.WORD}), translated=False) == {
        "task": "transcribe",
        "language": "german",
        "duration": 1.0,
        "text": "yes,",
        "words": [{"word": "yes,", "start": 0.1, "end": 0.4}],
    }


def test_usage_counts_started_seconds() -> None:
    assert usage(TWO) == {"type": "duration", "seconds": 9}
