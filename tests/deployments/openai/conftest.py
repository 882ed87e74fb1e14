from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
from fastapi import FastAPI
from openai import AsyncOpenAI
from openai.resources import AsyncImages

from tests.deployments import conftest
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


@pytest.fixture
async def images_http(app: FastAPI) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of the application whose models draw."""
    transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
    headers = {"Authorization": f"Bearer {conftest.KEY}"}
    async with httpx2.AsyncClient(transport=transport, base_url="http://test", headers=headers) as client:
        yield client


@pytest.fixture
def images(images_http: httpx2.AsyncClient) -> AsyncImages:
    """OpenAI's client of it."""
    return AsyncOpenAI(
        api_key=conftest.KEY, base_url="http://test/v1", http_client=images_http, max_retries=0
    ).images
