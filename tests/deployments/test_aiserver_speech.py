"""The operations on speech, as AI Server's clients see them."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from cluster.artifacts.local import LocalArtifactStore
from configs.schema import IngressConfig, ServerConfig
from deployments.api import create_api
from deployments.gateway import Gateway
from deployments.services import Services
from tests.deployments.conftest import KEY, client_of, refusal, stored_files
from tests.deployments.fakes import LineReader, ListMetrics

AUDIO = {"audio": ("talk.wav", b"first line\nsecond \xc3\xbc line", "audio/wav")}


class TestSpeechToText:
    async def test_two_results_under_the_names_of_both_generations(self, client: httpx.AsyncClient) -> None:
        body = (await client.post("/api/SpeechToText", files=AUDIO)).json()
        plain, timed = body["results"]
        assert plain == {"text": "first line second ü line"}
        assert json.loads(timed["text"]) == [
            {"text": "first line", "start": 0, "end": 2},
            {"text": "second ü line", "start": 2, "end": 3},
        ]
        assert body["textOutputs"] == body["results"]
        assert body["duration"].startswith("PT0")

    async def test_the_optional_fields_reach_the_pipeline(
        self, client: httpx.AsyncClient, listener: LineReader
    ) -> None:
        fields = {
            "model": "WHISPER-1",
            "language": "de",
            "prompt": "Ray",
            "temperature": "0.5",
            "task": "Task.TRANSLATE",
            "refId": "mine",
        }
        assert (await client.post("/api/SpeechToText", data=fields, files=AUDIO)).status_code == 200
        (request,) = listener.requests
        seen = (request.language, request.prompt, request.temperature, request.translate)
        assert seen == ("de", "Ray", 0.5, True)

    async def test_the_upload_is_gone_afterwards(self, client: httpx.AsyncClient, tmp_path: Path) -> None:
        await client.post("/api/SpeechToText", files=AUDIO)
        assert stored_files(tmp_path) == []

    async def test_the_pipelines_refusal_reaches_the_client(
        self, client: httpx.AsyncClient, tmp_path: Path
    ) -> None:
        answer = await client.post("/api/SpeechToText", files={"audio": ("a.wav", b"")})
        assert refusal(answer) == {
            "errorCode": "UnsupportedMedia",
            "message": "The file is empty. Send audio.",
            "errors": [
                {
                    "errorCode": "UnsupportedMedia",
                    "fieldName": "Audio",
                    "message": "The file is empty. Send audio.",
                }
            ],
        }
        assert stored_files(tmp_path) == []

    async def test_an_unknown_task_lists_the_known_ones(self, client: httpx.AsyncClient) -> None:
        answer = await client.post("/api/SpeechToText", data={"task": "sing"}, files=AUDIO)
        assert refusal(answer)["errors"][0]["fieldName"] == "Task"
        assert "'transcribe' or 'translate'" in refusal(answer)["message"]


class TestTextToSpeech:
    async def test_json(self, client: httpx.AsyncClient, artifacts: LocalArtifactStore) -> None:
        body = (await client.post("/api/TextToSpeech", json={"input": "one two"})).json()
        (result,) = body["results"]
        assert body["outputs"] == [result]
        assert result["provider"] == "ai-server"
        assert result["url"].startswith("http://server.test/artifacts/")
        assert result["url"].endswith(f"/0/{result['fileName']}")
        key = result["url"].removeprefix("http://server.test/artifacts/")
        assert artifacts.local_path(key).read_bytes().startswith(b"RIFF")

    @pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
    async def test_every_verb(self, client: httpx.AsyncClient, method: str) -> None:
        answer = await client.request(method, "/api/TextToSpeech", params={"Input": "one"})
        assert answer.status_code == 200

    @pytest.mark.parametrize("name", ["input", "Input", "INPUT", "text", "Text"])
    async def test_any_spelling_of_the_text(self, client: httpx.AsyncClient, name: str) -> None:
        assert (await client.post("/api/TextToSpeech", data={name: "one"})).status_code == 200

    @pytest.mark.parametrize("name", ["responseFormat", "response_format", "RESPONSEFORMAT"])
    @pytest.mark.parametrize("value", ["flac", "FLAC", "AudioFormat.FLAC"])
    async def test_any_spelling_of_the_format(self, client: httpx.AsyncClient, name: str, value: str) -> None:
        answer = await client.post("/api/TextToSpeech", data={"input": "one", name: value})
        assert answer.json()["results"][0]["fileName"].endswith(".flac")

    async def test_fields_that_clients_send_empty_count_as_not_sent(self, client: httpx.AsyncClient) -> None:
        empty = {"input": "one", "model": "", "seed": "", "speed": "", "responseFormat": "", "replyTo": ""}
        assert (await client.post("/api/TextToSpeech", data=empty)).status_code == 200
        nulls = {"input": "one", "model": None, "seed": 0, "speed": None, "unknown": {"a": 1}}
        assert (await client.post("/api/TextToSpeech", json=nulls)).status_code == 200

    @pytest.mark.parametrize("body", [{}, {"input": ""}, {"input": "  \n"}, {"input": None}])
    async def test_empty_text(self, client: httpx.AsyncClient, body: dict[str, Any]) -> None:
        assert refusal(await client.post("/api/TextToSpeech", json=body)) == {
            "errorCode": "NotEmpty",
            "message": "'Input' must not be empty.",
            "errors": [
                {"errorCode": "NotEmpty", "fieldName": "Input", "message": "'Input' must not be empty."}
            ],
        }

    async def test_no_body_at_all(self, client: httpx.AsyncClient) -> None:
        assert refusal(await client.post("/api/TextToSpeech"))["errorCode"] == "NotEmpty"

    async def test_a_misspelt_field_is_shown(self, client: httpx.AsyncClient) -> None:
        answer = await client.post("/api/TextToSpeech", json={"imput": "one", "speed": 1, "x" * 999: 1})
        message = refusal(answer)["message"]
        assert message.startswith("'Input' must not be empty. Received fields: imput, xxx")
        assert len(message) < 120

    async def test_text_over_the_tasks_limit(self, client: httpx.AsyncClient) -> None:
        answer = await client.post("/api/TextToSpeech", json={"input": "x" * 20_001})
        assert refusal(answer)["message"] == "'Input' must be at most 20000 characters long."
        assert refusal(answer)["errors"][0]["fieldName"] == "Input"

    @pytest.mark.parametrize(
        ("fields", "field", "message"),
        [
            ({"input": ["a"]}, "Input", "'Input' must be text. Received: ['a']"),
            ({"input": {"a": 1}}, "Input", "'Input' must be text. Received: {'a': 1}"),
            ({"input": "a", "speed": "fast"}, "Speed", "'Speed' must be a number. Received: 'fast'"),
            ({"input": "a", "speed": 9}, "Speed", "'Speed' must be at most 4.0. Received: 9.0"),
            (
                {"input": "a", "responseFormat": 7},
                "ResponseFormat",
                "'Response Format' must be 'mp3', 'opus', 'aac', 'flac', 'wav' or 'pcm'. Received: 7",
            ),
            ({"input": "a", "seed": "1.5"}, "Seed", "'Seed' must be a whole number. Received: '1.5'"),
            (
                {"input": "a", "responseFormat": "midi"},
                "ResponseFormat",
                "'Response Format' must be 'mp3', 'opus', 'aac', 'flac', 'wav' or 'pcm'. Received: 'midi'",
            ),
        ],
    )
    async def test_wrong_types_and_values(
        self, client: httpx.AsyncClient, fields: dict[str, Any], field: str, message: str
    ) -> None:
        status = refusal(await client.post("/api/TextToSpeech", json=fields))
        assert (status["errors"][0]["fieldName"], status["message"]) == (field, message)

    async def test_the_records_field_has_the_wires_name_in_a_pipelines_error(
        self, client: httpx.AsyncClient
    ) -> None:
        answer = await client.post("/api/TextToSpeech", json={"input": "unspeakable"})
        assert refusal(answer)["errors"][0]["fieldName"] == "Input"

    @pytest.mark.parametrize(
        ("fields", "model"),
        [
            ({}, "tone"),
            ({"model": "text-to-speech"}, "tone"),
            ({"model": "Second-Tone"}, "second-tone"),
            ({"voice": "second-tone"}, "second-tone"),
            ({"model": "second-tone", "voice": "Alloy"}, "tone"),
        ],
    )
    async def test_who_speaks(
        self, client: httpx.AsyncClient, metrics: ListMetrics, fields: dict[str, str], model: str
    ) -> None:
        await client.post("/api/TextToSpeech", json={"input": "one", **fields})
        assert metrics.observed == [("text-to-speech", model, "ok")]

    @pytest.mark.parametrize("name", ["model", "voice"])
    async def test_an_unknown_voice_lists_those_that_exist(
        self, client: httpx.AsyncClient, name: str
    ) -> None:
        status = refusal(await client.post("/api/TextToSpeech", json={"input": "a", name: "nobody"}), 404)
        assert status["errorCode"] == "NotFound"
        assert "tone, second-tone" in status["message"]
        assert status["errors"][0]["fieldName"] == name.title()

    async def test_a_task_that_nobody_serves(self, services: Services) -> None:
        empty = replace(services, gateway=Gateway(()))
        async with client_of(create_api(empty), **{"X-Api-Key": KEY}) as client:
            answer = await client.post("/api/TextToSpeech", json={"input": "one"})
        assert refusal(answer, 405)["errorCode"] == "NotSupportedException"

    async def test_result_urls_begin_with_the_configured_address(self, services: Services) -> None:
        config = ServerConfig(ingress=IngressConfig(public_url="https://ai.example/base/"))
        behind_proxy = replace(services, config=config)
        async with client_of(create_api(behind_proxy), **{"X-Api-Key": KEY}) as client:
            answer = await client.post("/api/TextToSpeech", json={"input": "one"})
        assert answer.json()["results"][0]["url"].startswith("https://ai.example/base/artifacts/2")


class TestBatch:
    @pytest.mark.parametrize("path", ["/api/TextToSpeech[]", "/api/TextToSpeech%5B%5D"])
    async def test_an_array_gives_an_array(self, client: httpx.AsyncClient, path: str) -> None:
        answer = await client.post(path, json=[{"input": "one"}, {"text": "two"}])
        assert [len(item["results"]) for item in answer.json()] == [1, 1]

    @pytest.mark.parametrize(
        ("body", "said"),
        [
            ({"input": "one"}, "JSON array"),
            ([1], "JSON array"),
            ([{}] * 101, "at most 100"),
            ([{}], "'Input'"),
        ],
    )
    async def test_refusals(self, client: httpx.AsyncClient, body: Any, said: str) -> None:
        assert said in refusal(await client.post("/api/TextToSpeech[]", json=body))["message"]


async def test_the_voices_are_public(stranger: httpx.AsyncClient) -> None:
    answer = await stranger.get("/api/QueryTextToSpeechVoices")
    assert answer.json() == {
        "results": [
            {"id": "tone", "model": "tone"},
            {"id": "alloy", "model": "tone"},
            {"id": "second-tone", "model": "second-tone"},
        ]
    }
