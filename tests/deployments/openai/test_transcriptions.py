from typing import Any

import httpx2
import pytest
from openai import APIError, AsyncOpenAI, AuthenticationError, BadRequestError, NotFoundError

from pipelines.errors import EngineError, UnsupportedMedia
from pipelines.tasks.speech_to_text import Segment, SpeechToTextResult, Word
from tests.deployments.openai.fakes import Server

AUDIO = b"RIFF....WAVE"
FILE = ("speech.wav", AUDIO)
SEGMENTS = (
    Segment(
        id=0,
        start_s=0.0,
        end_s=2.48,
        text=" He was not",
        tokens=(50364, 634),
        words=(Word(text=" He", start_s=0.0, end_s=0.3, probability=0.98),),
        avg_logprob=-0.25,
        compression_ratio=1.1,
        no_speech_prob=0.01,
    ),
    Segment(id=1, start_s=2.48, end_s=3.1, text=" an ordinary man."),
)
RESULT = SpeechToTextResult(
    text="He was not an ordinary man.", language="en", duration_s=3.2, segments=SEGMENTS
)


@pytest.fixture
def server(server: Server) -> Server:
    server.ears.steps = (*SEGMENTS, RESULT)
    return server


async def test_json_is_the_default(server: Server, client: AsyncOpenAI) -> None:
    answer = await client.audio.transcriptions.create(file=FILE, model="whisper-1")
    assert answer.to_dict() == {"text": RESULT.text, "usage": {"type": "duration", "seconds": 4}}


async def test_the_fields_and_the_file_reach_the_model(server: Server, client: AsyncOpenAI) -> None:
    await client.audio.transcriptions.create(
        file=FILE, model="WHISPER-BASE", language="de", prompt="Ray", temperature=0.4
    )
    (request,) = server.ears.requests
    assert (request.language, request.prompt, request.temperature) == ("de", "Ray", 0.4)
    assert (request.translate, request.word_timestamps) == (False, False)
    assert server.ears.uploads == [AUDIO]
    assert server.ears.upload_is_gone()


@pytest.mark.parametrize(
    ("response_format", "body"),
    [
        ("text", "He was not an ordinary man.\n"),
        (
            "srt",
            "1\n00:00:00,000 --> 00:00:02,480\nHe was not\n\n"
            "2\n00:00:02,480 --> 00:00:03,100\nan ordinary man.\n\n",
        ),
        (
            "vtt",
            "WEBVTT\n\n00:00:00.000 --> 00:00:02.480\nHe was not\n\n"
            "00:00:02.480 --> 00:00:03.100\nan ordinary man.\n\n",
        ),
    ],
)
async def test_the_formats_that_are_text(
    server: Server, client: AsyncOpenAI, response_format: Any, body: str
) -> None:
    answer = await client.audio.transcriptions.create(
        file=FILE, model="whisper-1", response_format=response_format
    )
    assert answer == body


async def test_verbose_json_has_segments(server: Server, client: AsyncOpenAI) -> None:
    answer = await client.audio.transcriptions.create(
        file=FILE, model="whisper-1", response_format="verbose_json"
    )
    assert answer.segments is not None
    assert answer.segments[0].to_dict() == {
        "id": 0,
        "seek": 0,
        "start": 0.0,
        "end": 2.48,
        "text": " He was not",
        "tokens": [50364, 634],
        "temperature": 0.0,
        "avg_logprob": -0.25,
        "compression_ratio": 1.1,
        "no_speech_prob": 0.01,
    }
    assert (answer.language, answer.duration, answer.text) == ("english", 3.2, RESULT.text)
    assert answer.words is None
    assert answer.usage is not None
    assert answer.usage.seconds == 4


@pytest.mark.parametrize(
    ("granularities", "has_segments", "has_words"),
    [(["word"], False, True), (["segment"], True, False), (["word", "segment"], True, True)],
)
async def test_granularities_choose_what_has_times(
    server: Server, client: AsyncOpenAI, granularities: Any, has_segments: bool, has_words: bool
) -> None:
    answer = await client.audio.transcriptions.create(
        file=FILE,
        model="whisper-1",
        response_format="verbose_json",
        timestamp_granularities=granularities,
    )
    assert (answer.segments is not None, answer.words is not None) == (has_segments, has_words)
    assert server.ears.requests[-1].word_timestamps == has_words


async def test_a_stream_gives_deltas_then_the_whole_text(server: Server, client: AsyncOpenAI) -> None:
    stream = await client.audio.transcriptions.create(file=FILE, model="whisper-1", stream=True)
    events = [event.to_dict() async for event in stream]
    assert events == [
        {"type": "transcript.text.delta", "delta": "He was not"},
        {"type": "transcript.text.delta", "delta": " an ordinary man."},
        {
            "type": "transcript.text.done",
            "text": RESULT.text,
            "usage": {"type": "duration", "seconds": 4},
        },
    ]
    assert server.metrics.observed == [("speech-to-text", "whisper-base", "ok")]
    assert server.ears.upload_is_gone()


