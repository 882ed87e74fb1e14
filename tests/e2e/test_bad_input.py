"""What a real server says to input that it cannot use: in words, in the caller's format, at once."""

import json
import socket
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest

from tests.e2e.conftest import UPLOAD_LIMIT_BYTES, Server

pytestmark = pytest.mark.e2e


def silence(seconds: float) -> bytes:
    data = np.zeros(int(16_000 * seconds), np.int16).tobytes()
    shape = (16, 1, 1, 16_000, 32_000, 2, 16)
    riff = struct.pack("<4sI8s", b"RIFF", 36 + len(data), b"WAVEfmt ")
    return riff + struct.pack("<IHHIIHH", *shape) + struct.pack("<4sI", b"data", len(data)) + data


def png_bomb() -> bytes:
    """A PNG of a few bytes whose header claims 50,000 x 50,000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 1000))


def told(answer: httpx.Response) -> tuple[int, str, str]:
    """Give status, field and message of AI Server's error."""
    status = answer.json()["responseStatus"]
    return answer.status_code, status["errors"][0]["fieldName"], status["message"]


@pytest.mark.parametrize(
    ("path", "options", "field", "message"),
    [
        ("TextToSpeech", {"content": b""}, "Input", "must not be empty"),
        ("TextToSpeech", {"json": {"inputs": "x"}}, "Input", "Received fields: inputs"),
        ("TextToSpeech", {"json": {"input": " "}}, "Input", "must not be empty"),
        ("TextToSpeech", {"json": {"input": "x", "speed": "fast"}}, "Speed", "must be a number"),
        ("TextToSpeech", {"json": {"input": "x" * 25_000}}, "Input", "20000"),
        ("SpeechToText", {"files": {"audio": b"This is not audio."}}, "Audio", ""),
        ("SpeechToText", {"files": {"audio": silence(0)}}, "Audio", ""),
        ("SpeechToText", {"files": {"sound": b"x"}}, "Audio", "Received fields: sound"),
        ("ScaleImage", {"files": {"image": png_bomb()}, "data": {"width": 9}}, "Image", "50000"),
        ("ScaleImage", {"files": {"image": b"\x89PNG\r\n\x1a\n"}, "data": {"width": 9}}, "Image", ""),
    ],
)
def test_bad_input_is_refused_with_the_field_and_the_fix(
    client: httpx.Client, path: str, options: dict[str, object], field: str, message: str
) -> None:
    status, named, said = told(client.post(f"/api/{path}", **options))  # type: ignore[arg-type]
    assert (status, named) == (400, field)
    assert message in said


def test_ten_kilobytes_of_text_are_spoken(client: httpx.Client) -> None:
    body = {"input": "word " * 2_000, "voice": "hibari", "response_format": "wav"}
    assert client.post("/v1/audio/speech", json=body).status_code == 200


def test_silence_has_no_text(client: httpx.Client) -> None:
    answer = client.post("/v1/audio/transcriptions", files={"file": silence(5)})
    assert answer.json()["text"] == ""


def test_an_unknown_voice_lists_those_that_exist(client: httpx.Client) -> None:
    answer = client.post("/api/TextToSpeech", json={"input": "x", "model": "nobody"})
    assert answer.status_code == 404
    assert "piper-joe, hibari" in answer.json()["responseStatus"]["message"]


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer ak-wrong"}, {"X-Api-Key": "ak-wrong"}])
def test_without_a_valid_key_nothing_opens(server: Server, headers: dict[str, str]) -> None:
    answer = httpx.post(f"{server.url}/api/TextToSpeech", headers=headers, json={"input": "x"})
    assert answer.status_code == 401
    assert answer.json()["responseStatus"]["errorCode"] == "Unauthorized"
    answer = httpx.get(f"{server.url}/v1/models", headers=headers)
    assert answer.json()["error"]["code"] == "invalid_api_key"


def test_a_body_over_the_cap_is_refused_before_it_is_read(server: Server) -> None:
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(
            f"POST /api/SpeechToText HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {server.key}\r\n"
            "Content-Type: multipart/form-data; boundary=b\r\n"
            f"Content-Length: {UPLOAD_LIMIT_BYTES + 1}\r\n\r\n--b\r\n".encode()
        )
        answer = connection.recv(65_536).decode()
    assert answer.startswith("HTTP/1.1 413")


def test_a_chunked_body_over_the_cap_is_cut(client: httpx.Client, server: Server) -> None:
    def endless() -> Iterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="audio"; filename="a.wav"\r\n\r\n'
        for _ in range(UPLOAD_LIMIT_BYTES // 1_000_000 + 5):
            yield b"\0" * 1_000_000

    try:
        answer = client.post(
            "/api/SpeechToText",
            content=endless(),
            headers={"Content-Type": "multipart/form-data; boundary=b"},
        )
    except httpx.WriteError:
        return  # the connection was closed while we were still sending, as the server may
    assert answer.status_code == 413


def test_a_client_that_leaves_half_way_leaves_nothing_behind(server: Server, client: httpx.Client) -> None:
    before = uploads_of(server)  # those of queued jobs stay for a day
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(
            f"POST /api/SpeechToText HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {server.key}\r\n"
            "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 5000000\r\n\r\n"
            '--b\r\nContent-Disposition: form-data; name="audio"; filename="a.wav"\r\n\r\n'.encode()
            + b"\0" * 1_000_000
        )
    # The next answer shows that the server lives; by then nothing of the upload may be left.
    assert client.post("/v1/audio/transcriptions", files={"file": silence(1)}).status_code == 200
    assert uploads_of(server) == before


def uploads_of(server: Server) -> set[Path]:
    return {path for path in (server.data_dir / "artifacts" / "input").rglob("*") if path.is_file()}


def test_the_access_log_is_json_and_the_request_id_comes_back(client: httpx.Client) -> None:
    answer = client.get("/up", headers={"X-Request-Id": "my-id-1"})
    assert answer.headers["x-request-id"] == "my-id-1"
    assert json.dumps(answer.text) == '"Healthy"'
