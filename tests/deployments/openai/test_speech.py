import base64
import json
from typing import Any

import httpx2
import pytest
from openai import AsyncOpenAI, AuthenticationError, BadRequestError, InternalServerError, NotFoundError

from deployments.errors import BadRequest, ModelNotFound
from deployments.gateway import Gateway
from deployments.routers.openai.speech import find_voice
from pipelines.errors import EngineError, InvalidInput
from tests.deployments.openai.fakes import Server

PIECES = (b"", b"ID3first", b"second", b"")
AUDIO = b"ID3firstsecond"


@pytest.fixture
def server(server: Server) -> Server:
    server.joe.steps = PIECES
    server.alloy.steps = (b"alloy",)
    return server


@pytest.mark.parametrize(
    ("response_format", "content_type"),
    [
        ("mp3", "audio/mpeg"),
        ("opus", "audio/ogg"),
        ("aac", "audio/aac"),
        ("flac", "audio/flac"),
        ("wav", "audio/wav"),
        ("pcm", "audio/pcm"),
    ],
)
async def test_every_format_is_asked_for_and_named(
    server: Server, client: AsyncOpenAI, response_format: Any, content_type: str
) -> None:
    speech = client.audio.speech.with_streaming_response
    async with speech.create(
        model="tts-1", voice="echo", input="Hello", response_format=response_format
    ) as answer:
        assert answer.headers["content-type"] == content_type
        assert b"".join([chunk async for chunk in answer.iter_bytes()]) == AUDIO
    assert server.joe.requests[-1].response_format == response_format


async def test_mp3_at_the_voices_own_pace_is_the_default(server: Server, client: AsyncOpenAI) -> None:
    answer = await client.audio.speech.create(model="tts-1", voice="echo", input=" Hello ")
    assert answer.content == AUDIO
    (request,) = server.joe.requests
    assert (request.text, request.speed, request.response_format) == ("Hello", 1.0, "mp3")
    assert server.metrics.observed == [("text-to-speech", "piper-joe", "ok")]


async def test_the_fields_reach_the_voice(server: Server, client: AsyncOpenAI) -> None:
    await client.audio.speech.create(
        model="gpt-4o-mini-tts",
        voice={"id": "NOVA"},
        input="Hello",
        speed=1.5,
        instructions="Whisper.",
        extra_body={"speaker": "7", "response_format": None},
    )
    (request,) = server.alloy.requests
    assert (request.speed, request.speaker, request.response_format) == (1.5, "7", "mp3")


@pytest.mark.parametrize(
    ("model", "voice", "speaker"),
    [
        (None, None, "piper-joe"),
        ("tts-1", None, "piper-joe"),
        ("tts-1-hd", None, "piper-joe"),
        ("gpt-4o-mini-tts-2025-12-15", None, "piper-joe"),
        ("hibari", None, "hibari"),
        ("hibari", "", "hibari"),
        ("tts-1", "alloy", "hibari"),
        (None, "Alloy", "hibari"),
        ("piper-joe", "alloy", "hibari"),
    ],
)
def test_the_voice_decides_then_the_model(
    server: Server, model: str | None, voice: str | None, speaker: str
) -> None:
    assert find_voice(gateway_of(server), model, voice).id == speaker


def test_an_unknown_voice_is_an_error_that_lists_them(server: Server) -> None:
    with pytest.raises(BadRequest, match="piper-joe, tts-1, echo, hibari, alloy, nova"):
        find_voice(gateway_of(server), "hibari", "siri")


def test_an_unknown_model_is_an_error_though_the_voice_is_known(server: Server) -> None:
    with pytest.raises(ModelNotFound, match="piper-joe, hibari"):
        find_voice(gateway_of(server), "piper-jo", "alloy")


def gateway_of(server: Server) -> Gateway:
    gateway: Gateway = server.api.state.services.gateway
    return gateway


