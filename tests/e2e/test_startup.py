"""What the operator sees: the banner, /ready, /metrics of the models, and a model that cannot load."""

import io
import json
import re
import subprocess
import time
from pathlib import Path

import httpx
import pytest
from PIL import Image

from tests.e2e.conftest import Server

pytestmark = pytest.mark.e2e


def test_the_banner_says_what_a_newcomer_needs(server: Server) -> None:
    assert f"AI Server is ready, without lost-voice (cpu): {server.url}" in server.banner
    assert str(server.data_dir / "api-key") in server.banner
    assert "Providers: groq, ollama   (set OPENAI_API_KEY, " in server.banner
    assert re.search(r"Dashboard: http://127\.0\.0\.1:\d+", server.banner)


def test_the_banners_request_works_when_it_is_pasted(server: Server, tmp_path: Path) -> None:
    command = server.banner[server.banner.index("curl ") : server.banner.index("Ctrl-C")]
    paste = ["bash", "-c", f"{command.strip()} --silent --fail"]
    pasted = subprocess.run(paste, cwd=tmp_path, check=True, capture_output=True, text=True)
    (result,) = json.loads(pasted.stdout)["results"]
    picture = Image.open(io.BytesIO(httpx.get(result["url"]).content))
    assert picture.size == (result["width"], result["height"])


def test_the_key_is_readable_by_its_owner_alone(server: Server) -> None:
    assert (server.data_dir / "api-key").stat().st_mode & 0o777 == 0o600


def test_a_model_that_cannot_load_is_named_with_the_remedy_and_the_rest_serve(server: Server) -> None:
    answer = httpx.get(f"{server.url}/ready", timeout=30)
    models = {model["id"]: model for model in answer.json()["models"]}
    assert answer.status_code == 200
    assert models["lost-voice"]["state"] == "unavailable"
    assert "voices/lost.onnx" in models["lost-voice"]["detail"]
    assert models["piper-joe"]["state"] == models["whisper-base"]["state"] == "ready"
    assert "lost-voice: unavailable. lost-voice: no weights" in server.banner


def test_asking_a_model_that_cannot_load_gives_the_remedy(client: httpx.Client) -> None:
    answer = client.post("/v1/audio/speech", json={"input": "hello", "voice": "lost-voice"})
    assert answer.status_code == 503
    assert "Put the files into one of the folders" in answer.json()["error"]["message"]


def test_a_sleeping_model_wakes_with_its_first_request(client: httpx.Client, spoken: bytes) -> None:
    answer = client.post(
        "/v1/audio/transcriptions", files={"file": spoken}, data={"model": "whisper-tiny-en"}
    )
    assert "fox" in answer.json()["text"]


def test_the_metrics_count_what_was_done(server: Server, client: httpx.Client) -> None:
    client.post("/api/TextToSpeech", json={"input": "One.", "model": "hibari"}).raise_for_status()
    counted = re.compile(r'ray_ai_server_requests_total\{[^}]*model="hibari"')
    deadline = time.monotonic() + 60  # Ray exports its metrics every 10 s
    while not counted.search(httpx.get(server.metrics_url, timeout=30).text):
        assert time.monotonic() < deadline, "the call was not counted"
