"""That streams are incremental, and end when the client leaves or the engine fails."""

import asyncio
import json

import httpx2
import pytest

from pipelines.errors import EngineError
from pipelines.tasks.speech_to_text import Segment
from tests.deployments.exchange import exchange
from tests.deployments.openai.fakes import KEY, Server

SEGMENT = Segment(id=0, start_s=0, end_s=1, text=" yes")
SPEECH = "/v1/audio/speech"
TRANSCRIPTIONS = "/v1/audio/transcriptions"
AUTH = {"Authorization": f"Bearer {KEY}"}


def spoken_request() -> tuple[dict[str, str], bytes]:
    return {**AUTH, "Content-Type": "application/json"}, json.dumps({"input": "Hello"}).encode()


def heard_request() -> tuple[dict[str, str], bytes]:
    request = httpx2.Request(
        "POST", "http://test", files={"file": ("a.wav", b"RIFF")}, data={"stream": "true"}
    )
    return {**AUTH, "Content-Type": request.headers["content-type"]}, request.read()


async def test_speech_arrives_before_the_rest_is_spoken(server: Server) -> None:
    rest = asyncio.Event()
    server.joe.steps = (b"first", rest.wait, b"second")
    async with exchange(server.api, SPEECH, *spoken_request()) as (talk, run):
        assert await talk.next_body() == b"first"
        rest.set()
        assert await talk.next_body() == b"second"
        assert await talk.next_body() == b""
        await run


async def test_text_arrives_before_the_rest_is_heard(server: Server) -> None:
    server.ears.steps = (SEGMENT, asyncio.Event().wait)
    async with exchange(server.api, TRANSCRIPTIONS, *heard_request()) as (talk, _):
        assert b'"delta":"yes"' in await talk.next_body()
        assert not server.ears.upload_is_gone()


async def test_a_client_that_leaves_ends_the_work_and_its_upload(server: Server) -> None:
    server.ears.steps = (SEGMENT, asyncio.Event().wait)
    async with exchange(server.api, TRANSCRIPTIONS, *heard_request()) as (talk, run):
        await talk.next_body()
        talk.leave()
        await run
    assert server.ears.closed.is_set()
    assert server.ears.upload_is_gone()
    assert server.metrics.observed == [("speech-to-text", "whisper-base", "disconnected")]


async def test_a_cancelled_exchange_ends_the_work_and_its_upload(server: Server) -> None:
    server.ears.steps = (SEGMENT, asyncio.Event().wait)
    async with exchange(server.api, TRANSCRIPTIONS, *heard_request()) as (talk, run):
        await talk.next_body()
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
    assert server.ears.closed.is_set()
    assert server.ears.upload_is_gone()


async def test_a_listener_that_leaves_ends_the_speech(server: Server) -> None:
    server.joe.steps = (b"first", asyncio.Event().wait)
    async with exchange(server.api, SPEECH, *spoken_request()) as (talk, run):
        await talk.next_body()
        talk.leave()
        await run
    assert server.joe.closed.is_set()


async def test_audio_that_fails_half_way_breaks_the_connection(server: Server) -> None:
    server.joe.steps = (b"first", EngineError("the engine gave up"))
    async with exchange(server.api, SPEECH, *spoken_request()) as (talk, run):
        assert await talk.next_body() == b"first"
        with pytest.raises(EngineError):
            await run
        assert talk.sent.empty()
    assert server.metrics.observed == [("text-to-speech", "piper-joe", "EngineError")]