async def test_an_error_before_the_first_event_is_an_http_error(server: Server, client: AsyncOpenAI) -> None:
    server.ears.steps = (UnsupportedMedia("the file is not audio", "audio"),)
    with pytest.raises(BadRequestError, match="not audio") as raised:
        await client.audio.transcriptions.create(file=FILE, model="whisper-1", stream=True)
    assert raised.value.param == "file"
    assert server.ears.upload_is_gone()


async def test_an_error_in_mid_stream_is_an_event(server: Server, client: AsyncOpenAI) -> None:
    server.ears.steps = (SEGMENTS[0], EngineError("the engine gave up"))
    stream = await client.audio.transcriptions.create(file=FILE, model="whisper-1", stream=True)
    first = await anext(stream)
    assert first.type == "transcript.text.delta"
    with pytest.raises(APIError, match="the engine gave up"):
        await anext(stream)


async def test_what_openai_has_beyond_this_is_ignored(server: Server, client: AsyncOpenAI) -> None:
    answer = await client.audio.transcriptions.create(
        file=FILE,
        model="gpt-4o-transcribe",
        include=["logprobs"],
        chunking_strategy={"type": "server_vad", "threshold": 0.5},
        keywords=["Ray"],
        extra_body={"model": "whisper-1"},
    )
    assert answer.text == RESULT.text


async def test_the_model_may_be_left_out_and_fields_may_be_empty(
    server: Server, http: httpx2.AsyncClient
) -> None:
    fields = {"language": "", "prompt": "", "temperature": "", "response_format": ""}
    answer = await http.post("/v1/audio/transcriptions", files={"file": FILE}, data=fields)
    assert answer.json()["text"] == RESULT.text
    assert server.ears.requests[-1].language is None


@pytest.mark.parametrize(
    ("fields", "param", "message"),
    [
        ({"response_format": "xml"}, "response_format", "'json', 'text', 'srt', 'vtt' or 'verbose_json'"),
        ({"temperature": "2"}, "temperature", "at most 1"),
        ({"temperature": "warm"}, "temperature", "a number"),
        ({"stream": "perhaps"}, "stream", "true or false"),
        ({"stream": "true", "response_format": "srt"}, "response_format", "stream"),
        ({"timestamp_granularities[]": "word"}, "response_format", "verbose_json"),
        (
            {"timestamp_granularities[]": "letter", "response_format": "verbose_json"},
            "timestamp_granularities[]",
            "'word' or 'segment'",
        ),
    ],
)
async def test_a_wrong_field_is_named(
    server: Server, http: httpx2.AsyncClient, fields: dict[str, str], param: str, message: str
) -> None:
    answer = await http.post("/v1/audio/transcriptions", files={"file": FILE}, data=fields)
    error = answer.json()["error"]
    assert (answer.status_code, error["type"], error["param"]) == (400, "invalid_request_error", param)
    assert message in error["message"]
    assert server.ears.requests == []


@pytest.mark.parametrize("resource", ["transcriptions", "translations"])
async def test_the_file_must_be_there(http: httpx2.AsyncClient, resource: str) -> None:
    answer = await http.post(f"/v1/audio/{resource}", files={"audio": FILE})
    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (400, "file")
    assert "multipart/form-data" in error["message"]


async def test_an_unknown_model_lists_those_that_hear(client: AsyncOpenAI) -> None:
    with pytest.raises(NotFoundError, match="whisper-base, whisper-tiny-en") as raised:
        await client.audio.transcriptions.create(file=FILE, model="whisper-9")
    assert (raised.value.code, raised.value.param) == ("model_not_found", "model")


async def test_a_wrong_key_is_refused(client: AsyncOpenAI) -> None:
    with pytest.raises(AuthenticationError) as raised:
        await client.with_options(api_key="ak-wrong").audio.transcriptions.create(
            file=FILE, model="whisper-1", extra_headers={"Authorization": "Bearer ak-wrong"}
        )
    assert raised.value.code == "invalid_api_key"


# OpenAI has deprecated translations in general; here they stay.
@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")
async def test_a_translation_is_asked_for_and_answered(server: Server, client: AsyncOpenAI) -> None:
    answer = await client.audio.translations.create(file=FILE, model="whisper-1", prompt="Ray")
    assert answer.to_dict() == {"text": RESULT.text}
    assert (server.ears.requests[-1].translate, server.ears.requests[-1].prompt) == (True, "Ray")
    assert server.ears.upload_is_gone()


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")
async def test_a_verbose_translation_is_english(server: Server, client: AsyncOpenAI) -> None:
    server.ears.steps = (RESULT.model_copy(update={"language": "de"}),)
    answer = await client.audio.translations.create(
        file=FILE, model="whisper-1", response_format="verbose_json"
    )
    assert answer.language == "english"
    assert answer.segments is not None
    assert answer.to_dict()["task"] == "translate"


async def test_a_translation_does_not_stream(server: Server, http: httpx2.AsyncClient) -> None:
    answer = await http.post("/v1/audio/translations", files={"file": FILE}, data={"stream": "true"})
    assert answer.json() == {"text": RESULT.text}
