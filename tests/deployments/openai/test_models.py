import httpx2
import pytest
from openai import AsyncOpenAI, AuthenticationError, NotFoundError


async def test_the_models_are_listed_but_not_the_transforms(client: AsyncOpenAI) -> None:
    models = [model async for model in await client.models.list()]
    assert [model.id for model in models] == ["whisper-base", "whisper-tiny-en", "piper-joe", "hibari"]


async def test_a_model_tells_its_tasks_and_aliases(client: AsyncOpenAI) -> None:
    model = (await client.models.retrieve("whisper-base")).to_dict()
    assert isinstance(model.pop("created"), int)
    assert model == {
        "id": "whisper-base",
        "object": "model",
        "owned_by": "ai-server",
        "tasks": ["speech-to-text"],
        "aliases": ["whisper-1", "org/whisper"],
    }


@pytest.mark.parametrize("name", ["whisper-1", "WHISPER-BASE", "org/whisper"])
async def test_aliases_find_their_model(client: AsyncOpenAI, name: str) -> None:
    assert (await client.models.retrieve(name)).id == "whisper-base"


async def test_an_unknown_model_lists_those_that_there_are(client: AsyncOpenAI) -> None:
    with pytest.raises(NotFoundError, match="whisper-base, whisper-tiny-en, piper-joe, hibari") as raised:
        await client.models.retrieve("gpt-2")
    assert (raised.value.code, raised.value.param) == ("model_not_found", "model")


@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/whisper-base"])
async def test_a_key_is_needed(http: httpx2.AsyncClient, client: AsyncOpenAI, path: str) -> None:
    del http.headers["Authorization"]
    assert (await http.get(path)).status_code == 401
    with pytest.raises(AuthenticationError):
        await client.models.list(extra_headers={"Authorization": "Bearer ak-wrong"})
