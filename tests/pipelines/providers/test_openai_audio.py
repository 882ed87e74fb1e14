import asyncio
from contextlib import aclosing
from io import BytesIO

import av
import numpy as np
import pytest
from av.audio.stream import AudioStream
from av.container import OutputContainer

from pipelines.audio import AudioFormat
from pipelines.errors import ProviderBusy, ProviderFailed, ProviderRefused, UnsupportedMedia
from pipelines.providers import sound
from pipelines.providers.openai import OpenAiProvider
from pipelines.tasks.speech_to_text import Segment, SpeechToTextRequest, SpeechToTextResult
from pipelines.tasks.text_to_speech import TextToSpeechRequest
from tests.fakes import FolderWorkspace
from tests.pipelines.providers.conftest import drafts
from tests.pipelines.speech_clips import CLIPS
from tests.vendors.openai import OpenAiVendor
from tests.vendors.openai_media import PIECES, tone
from tests.vendors.server import HTML_ERROR, BadDay

TEXT = "He was not an ill-disposed young man."


def speech(**fields: object) -> TextToSpeechRequest:
    return TextToSpeechRequest.model_validate({"text": "Hello", "model": "tts-1", **fields})


def transcript_of(key: str, model: str = "whisper-1", **fields: object) -> SpeechToTextRequest:
    return SpeechToTextRequest.model_validate({"audio": key, "model": model, **fields})


@pytest.fixture
def clip(workspace: FolderWorkspace) -> str:
    return workspace.add(CLIPS[0].path, "clip.wav")


@pytest.mark.parametrize("format_", AudioFormat)
async def test_every_format_is_spoken_and_measured(
    format_: AudioFormat, openai: OpenAiProvider, vendor: OpenAiVendor, workspace: FolderWorkspace
) -> None:
    result = await openai.run("text-to-speech", speech(response_format=format_), workspace)
    assert result.audio.endswith(f".{format_.extension}")
    if format_ is not AudioFormat.OPUS:  # an Ogg stream has a random number
        assert workspace.path(result.audio).read_bytes() == tone(format_, 2)
    assert result.duration_s == pytest.approx(2, abs=0.1)
    assert result.sample_rate == (48_000 if format_ is AudioFormat.OPUS else 24_000)
    assert vendor.asked[0].json == {
        "model": "tts-1",
        "input": "Hello",
        "voice": "alloy",
        "response_format": format_.value,
        "speed": 1.0,
    }


async def test_who_speaks_and_how_fast_is_the_callers_choice(
    openai: OpenAiProvider, vendor: OpenAiVendor, workspace: FolderWorkspace
) -> None:
    result = await openai.run("text-to-speech", speech(speaker="coral", speed=2.0), workspace)
    assert vendor.asked[0].json["voice"] == "coral"
    assert result.duration_s == pytest.approx(1)


async def test_speech_streams_as_it_comes(
    openai: OpenAiProvider, vendor: OpenAiVendor, workspace: FolderWorkspace
) -> None:
    held = asyncio.Event()
    vendor.bad_days.append(BadDay(hold=held))
    async with aclosing(openai.stream("text-to-speech", speech(), workspace)) as chunks:
        first = await anext(chunks)
        assert len(first) <= len(tone(AudioFormat.WAV, 2)) // PIECES + 1
        held.set()
        rest = [chunk async for chunk in chunks]
    assert first + b"".join(rest) == tone(AudioFormat.WAV, 2)


async def test_leaving_a_stream_closes_the_connection(
    openai: OpenAiProvider, vendor: OpenAiVendor, workspace: FolderWorkspace
) -> None:
    held = asyncio.Event()
    vendor.bad_days.append(BadDay(hold=held))
    async with aclosing(openai.stream("text-to-speech", speech(), workspace)) as chunks:
        await anext(chunks)
    assert openai._http._session is not None
    connector = openai._http._session.connector
    assert connector is not None
    assert not connector._acquired
    held.set()


@pytest.mark.parametrize(
    ("day", "error"),
    [
        (BadDay(429, headers={"Retry-After": "3"}), ProviderBusy),
        (HTML_ERROR, ProviderFailed),
        (BadDay(body=b'{"error": {"message": "no credits", "code": 402}}'), ProviderFailed),
        (BadDay(body=b"<html>", content_type="text/html"), ProviderFailed),
        (BadDay(body=b"no sound at all", content_type="audio/wav"), ProviderFailed),
        (BadDay(body=b"", content_type="audio/wav"), ProviderFailed),
        (BadDay(cut_after=500), ProviderFailed),
    ],
)
async def test_bad_days_of_speech_leave_no_file(
    day: BadDay,
    error: type[Exception],
    openai: OpenAiProvider,
    vendor: OpenAiVendor,
    workspace: FolderWorkspace,
) -> None:
    vendor.bad_days.append(day)
    with pytest.raises(error):
        await openai.run("text-to-speech", speech(), workspace)
    assert not list(workspace.folder.iterdir())


async def test_too_long_a_text_is_refused_in_the_vendors_words(
    openai: OpenAiProvider, workspace: FolderWorkspace
) -> None:
    with pytest.raises(ProviderRefused, match="too long") as caught:
        await openai.run("text-to-speech", speech(text="a" * 5000), workspace)
    assert caught.value.field == "input"


