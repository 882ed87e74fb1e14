import hashlib
import random
from email.utils import format_datetime

import httpx
import pytest

from cluster.artifacts.local import LocalArtifactStore
from cluster.artifacts.store import Area
from deployments.stored_files import CHUNK_BYTES
from tests.deployments.stored import Put

BIG = random.Random(1).randbytes(3 * CHUNK_BYTES + 7)


@pytest.fixture
def put(artifacts: LocalArtifactStore) -> Put:
    return Put(artifacts)


async def test_a_result_is_open_to_everybody_and_kept_for_ever(stranger: httpx.AsyncClient, put: Put) -> None:
    answer = await stranger.get(f"/artifacts/{put(b'sound')}")
    assert answer.status_code == 200
    assert answer.content == b"sound"
    assert answer.headers["content-type"] == "audio/wav"
    assert answer.headers["content-length"] == "5"
    assert answer.headers["etag"] == f'"{hashlib.sha256(b"sound").hexdigest()}"'
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "content-disposition" not in answer.headers
    assert "content-security-policy" not in answer.headers


@pytest.mark.parametrize("data", [b"", b"sound", BIG[:CHUNK_BYTES], BIG])
async def test_files_of_all_sizes_arrive_whole(stranger: httpx.AsyncClient, put: Put, data: bytes) -> None:
    answer = await stranger.get(f"/artifacts/{put(data)}")
    assert answer.content == data
    assert answer.headers["content-length"] == str(len(data))


async def test_head_tells_the_same_without_the_body(stranger: httpx.AsyncClient, put: Put) -> None:
    url = f"/artifacts/{put(BIG)}"
    whole = await stranger.get(url)
    head = await stranger.head(url, headers={"Range": "bytes=0-1"})
    assert head.status_code == 200
    assert head.content == b""
    varying = "x-request-id"
    assert {k: v for k, v in head.headers.items() if k != varying} == {
        k: v for k, v in whole.headers.items() if k != varying
    }


@pytest.mark.parametrize(
    ("extension", "media_type"),
    [
        ("webp", "image/webp"),
        ("avif", "image/avif"),
        ("jpg", "image/jpeg"),
        ("mp3", "audio/mpeg"),
        ("opus", "audio/ogg"),
        ("flac", "audio/flac"),
        ("pcm", "audio/pcm"),
        ("mp4", "video/mp4"),
        ("json", "application/json"),
        ("vtt", "text/vtt; charset=utf-8"),
        ("bin", "application/octet-stream"),
    ],
)
async def test_the_extension_tells_the_type(
    stranger: httpx.AsyncClient, put: Put, extension: str, media_type: str
) -> None:
    answer = await stranger.get(f"/artifacts/{put(b'data', extension)}")
    assert answer.headers["content-type"] == media_type


@pytest.mark.parametrize("extension", ["svg", "html", "xml"])
async def test_what_a_browser_could_run_is_saved_not_shown(
    stranger: httpx.AsyncClient, put: Put, extension: str
) -> None:
    answer = await stranger.get(f"/artifacts/{put(b'<script/>', extension)}")
    assert answer.headers["content-disposition"].startswith("attachment")
    assert "sandbox" in answer.headers["content-security-policy"]


async def test_download_names_the_file(stranger: httpx.AsyncClient, put: Put) -> None:
    key = put(b"sound")
    answer = await stranger.get(f"/artifacts/{key}?download=1")
    assert answer.headers["content-disposition"] == f'attachment; filename="{key.rpartition("/")[2]}"'


async def test_a_client_that_has_the_file_is_told_so(stranger: httpx.AsyncClient, put: Put) -> None:
    url = f"/artifacts/{put(b'sound')}"
    first = await stranger.get(url)
    etag, modified = first.headers["etag"], first.headers["last-modified"]
    for known in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        answer = await stranger.get(url, headers={"If-None-Match": known})
        assert (answer.status_code, answer.content) == (304, b"")
        assert answer.headers["etag"] == etag
        assert "content-type" not in answer.headers
    assert (await stranger.get(url, headers={"If-Modified-Since": modified})).status_code == 304


