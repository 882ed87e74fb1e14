import httpx
import pytest

from cluster.artifacts.local import LocalArtifactStore
from cluster.artifacts.store import Area, ArtifactNotFound
from tests.deployments.stored import Put, picture


@pytest.fixture
def put(artifacts: LocalArtifactStore) -> Put:
    return Put(artifacts)


async def test_deleting_a_file_removes_it_and_its_variants(
    client: httpx.AsyncClient, put: Put, artifacts: LocalArtifactStore
) -> None:
    key = put(picture(80, 40), "png")
    await client.get(f"/variants/width=40/{key}")
    answer = await client.delete(f"/files/{key}")
    assert (answer.status_code, answer.content) == (204, b"")
    assert (await client.get(f"/artifacts/{key}")).status_code == 404
    assert (await client.get(f"/variants/width=40/{key}")).status_code == 404
    with pytest.raises(ArtifactNotFound):
        artifacts.stat(key.removesuffix(".png") + "_40w.webp")
    assert (await client.delete(f"/files/{key}")).status_code == 404


async def test_only_its_owner_deletes_a_file(
    client: httpx.AsyncClient, stranger: httpx.AsyncClient, put: Put
) -> None:
    own, other = put(b"sound"), put(b"sound", owner="other")
    assert (await stranger.delete(f"/files/{own}")).status_code == 401
    answer = await client.delete(f"/files/{other}")
    assert answer.status_code == 403
    assert answer.json()["responseStatus"]["errorCode"] == "Forbidden"
    for key in (own, other):
        assert (await client.get(f"/artifacts/{key}")).status_code == 200


@pytest.mark.parametrize("path", ["0", "x", "", "../0/x"])
async def test_a_path_that_is_nobodys_is_not_deleted(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.delete(f"/files/{path}")).status_code in (403, 404)


async def test_delete_files_sorts_paths_by_what_became_of_them(client: httpx.AsyncClient, put: Put) -> None:
    first, second, other = put(b"1"), put(b"2", area=Area.INPUT), put(b"3", owner="other")
    paths = [
        f"/artifacts/{first}",
        second,
        f"http://server.test/artifacts/{first}",
        other,
        "x",
        "../../0/api-key",
    ]
    answer = await client.post("/api/DeleteFiles", json={"paths": paths})
    assert answer.status_code == 200
    assert answer.json() == {
        "deleted": paths[:2],
        "missing": [paths[2], paths[5]],
        "failed": [other, "x"],
    }
    assert (await client.get(f"/artifacts/{first}")).status_code == 404
    assert (await client.get(f"/artifacts/{other}")).status_code == 200


async def test_delete_files_reads_forms_too(client: httpx.AsyncClient, put: Put) -> None:
    first, second = put(b"1"), put(b"2")
    assert (await client.post("/api/DeleteFiles", data={"Paths": f"{first},x"})).json()["deleted"] == [first]
    assert (await client.post("/api/DeleteFiles", data={"paths[]": [second]})).json()["deleted"] == [second]


async def test_delete_files_needs_paths_and_a_key(
    client: httpx.AsyncClient, stranger: httpx.AsyncClient
) -> None:
    answer = await client.post("/api/DeleteFiles", json={"files": []})
    assert answer.status_code == 400
    assert answer.json()["responseStatus"]["errors"][0]["fieldName"] == "Paths"
    assert (await stranger.post("/api/DeleteFiles", json={"paths": []})).status_code == 401
