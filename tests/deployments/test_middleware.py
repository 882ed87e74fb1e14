import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.responses import StreamingResponse

from deployments.errors import BadRequest
from tests.deployments.conftest import KEY, LIMITS, client_of


def access_lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return [json.loads(record.message) for record in caplog.records if record.name == "ai_server.access"]


class TestRequestId:
    async def test_a_sane_id_of_the_client_is_kept(self, stranger: httpx.AsyncClient) -> None:
        answer = await stranger.get("/up", headers={"X-Request-Id": "trace-42/a.b"})
        assert answer.headers["x-request-id"] == "trace-42/a.b"

    @pytest.mark.parametrize("presented", ["", "x" * 129, "two words", 'a"b'])
    async def test_any_other_is_replaced(self, stranger: httpx.AsyncClient, presented: str) -> None:
        answer = await stranger.get("/up", headers={"X-Request-Id": presented})
        assert len(answer.headers["x-request-id"]) == 32

    @pytest.mark.parametrize("path", ["/nowhere", "/api/TextToSpeech"])
    async def test_errors_carry_it_too(self, stranger: httpx.AsyncClient, path: str) -> None:
        answer = await stranger.get(path, headers={"X-Request-Id": "mine"})
        assert answer.status_code >= 400
        assert answer.headers["x-request-id"] == "mine"


class TestAccessLog:
    async def test_a_request_is_one_line_of_json(
        self, client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO, "ai_server.access")
        answer = await client.post(
            "/api/TextToSpeech?tag=secret", json={"input": "one two"}, headers={"X-Request-Id": "r1"}
        )
        (line,) = access_lines(caplog)
        assert line.pop("duration_ms") > 0
        assert line == {
            "method": "POST",
            "path": "/api/TextToSpeech",
            "route": "/api/TextToSpeech",
            "status": 200,
            "complete": True,
            "request_id": "r1",
            "api_key_id": "0",
            "task": "text-to-speech",
            "model": "tone",
            "bytes_in": len(answer.request.content),
            "bytes_out": len(answer.content),
            "client": "127.0.0.1",
        }
        assert "secret" not in caplog.text

    @pytest.mark.parametrize("path", ["/up", "/ready"])
    async def test_the_probes_of_machines_are_not_logged(
        self, stranger: httpx.AsyncClient, caplog: pytest.LogCaptureFixture, path: str
    ) -> None:
        caplog.set_level(logging.INFO, "ai_server.access")
        assert (await stranger.get(path)).status_code == 200
        assert access_lines(caplog) == []

    async def test_refused_requests_are_logged_with_what_is_known(
        self, stranger: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO, "ai_server.access")
        await stranger.post("/api/TextToSpeech", json={"input": "one"})
        (line,) = access_lines(caplog)
        assert (line["status"], line["api_key_id"], line["bytes_in"]) == (401, None, 0)


