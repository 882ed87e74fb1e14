"""A transcript in the formats of OpenAI's `response_format`."""

import math
from collections.abc import Iterator
from enum import StrEnum
from html import escape
from typing import Any

from pipelines.languages import language_name
from pipelines.tasks.speech_to_text import Segment, SpeechToTextResult

_FRAMES_PER_S = 100


class TranscriptFormat(StrEnum):
    """How the transcript is written."""

    JSON = "json"
    TEXT = "text"
    SRT = "srt"
    VTT = "vtt"
    VERBOSE_JSON = "verbose_json"


class Granularity(StrEnum):
    """What has times in `verbose_json`."""

    WORD = "word"
    SEGMENT = "segment"


def usage(result: SpeechToTextResult) -> dict[str, Any]:
    """Tell the length of the audio in started seconds, as OpenAI bills it."""
    return {"type": "duration", "seconds": math.ceil(result.duration_s)}


def as_verbose_json(
    result: SpeechToTextResult, granularities: frozenset[Granularity], *, translated: bool
) -> dict[str, Any]:
    """Give the transcript with its times; only the granularities that were asked for are there."""
    body: dict[str, Any] = {
        "task": "translate" if translated else "transcribe",
        "language": "english" if translated else language_name(result.language),
        "duration": result.duration_s,
        "text": result.text,
    }
    if Granularity.SEGMENT in granularities:
        body["segments"] = [_segment(segment) for segment in result.segments]
    if Granularity.WORD in granularities:
        body["words"] = [
            {"word": word.text.strip(), "start": word.start_s, "end": word.end_s}
            for segment in result.segments
            for word in segment.words
        ]
    return body


def _segment(segment: Segment) -> dict[str, Any]:
    return {
        "id": segment.id,
        # Whisper counts its place in the audio in frames of 10 ms.
        "seek": round(segment.start_s * _FRAMES_PER_S),
        "start": segment.start_s,
        "end": segment.end_s,
        "text": segment.text,
        "tokens": list(segment.tokens),
        "temperature": segment.temperature,
        "avg_logprob": segment.avg_logprob,
        "compression_ratio": segment.compression_ratio,
        "no_speech_prob": segment.no_speech_prob,
    }


def as_srt(result: SpeechToTextResult) -> str:
    """Write SubRip subtitles: numbered cues, times with a comma."""
    return "".join(
        f"{number}\n{_time(start_ms, ',')} --> {_time(end_ms, ',')}\n{text.replace('-->', '->')}\n\n"
        for number, (start_ms, end_ms, text) in enumerate(_cues(result), start=1)
    )


def as_vtt(result: SpeechToTextResult) -> str:
    """Write WebVTT subtitles: a header, times with a dot, text with its markup escaped."""
    cues = "".join(
        f"{_time(start_ms, '.')} --> {_time(end_ms, '.')}\n{escape(text, quote=False)}\n\n"
        for start_ms, end_ms, text in _cues(result)
    )
    return f"WEBVTT\n\n{cues}"


def _cues(result: SpeechToTextResult) -> Iterator[tuple[int, int, str]]:
    for segment in result.segments:
        # A line break would end the cue's text or, doubled, the cue itself.
        text = " ".join(segment.text.split())
        if text:
            start_ms = round(segment.start_s * 1000)
            # Players drop a cue that ends when it starts.
            yield start_ms, max(round(segment.end_s * 1000), start_ms + 1), text


def _time(milliseconds: int, separator: str) -> str:
    seconds, milliseconds = divmod(milliseconds, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{seconds:02d}{separator}{milliseconds:03d}"
