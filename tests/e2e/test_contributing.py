"""Adding a model as CONTRIBUTING.md describes: a file, an entry in the configuration, nothing else."""

import httpx
import numpy as np
import pytest

pytestmark = pytest.mark.e2e


def test_a_newcomers_pipeline_answers_on_every_route_of_its_task(client: httpx.Client) -> None:
    body = {"input": "one two three", "voice": "beeper", "response_format": "pcm"}
    beeps = np.frombuffer(client.post("/v1/audio/speech", json=body).content, np.int16)
    assert len(beeps) == pytest.approx(3 * 0.1 * 24_000, rel=0.02)
    spectrum = np.abs(np.fft.rfft(beeps))
    assert np.argmax(spectrum) * 24_000 / len(beeps) == pytest.approx(880, abs=10)
    answer = client.post("/api/TextToSpeech", json={"input": "one", "model": "beeper"})
    assert answer.json()["results"][0]["url"].endswith(".wav")


def test_a_newcomers_pipeline_is_listed(client: httpx.Client) -> None:
    assert "beeper" in [model["id"] for model in client.get("/v1/models").json()["data"]]
    models = {model["id"]: model["state"] for model in client.get("/ready").json()["models"]}
    assert models["beeper"] == "ready"