async def test_whisper_tells_segments_and_the_language(
    openai: OpenAiProvider, vendor: OpenAiVendor, workspace: FolderWorkspace, clip: str
) -> None:
    asked = transcript_of(clip, language="en", prompt="Austen", temperature=0.2)
    result = await openai.run("speech-to-text", asked, workspace)
    assert (result.text, result.language) == (TEXT, "en")
    assert result.duration_s == pytest.approx(result.segments[-1].end_s)
    assert [segment.text for segment in result.segments] == [" He was not", TEXT[10:]]
    assert result.segments[0].avg_logprob == -0.28
    assert not any(segment.words for segment in result.segments)
    form = vendor.asked[0].form
    assert form["file"][0].data == CLIPS[0].path.read_bytes()
    assert [part.text for part in form["timestamp_granularities[]"]] == ["segment"]
    sent = {name: form[name][0].text for name in ("language", "prompt", "temperature", "response_format")}
    assert sent == {
        "language": "en",
        "prompt": "Austen",
        "temperature": "0.2",
        "response_format": "verbose_json",
    }


async def test_words_go_to_their_segments(
    openai: OpenAiProvider, workspace: FolderWorkspace, clip: str
) -> None:
    result = await openai.run("speech-to-text", transcript_of(clip, word_timestamps=True), workspace)
    first, second = ([word.text for word in segment.words] for segment in result.segments)
    assert first + second == TEXT.split()
    assert abs(len(first) - len(second)) <= 1


async def test_models_without_times_give_one_segment(
    openai: OpenAiProvider, vendor: OpenAiVendor, workspace: FolderWorkspace, clip: str
) -> None:
    asked = transcript_of(clip, "gpt-4o-transcribe", word_timestamps=True)
    result = await openai.run("speech-to-text", asked, workspace)
    (segment,) = result.segments
    assert segment.text == result.text == TEXT
    assert segment.end_s == result.duration_s == pytest.approx(sound.heard(clip, workspace))
    assert result.language == "und"
    assert "timestamp_granularities[]" not in vendor.asked[0].form


async def test_translations_have_a_route_of_their_own(
    openai: OpenAiProvider, vendor: OpenAiVendor, workspace: FolderWorkspace, clip: str
) -> None:
    asked = transcript_of(clip, translate=True, language="de")
    assert (await openai.run("speech-to-text", asked, workspace)).text.startswith("Translated")
    assert vendor.asked[0].path == "/v1/audio/translations"
    assert "language" not in vendor.asked[0].form


async def test_a_stream_gives_the_segments_and_the_whole(
    openai: OpenAiProvider, workspace: FolderWorkspace, clip: str
) -> None:
    events = [event async for event in openai.stream("speech-to-text", transcript_of(clip), workspace)]
    assert [type(event) for event in events] == [Segment, Segment, SpeechToTextResult]


async def test_what_openai_cannot_read_is_encoded_anew(
    openai: OpenAiProvider, vendor: OpenAiVendor, workspace: FolderWorkspace
) -> None:
    key = workspace.add(_wma(seconds=3), "recording.wma")
    result = await openai.run("speech-to-text", transcript_of(key), workspace)
    assert vendor.asked[0].form["file"][0].filename == "audio.ogg"
    assert result.duration_s == pytest.approx(3, abs=0.1)


async def test_large_recordings_are_made_small(
    openai: OpenAiProvider,
    vendor: OpenAiVendor,
    workspace: FolderWorkspace,
    clip: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sound, "MAX_SENT_BYTES", 1000)
    await openai.run("speech-to-text", transcript_of(clip), workspace)
    sent = vendor.asked[0].form["file"][0]
    assert sent.filename == "audio.ogg"
    assert len(sent.data) < CLIPS[0].path.stat().st_size / 8


@pytest.mark.parametrize(
    ("day", "error"),
    [
        (BadDay(500), ProviderFailed),
        (HTML_ERROR, ProviderFailed),
        (BadDay(400), ProviderRefused),
        (BadDay(body=b'{"words": []}'), ProviderFailed),
        (BadDay(body=b'{"text": 5, "duration": 1}'), ProviderFailed),
        (BadDay(delay_s=0, cut_after=0), ProviderFailed),
    ],
)
async def test_bad_days_of_transcripts(
    day: BadDay,
    error: type[Exception],
    openai: OpenAiProvider,
    vendor: OpenAiVendor,
    workspace: FolderWorkspace,
    clip: str,
) -> None:
    vendor.bad_days.append(day)
    with pytest.raises(error):
        await openai.run("speech-to-text", transcript_of(clip), workspace)


async def test_what_is_no_sound_is_the_callers_fault(
    openai: OpenAiProvider, vendor: OpenAiVendor, workspace: FolderWorkspace
) -> None:
    key = workspace.add(b"a letter", "letter.wma")
    with pytest.raises(UnsupportedMedia):
        await openai.run("speech-to-text", transcript_of(key), workspace)
    assert not vendor.asked
    assert not drafts(workspace)


def _wma(seconds: int) -> bytes:
    file = BytesIO()
    container: OutputContainer = av.open(file, "w", format="asf")
    stream = container.add_stream("wmav2", rate=16_000, layout="mono")
    assert isinstance(stream, AudioStream)
    stream.bit_rate = 32_000
    frame = av.AudioFrame.from_ndarray(np.zeros((1, 16_000 * seconds), np.float32), "fltp", "mono")
    frame.sample_rate = 16_000
    container.mux([*stream.encode(frame), *stream.encode(None)])
    container.close()
    return file.getvalue()
