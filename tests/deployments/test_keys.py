"""Who may call."""

from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from tests.deployments.conftest import KEY, LIMITS, client_of, refusal, stored_files


class TestKeys:
    @pytest.mark.parametrize(
        "headers",
        [
            {"Authorization": f"Bearer {KEY}"},
            {"authorization": f"bearer {KEY}"},
            {"X-Api-Key": KEY},
            {"x-api-key": KEY},
            {"Authorization": "Bearer wrong", "X-Api-Key": KEY},
        ],
    )
    async def test_a_key_opens(self, stranger: httpx.AsyncClient, headers: dict[str, str]) -> None:
        answer = await stranger.post("/api/TextToSpeech", json={"input": "one"}, headers=headers)
        assert answer.status_code == 200

    @pytest.mark.parametrize(
        "headers",
        [{}, {"Authorization": f"Bearer {KEY[:-1]}"}, {"Authorization": f"Basic {KEY}"}, {"X-Api-Key": "ü"}],
    )
    async def test_anything_else_does_not(self, stranger: httpx.AsyncClient, headers: dict[str, str]) -> None:
        encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
        answer = await stranger.post("/api/TextToSpeech", json={"input": "one"}, headers=encoded)
        assert refusal(answer, 401) == {"errorCode": "Unauthorized", "message": "Invalid API Key"}

    async def test_a_stranger_uploads_nothing(self, app: FastAPI, tmp_path: Path) -> None:
        read = 0

        async def body() -> Any:
            nonlocal read
            read += 1
            yield bytes(LIMITS.upload_bytes // 2)

        async with client_of(app) as stranger:
            headers = {"Content-Type": "multipart/form-data; boundary=b"}
            answer = await stranger.post("/api/SpeechToText", content=body(), headers=headers)
        assert (answer.status_code, read) == (401, 0)
        assert stored_files(tmp_path) == []