async def test_events_carry_the_audio_as_base64(server: Server, client: AsyncOpenAI) -> None:
    speech = client.audio.speech.with_streaming_response
    async with speech.create(
        model="gpt-4o-mini-tts", voice="echo", input="Hello", stream_format="sse"
    ) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = [line async for line in answer.iter_lines() if line]
    events = [json.loads(line.removeprefix("data: ")) for line in lines]
    *deltas, done = events
    assert {delta["type"] for delta in deltas} == {"speech.audio.delta"}
    assert b"".join(base64.b64decode(delta["audio"]) for delta in deltas) == AUDIO
    assert done["type"] == "speech.audio.done"
    assert done["usage"].keys() == {"input_tokens", "output_tokens", "total_tokens"}


async def test_an_error_in_mid_stream_is_the_last_event(server: Server, http: httpx2.AsyncClient) -> None:
    server.joe.steps = (b"first", EngineError("the engine gave up"))
    answer = await http.post("/v1/audio/speech", json={"input": "Hello", "stream_format": "sse"})
    name, data = answer.text.rstrip().splitlines()[-2:]
    assert name == "event: error"
    assert json.loads(data.removeprefix("data: "))["error"]["message"] == "the engine gave up"


@pytest.mark.parametrize(
    ("fields", "param", "message"),
    [
        ({"input": ""}, "input", "must not be empty"),
        ({"input": " \n"}, "input", "must not be empty"),
        ({}, "input", "must not be empty"),
        ({"input": ["Hello"]}, "input", "must be text"),
        ({"input": "a" * 20_001}, "input", "at most 20000 characters"),
        ({"input": "Hello", "speed": 5}, "speed", "at most 4"),
        ({"input": "Hello", "response_format": "ogg"}, "response_format", "'mp3', 'opus', 'aac'"),
        ({"input": "Hello", "stream_format": "ws"}, "stream_format", "'audio' or 'sse'"),
        ({"input": "Hello", "voice": "siri"}, "voice", "Available: piper-joe"),
        ({"input": "Hello", "voice": 7}, "voice", "must be text"),
    ],
)
async def test_a_wrong_field_is_named(
    server: Server, http: httpx2.AsyncClient, fields: dict[str, Any], param: str, message: str
) -> None:
    answer = await http.post("/v1/audio/speech", json=fields)
    error = answer.json()["error"]
    assert (answer.status_code, error["type"], error["param"]) == (400, "invalid_request_error", param)
    assert message in error["message"]
    assert server.joe.requests == []


async def test_a_text_above_openais_limit_is_spoken(server: Server, client: AsyncOpenAI) -> None:
    answer = await client.audio.speech.create(model="tts-1", voice="echo", input="a" * 20_000)
    assert answer.content == AUDIO


async def test_what_the_pipeline_refuses_names_the_field_of_the_wire(
    server: Server, client: AsyncOpenAI
) -> None:
    server.joe.steps = (InvalidInput("nothing in it can be spoken", "text"),)
    with pytest.raises(BadRequestError, match="nothing in it") as raised:
        await client.audio.speech.create(model="tts-1", voice="echo", input="...")
    assert raised.value.param == "input"


async def test_an_error_before_the_first_sound_is_an_http_error(server: Server, client: AsyncOpenAI) -> None:
    server.joe.steps = (EngineError("the engine gave up"),)
    with pytest.raises(InternalServerError, match="gave up"):
        await client.audio.speech.create(model="tts-1", voice="echo", input="Hello")


async def test_an_unknown_model_is_not_found(client: AsyncOpenAI) -> None:
    with pytest.raises(NotFoundError, match="piper-joe, hibari") as raised:
        await client.audio.speech.create(model="kokoro", voice="alloy", input="Hello")
    assert (raised.value.code, raised.value.param) == ("model_not_found", "model")


async def test_a_key_is_needed(client: AsyncOpenAI) -> None:
    with pytest.raises(AuthenticationError):
        await client.audio.speech.create(
            model="tts-1", voice="echo", input="Hello", extra_headers={"Authorization": "Bearer ak-wrong"}
        )
