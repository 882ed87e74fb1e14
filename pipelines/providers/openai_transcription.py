"""Speech to text by a server that speaks OpenAI's wire format."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import aiohttp

from pipelines.languages import language_code
from pipelines.providers import sound
from pipelines.providers.base import fits, without_none
from pipelines.providers.openai_wire import OpenAiApi
from pipelines.tasks.base import Workspace
from pipelines.tasks.speech_to_text import (
    Segment,
    SpeechToTextEvent,
    SpeechToTextRequest,
    SpeechToTextResult,
    Word,
)

_ENGLISH = "en"
_UNKNOWN = "und"
"""ISO 639's word for a language that nobody named."""


async def run(api: OpenAiApi, request: SpeechToTextRequest, workspace: Workspace) -> SpeechToTextResult:
    """Transcribe or translate the whole file."""
    name, data = await asyncio.to_thread(sound.to_send, request.audio, workspace)
    tells_times = fits(request.model or "", api.options.timestamp_models)
    form = _form(request, tells_times)
    form.add_field("file", data, filename=name)
    path = "/audio/translations" if request.translate else "/audio/transcriptions"
    answer = await api.http.post_form(path, form)
    if tells_times:
        return await api.read(answer, "a transcript", lambda body: _verbose(body, request))
    duration_s = await asyncio.to_thread(sound.heard, request.audio, workspace)
    return await api.read(answer, "a transcript", lambda body: _plain(body, request, duration_s))


async def stream(
    api: OpenAiApi, request: SpeechToTextRequest, workspace: Workspace
) -> AsyncGenerator[SpeechToTextEvent, None]:
    """Yield the segments, which come all at once, and the whole."""
    result = await run(api, request, workspace)
    for segment in result.segments:
        yield segment
    yield result


def _form(request: SpeechToTextRequest, tells_times: bool) -> aiohttp.FormData:
    form = aiohttp.FormData()
    fields = without_none(
        model=request.model,
        prompt=request.prompt,
        temperature=str(request.temperature),
        response_format="verbose_json" if tells_times else "json",
        language=None if request.translate else request.language,
    )
    for name, value in fields.items():
        form.add_field(name, value)
    if tells_times and not request.translate:
        for granularity in ("segment", "word") if request.word_timestamps else ("segment",):
            form.add_field("timestamp_granularities[]", granularity)
    return form


def _plain(body: Any, request: SpeechToTextRequest, duration_s: float) -> SpeechToTextResult:
    text = body["text"].strip()
    segment = Segment(id=0, start_s=0.0, end_s=duration_s, text=text)
    return SpeechToTextResult(
        text=text,
        language=_language(body, request),
        duration_s=duration_s,
        segments=(segment,) if text else (),
    )


def _verbose(body: Any, request: SpeechToTextRequest) -> SpeechToTextResult:
    words = [_word(word) for word in body.get("words") or ()]
    segments = [_segment(segment) for segment in body.get("segments") or ()]
    return SpeechToTextResult(
        text=body["text"].strip(),
        language=_language(body, request),
        duration_s=float(body["duration"]),
        segments=tuple(_with_words(segments, words)),
    )


def _with_words(segments: Sequence[Segment], words: list[Word]) -> list[Segment]:
    """Give each segment the words whose middle it has, the last one all that are left."""
    parted = []
    for index, segment in enumerate(segments):
        is_last = index == len(segments) - 1
        own = [word for word in words if is_last or (word.start_s + word.end_s) / 2 < segment.end_s]
        words = words[len(own) :]
        parted.append(segment.model_copy(update={"words": tuple(own)}))
    return parted


def _word(word: dict[str, Any]) -> Word:
    # How sure it is, it does not say.
    return Word(text=word["word"], start_s=word["start"], end_s=word["end"], probability=1.0)


def _segment(segment: dict[str, Any]) -> Segment:
    measures = ("temperature", "avg_logprob", "compression_ratio", "no_speech_prob")
    return Segment(
        id=segment["id"],
        start_s=segment["start"],
        end_s=segment["end"],
        text=segment["text"],
        tokens=tuple(segment.get("tokens") or ()),
        **{name: float(segment.get(name) or 0.0) for name in measures},
    )


def _language(body: Any, request: SpeechToTextRequest) -> str:
    """Give the spoken language: as the server names it, else as the caller does."""
    if named := body.get("language"):
        return language_code(named)
    return request.language or (_ENGLISH if request.translate else _UNKNOWN)
