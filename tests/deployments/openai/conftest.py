from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
from openai import AsyncOpenAI

from tests.deployments.openai.fakes import KEY, Server, make_server


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    server = make_server(tmp_path)
    async with server.queue.keeper:
        yield server
    server.queue.database.close()


@pytest.fixture
async def http(server: Server) -> AsyncIterator[httpx2.AsyncClient]:
    transport = httpx2.ASGITransport(app=server.api, raise_app_exceptions=False)
    headers = {"Authorization": f"Bearer {KEY}"}
    async with httpx2.AsyncClient(transport=transport, base_url="http://test", headers=headers) as client:
        yield client


@pytest.fixture
def client(http: httpx2.AsyncClient) -> AsyncOpenAI:
    return AsyncOpenAI(api_key=KEY, base_url="http://test/v1", http_client=http, max_retries=0)