@pytest.mark.parametrize(
    "headers",
    [
        {"If-None-Match": '"other"'},
        {"If-None-Match": ""},
        {"If-Modified-Since": "Sun, 06 Nov 1994 08:49:37 GMT"},
        {"If-Modified-Since": "Sun, 06 Nov 2094 08:49:37 +99999999999999999"},
        {"If-Modified-Since": "yesterday"},
        {"If-None-Match": '"other"', "If-Modified-Since": "Sun, 06 Nov 2094 08:49:37 GMT"},
    ],
)
async def test_a_client_that_has_another_file_gets_this_one(
    stranger: httpx.AsyncClient, put: Put, headers: dict[str, str]
) -> None:
    assert (await stranger.get(f"/artifacts/{put(b'sound')}", headers=headers)).content == b"sound"


async def test_any_range_gives_those_bytes(stranger: httpx.AsyncClient, put: Put) -> None:
    url, size, chance = f"/artifacts/{put(BIG)}", len(BIG), random.Random(2)
    for _ in range(20):
        start, end = sorted((chance.randrange(size), chance.randrange(size)))
        answer = await stranger.get(url, headers={"Range": f"bytes={start}-{end}"})
        assert answer.status_code == 206
        assert answer.headers["content-range"] == f"bytes {start}-{end}/{size}"
        assert answer.headers["content-length"] == str(end - start + 1)
        assert answer.content == BIG[start : end + 1]


async def test_a_suffix_and_an_open_range(stranger: httpx.AsyncClient, put: Put) -> None:
    url = f"/artifacts/{put(b'0123456789')}"
    assert (await stranger.get(url, headers={"Range": "bytes=-3"})).content == b"789"
    assert (await stranger.get(url, headers={"Range": "bytes=7-"})).content == b"789"


@pytest.mark.parametrize("header", ["bytes=0-1,4-5", "bytes=5-4", "lines=1-2", "nonsense"])
async def test_several_ranges_and_odd_ones_get_the_whole_file(
    stranger: httpx.AsyncClient, put: Put, header: str
) -> None:
    answer = await stranger.get(f"/artifacts/{put(b'0123456789')}", headers={"Range": header})
    assert (answer.status_code, answer.content) == (200, b"0123456789")


async def test_a_range_outside_is_416_with_the_size(stranger: httpx.AsyncClient, put: Put) -> None:
    answer = await stranger.get(f"/artifacts/{put(b'sound')}", headers={"Range": "bytes=5-"})
    assert answer.status_code == 416
    assert answer.headers["content-range"] == "bytes */5"


async def test_a_range_holds_only_for_the_same_file(
    stranger: httpx.AsyncClient, put: Put, artifacts: LocalArtifactStore
) -> None:
    key = put(b"sound")
    etag = f'"{hashlib.sha256(b"sound").hexdigest()}"'
    date = format_datetime(artifacts.stat(key).modified, usegmt=True)
    for known, status in ((etag, 206), (date, 206), (f"W/{etag}", 200), ('"other"', 200)):
        headers = {"Range": "bytes=0-1", "If-Range": known}
        assert (await stranger.get(f"/artifacts/{key}", headers=headers)).status_code == status


@pytest.mark.parametrize(
    "path",
    [
        f"2026/11/23/0/{'0' * 64}.wav",
        "..%2f..%2fetc/passwd",
        "%2e%2e/%2e%2e/api-key",
        "2026/11/23/0/",
        "%00",
        ".drafts/x",
    ],
)
async def test_what_is_not_stored_is_not_found(stranger: httpx.AsyncClient, path: str) -> None:
    for address in (f"/artifacts/{path}", f"/variants/width=1/{path}"):
        answer = await stranger.get(address)
        assert answer.status_code == 404
        assert answer.json()["responseStatus"]["errorCode"] == "NotFound"


async def test_an_upload_is_there_only_for_its_owner(
    client: httpx.AsyncClient, stranger: httpx.AsyncClient, put: Put
) -> None:
    own, other = put(b"voice", area=Area.INPUT), put(b"voice", area=Area.INPUT, owner="other")
    answer = await client.get(f"/artifacts/{own}")
    assert (answer.status_code, answer.content) == (200, b"voice")
    assert answer.headers["cache-control"] == "private, no-store"
    assert (await client.get(f"/artifacts/{other}")).status_code == 404
    assert (await stranger.get(f"/artifacts/{own}")).status_code == 404
    assert (await client.get(f"/variants/width=10/{own}")).status_code == 404