class TestBodyCap:
    async def test_a_declared_size_over_the_cap_is_refused_unread(self, client: httpx.AsyncClient) -> None:
        read: list[bytes] = []

        async def body() -> AsyncIterator[bytes]:
            read.append(b"")
            yield b"x"

        headers = {"Content-Length": "900000000", "Content-Type": "multipart/form-data; boundary=b"}
        answer = await client.post("/api/SpeechToText", content=body(), headers=headers)
        assert answer.status_code == 413
        assert answer.headers["connection"] == "close"
        assert answer.json()["responseStatus"]["errorCode"] == "RequestEntityTooLarge"
        assert "limits.upload_bytes" in answer.json()["responseStatus"]["message"]
        assert read == []

    async def test_a_body_without_length_is_cut(self, client: httpx.AsyncClient) -> None:
        sent = 0

        async def body() -> AsyncIterator[bytes]:
            nonlocal sent
            yield b'--b\r\nContent-Disposition: form-data; name="audio"; filename="a.wav"\r\n\r\n'
            while sent < 100 * LIMITS.upload_bytes:
                sent += 100_000
                yield bytes(100_000)

        headers = {"Content-Type": "multipart/form-data; boundary=b"}
        answer = await client.post("/api/SpeechToText", content=body(), headers=headers)
        assert answer.status_code == 413
        assert answer.headers["connection"] == "close"
        assert sent <= LIMITS.upload_bytes + 100_000

    async def test_bodies_without_files_have_a_lower_cap(self, client: httpx.AsyncClient) -> None:
        answer = await client.post("/api/TextToSpeech", json={"input": "x" * LIMITS.json_bytes})
        assert answer.status_code == 413
        assert "limits.json_bytes" in answer.json()["responseStatus"]["message"]

    @pytest.mark.parametrize("content_type", ["multipart/mixed; boundary=b", "multipart/form-datax", ""])
    async def test_other_bodies_do_not_get_the_cap_of_files(
        self, client: httpx.AsyncClient, content_type: str
    ) -> None:
        content = bytes(LIMITS.json_bytes + 1)
        answer = await client.post(
            "/api/SpeechToText", content=content, headers={"Content-Type": content_type}
        )
        assert answer.status_code == 413

    async def test_openai_clients_get_their_own_format(self, client: httpx.AsyncClient) -> None:
        answer = await client.post("/v1/audio/speech", json={"input": "x" * LIMITS.json_bytes})
        assert answer.status_code == 413
        assert answer.json()["error"]["type"] == "invalid_request_error"


class TestFailures:
    async def test_an_unexpected_exception_is_logged_but_not_shown(
        self, app: FastAPI, caplog: pytest.LogCaptureFixture
    ) -> None:
        @app.get("/v1/broken")
        async def broken() -> None:
            raise ZeroDivisionError("a secret of the server")

        async with client_of(app) as client:
            answer = await client.get("/v1/broken", headers={"X-Request-Id": "r7"})
        assert answer.status_code == 500
        assert answer.json()["error"]["type"] == "server_error"
        assert "secret" not in answer.text
        assert "ZeroDivisionError: a secret of the server" in caplog.text
        assert "r7" in caplog.text

    async def test_an_error_inside_a_stream_breaks_the_connection(
        self, app: FastAPI, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def numbers() -> AsyncIterator[bytes]:
            yield b"1"
            raise BadRequest("too late for a status")

        @app.get("/broken-stream")
        async def broken_stream() -> StreamingResponse:
            return StreamingResponse(numbers())

        transport = httpx.ASGITransport(app=app, raise_app_exceptions=True)
        async with httpx.AsyncClient(transport=transport, base_url="http://server.test") as client:
            with pytest.raises(BadRequest):
                await client.get("/broken-stream")
        assert "Broke off" in caplog.text


class TestDisconnect:
    async def test_a_client_that_leaves_half_way_is_logged_quietly(
        self, app: FastAPI, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO)
        messages: list[dict[str, Any]] = [
            {"type": "http.request", "body": b'{"input":', "more_body": True},
            {"type": "http.disconnect"},
        ]
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            return messages.pop(0)

        async def send(message: Any) -> None:
            sent.append(message)

        await app(post_scope("/api/TextToSpeech", "application/json"), receive, send)
        assert sent == []
        (line,) = access_lines(caplog)
        assert (line["status"], line["complete"]) == (499, False)
        assert "Traceback" not in caplog.text


async def test_what_is_no_request_passes_all_layers(app: FastAPI) -> None:
    messages = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    answers: list[Any] = []

    async def receive() -> dict[str, Any]:
        return messages.pop(0)

    async def send(message: Any) -> None:
        answers.append(message["type"])

    await app({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, receive, send)
    assert answers == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


def post_scope(path: str, content_type: str) -> dict[str, Any]:
    """Make the ASGI scope of a POST with a valid key."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [
            (b"host", b"server.test"),
            (b"authorization", f"Bearer {KEY}".encode()),
            (b"content-type", content_type.encode()),
        ],
        "client": ("127.0.0.1", 1),
        "server": ("server.test", 80),
    }
