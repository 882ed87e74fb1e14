"""Speech both ways through the official OpenAI client, with the real models."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import openai
import pytest
from faster_whisper import WhisperModel
from openai.types.audio import TranscriptionVerbose

from tests.e2e.conftest import SENTENCE, Server
from tests.pipelines.speech_clips import CLIPS
from tests.word_error_rate import edit_distance, word_error_rate, words

pytestmark = pytest.mark.e2e

STORY = (
    "The old man walked down to the harbour every morning before breakfast. "
    "He counted the boats and wrote their number into a small book. "
    "When somebody asked him why, he only smiled and closed the book. "
    "After his death they found forty years of numbers, and not one mistake."
)


def heard(model: object, path: Path) -> str:
    segments, _ = model.transcribe(str(path), vad_filter=True)  # type: ignore[attr-defined]
    return "".join(segment.text for segment in segments)


def errors(transcripts: Iterator[str]) -> int:
    pairs = zip(CLIPS, transcripts, strict=True)
    return sum(edit_distance(words(clip.text), words(transcript)) for clip, transcript in pairs)


def test_recorded_speech_is_heard_as_well_as_by_the_bare_library(
    server: Server, openai_client: openai.OpenAI
) -> None:
    weights = str(server.data_dir / "models" / "whisper-base")
    bare = WhisperModel(weights, device="cpu", compute_type="int8", cpu_threads=2)
    bare_errors = errors(heard(bare, clip.path) for clip in CLIPS)
    our_errors = errors(
        openai_client.audio.transcriptions.create(model="whisper-base", file=clip.path).text for clip in CLIPS
    )
    assert our_errors <= bare_errors


@pytest.mark.parametrize("voice", ["piper-joe", "hibari"])
def test_what_was_spoken_is_heard_again(openai_client: openai.OpenAI, voice: str) -> None:
    def errors() -> float:
        audio = openai_client.audio.speech.create(model="tts-1", voice=voice, input=STORY).content
        text = openai_client.audio.transcriptions.create(model="whisper-1", file=("story.mp3", audio)).text
        return word_error_rate(STORY, text)

    # Piper never says it twice alike, and now and then one word of it is heard as three others.
    assert any(errors() <= 0.05 for _ in range(3))


@pytest.mark.parametrize("audio_format", ["mp3", "opus", "aac", "flac", "wav"])
def test_every_format_that_it_speaks_it_can_hear(openai_client: openai.OpenAI, audio_format: str) -> None:
    audio = openai_client.audio.speech.create(
        model="tts-1",
        voice="alloy",
        input=SENTENCE,
        response_format=audio_format,  # type: ignore[arg-type]
    ).content
    text = openai_client.audio.transcriptions.create(
        model="whisper-1", file=(f"a.{audio_format}", audio)
    ).text
    assert word_error_rate(SENTENCE, text) <= 0.12


def test_words_segments_and_language(openai_client: openai.OpenAI, spoken: bytes) -> None:
    found = openai_client.audio.transcriptions.create(
        model="whisper-1",
        file=("a.wav", spoken),
        response_format="verbose_json",
        timestamp_granularities=["word", "segment"],
    )
    assert isinstance(found, TranscriptionVerbose)
    assert found.language == "english"
    assert found.words is not None
    assert [word.word.strip(" .").lower() for word in found.words][:3] == ["the", "quick", "brown"]
    assert found.segments is not None
    assert 0 <= found.segments[0].start < found.segments[0].end <= found.duration


@pytest.mark.parametrize(
    ("response_format", "start"),
    [("srt", "1\n00:00:00,"), ("vtt", "WEBVTT\n\n00:00:00."), ("text", "The quick")],
)
def test_subtitles_and_text(client: httpx.Client, spoken: bytes, response_format: str, start: str) -> None:
    answer = client.post(
        "/v1/audio/transcriptions", files={"file": spoken}, data={"response_format": response_format}
    )
    assert answer.text.lstrip().startswith(start)


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")  # the client's own use of its types
def test_translation(openai_client: openai.OpenAI, spoken: bytes) -> None:
    found = openai_client.audio.translations.create(model="whisper-1", file=("a.wav", spoken))
    assert "fox" in found.text


def test_a_transcript_streams(openai_client: openai.OpenAI, spoken: bytes) -> None:
    events = list(
        openai_client.audio.transcriptions.create(model="whisper-1", file=("a.wav", spoken), stream=True)
    )
    assert events[-1].type == "transcript.text.done"
    deltas = "".join(event.delta for event in events if event.type == "transcript.text.delta")
    assert deltas.strip() == events[-1].text


def test_speech_arrives_sentence_by_sentence(client: httpx.Client) -> None:
    body = {"input": STORY, "voice": "piper-joe", "response_format": "pcm"}
    with client.stream("POST", "/v1/audio/speech", json=body) as answer:
        first, *rest = answer.iter_raw()
    assert len(first) > 0
    assert len(rest) >= 3


def test_speed(client: httpx.Client) -> None:
    def length(speed: float) -> int:
        body = {"input": SENTENCE, "voice": "hibari", "speed": speed, "response_format": "pcm"}
        return len(client.post("/v1/audio/speech", json=body).content)

    assert length(2.0) == pytest.approx(length(1.0) / 2, rel=0.15)


def test_models(openai_client: openai.OpenAI) -> None:
    ids = [model.id for model in openai_client.models.list()]
    assert {"whisper-base", "whisper-tiny-en", "piper-joe", "hibari"} <= set(ids)
    assert openai_client.models.retrieve("whisper-1").id in {"whisper-1", "whisper-base"}
    with pytest.raises(openai.NotFoundError):
        openai_client.models.retrieve("gpt-9")


def test_aiservers_two_results(client: httpx.Client, spoken: bytes) -> None:
    results = client.post("/api/SpeechToText", files={"audio": ("a.wav", spoken)}).json()["results"]
    assert "fox" in results[0]["text"]
    timed = json.loads(results[1]["text"])
    assert timed[0].keys() == {"text", "start", "end"}


def test_aiservers_speech_is_an_artifact_that_opens_without_a_key(client: httpx.Client) -> None:
    result = client.post("/api/TextToSpeech", json={"input": SENTENCE}).json()["results"][0]
    audio = httpx.get(result["url"])
    assert audio.headers["content-type"] == "audio/wav"
    assert audio.content[:4] == b"RIFF"
    part = httpx.get(result["url"], headers={"Range": "bytes=0-3"})
    assert (part.status_code, part.content) == (206, b"RIFF")
