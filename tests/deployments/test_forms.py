import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request

from deployments.forms import read_form
from deployments.services import Services
from tests.deployments.conftest import LIMITS, client_of, stored_files
from tests.deployments.test_middleware import post_scope

BOUNDARY = {"Content-Type": "multipart/form-data; boundary=b"}


@pytest.fixture
def app(app: FastAPI, services: Services) -> FastAPI:
    """The API with one more route, which shows what it was sent."""

    @app.api_route("/form", methods=["GET", "POST"])
    async def show(request: Request) -> dict[str, Any]:
        async with read_form(request, services, "0") as form:
            contents = {
                name: services.artifacts.local_path(file.key).read_bytes().decode("latin-1")
                for name, file in form.files.items()
            }
            return {"fields": form.fields, "files": form.files, "contents": contents}

    return app


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(app) as client:
        yield client


def message(answer: httpx.Response) -> str:
    assert answer.status_code == 400, answer.text
    text: str = answer.json()["responseStatus"]["message"]
    return text


class TestFields:
    async def test_json(self, client: httpx.AsyncClient) -> None:
        answer = await client.post("/form", json={"n": 1, "text": "ü", "list": ["a"]})
        assert answer.json()["fields"] == {"n": 1, "text": "ü", "list": ["a"]}

    async def test_form(self, client: httpx.AsyncClient) -> None:
        answer = await client.post("/form", data={"a": "1", "b": ["2", "3"], "c[]": "4"})
        assert answer.json()["fields"] == {"a": "1", "b": ["2", "3"], "c[]": ["4"]}

    async def test_multipart(self, client: httpx.AsyncClient) -> None:
        answer = await client.post(
            "/form", files=[("a", (None, "1")), ("b", (None, "2")), ("b", (None, "3"))]
        )
        assert answer.json()["fields"] == {"a": "1", "b": ["2", "3"]}

    async def test_query_string(self, client: httpx.AsyncClient) -> None:
        answer = await client.get("/form?a=1&a=2&b=x%20y")
        assert answer.json()["fields"] == {"a": ["1", "2"], "b": "x y"}

    async def test_the_body_wins_over_the_query_string(self, client: httpx.AsyncClient) -> None:
        answer = await client.post("/form?a=query&b=query", json={"a": "body"})
        assert answer.json()["fields"] == {"a": "body", "b": "query"}

    @pytest.mark.parametrize("content_type", ["", "application/json", "text/plain"])
    async def test_an_empty_body_has_no_fields(self, client: httpx.AsyncClient, content_type: str) -> None:
        answer = await client.post("/form", headers={"Content-Type": content_type})
        assert answer.json()["fields"] == {}


class TestRefusals:
    @pytest.mark.parametrize(
        ("body", "said"),
        [
            (b'{"a": 1,\n "b": }', "line 2, column 7"),
            (b"[1, 2]", "must be an object"),
            (b'"text"', "must be an object"),
            (b'{"a": NaN}', "NaN is not a JSON number"),
            (b'{"a": "\xff"}', "not UTF-8"),
            (b'{"a": ' + b"[" * 20_000, "nested too deeply"),
            (b'{"a": ' + b"1" * 5_000 + b"}", "too many digits"),
        ],
    )
    async def test_json_that_cannot_be_read(self, client: httpx.AsyncClient, body: bytes, said: str) -> None:
        answer = await client.post("/form", content=body, headers={"Content-Type": "application/json"})
        assert said in message(answer)

    @pytest.mark.parametrize("content_type", ["text/plain", ""])
    async def test_an_unknown_content_type(self, client: httpx.AsyncClient, content_type: str) -> None:
        answer = await client.post("/form", content=b"hello", headers={"Content-Type": content_type})
        assert "Use application/json" in message(answer)

    async def test_json_that_curl_sent_as_a_form(self, client: httpx.AsyncClient) -> None:
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = await client.post("/form", content=b'{"input": "Hi"}', headers=headers)
        assert "Content-Type: application/json" in message(answer)

    async def test_a_form_that_is_no_text(self, client: httpx.AsyncClient) -> None:
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = await client.post("/form", content=b"a=\xff", headers=headers)
        assert "not UTF-8" in message(answer)

    async def test_too_many_fields(self, client: httpx.AsyncClient) -> None:
        many = {f"f{number}": "" for number in range(201)}
        assert "200 fields" in message(await client.post("/form", data=many))
        parts = [(name, (None, "")) for name in many]
        assert "200 fields" in message(await client.post("/form", files=parts))

    async def test_too_many_files(self, client: httpx.AsyncClient, tmp_path: Path) -> None:
        many = [(f"f{number}", ("a.txt", b"x")) for number in range(11)]
        assert "10 files" in message(await client.post("/form", files=many))
        assert stored_files(tmp_path) == []

    async def test_the_same_file_twice(self, client: httpx.AsyncClient, tmp_path: Path) -> None:
        twice = [("audio", ("a.wav", b"x" * 600_000)), ("audio", ("b.wav", b"y"))]
        assert "'audio' was sent more than once" in message(await client.post("/form", files=twice))
        assert stored_files(tmp_path) == []

    async def test_text_over_its_limit(self, client: httpx.AsyncClient) -> None:
        parts = [("a", (None, "x" * LIMITS.json_bytes)), ("b", (None, "y"))]
        answer = await client.post("/form", files=parts)
        assert answer.status_code == 413
        assert answer.json()["responseStatus"]["errors"][0]["fieldName"] == "B"

    @pytest.mark.parametrize(
        ("body", "said"),
        [
            (b"no boundary here", "not valid multipart/form-data"),
            (b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\nx', "ends before"),
            (b"", "ends before"),
            (b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--\r\n", "has no name"),
            (b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n\xff\r\n--b--\r\n', "'a' is not UTF-8"),
        ],
    )
    async def test_multipart_that_cannot_be_read(
        self, client: httpx.AsyncClient, body: bytes, said: str
    ) -> None:
        assert said in message(await client.post("/form", content=body, headers=BOUNDARY))

    @pytest.mark.parametrize("parameters", ["", "; boundary=", "; boundary=" + "b" * 300])
    async def test_a_boundary_that_cannot_be_one(self, client: httpx.AsyncClient, parameters: str) -> None:
        headers = {"Content-Type": f"multipart/form-data{parameters}"}
        assert "boundary" in message(await client.post("/form", content=b"x", headers=headers))


class TestFiles:
    async def test_a_file_is_stored_while_the_request_runs(
        self, client: httpx.AsyncClient, tmp_path: Path
    ) -> None:
        content = bytes(range(256)) * 5_000
        answer = await client.post("/form", files={"audio": ("Ä b.WAV", content, "audio/wav")})
        file = answer.json()["files"]["audio"]
        assert answer.json()["contents"]["audio"].encode("latin-1") == content
        assert file["key"].startswith("input/")
        assert file["key"].endswith(".wav")
        del file["key"]
        assert file == {"file_name": "Ä b.WAV", "content_type": "audio/wav", "size_bytes": len(content)}
        assert stored_files(tmp_path) == []

    @pytest.mark.parametrize(
        ("file_name", "extension"),
        [
            ("a.tar.gz", "gz"),
            ("noextension", "bin"),
            ("a.waytoolongone", "bin"),
            ("a.p/../../n-g", "bin"),
            ("a.j p!g", "jpg"),
        ],
    )
    async def test_the_extension_is_made_safe(
        self, client: httpx.AsyncClient, file_name: str, extension: str
    ) -> None:
        answer = await client.post("/form", files={"image": (file_name, b"x")})
        assert answer.json()["files"]["image"]["key"].rpartition(".")[2] == extension

    async def test_folders_of_the_clients_machine_are_dropped(self, client: httpx.AsyncClient) -> None:
        body = (
            b'--b\r\nContent-Disposition: form-data; name="a"; filename="/tmp/x/a.wav"\r\n\r\nx\r\n--b--\r\n'
        )
        answer = await client.post("/form", content=body, headers=BOUNDARY)
        assert answer.json()["files"]["a"]["file_name"] == "a.wav"

    async def test_a_file_input_that_was_left_empty_counts_as_not_sent(
        self, client: httpx.AsyncClient
    ) -> None:
        body = b'--b\r\nContent-Disposition: form-data; name="a"; filename=""\r\n\r\n\r\n--b--\r\n'
        answer = await client.post("/form", content=body, headers=BOUNDARY)
        assert answer.json() == {"fields": {}, "files": {}, "contents": {}}

    async def test_an_empty_file_with_a_name_is_a_file(self, client: httpx.AsyncClient) -> None:
        answer = await client.post("/form", files={"a": ("a.wav", b"")})
        assert answer.json()["files"]["a"]["size_bytes"] == 0

    async def test_any_cut_into_chunks_gives_the_same(self, client: httpx.AsyncClient) -> None:
        request = client.build_request(
            "POST", "/form", files=[("t", (None, "text")), ("f", ("f.bin", b"\r\n--x\r\n" * 9))]
        )
        whole = request.read()
        for size in (1, 2, 7, len(whole)):
            answer = await client.post("/form", content=_cut(whole, size), headers=_type(request))
            assert answer.json()["fields"] == {"t": "text"}
            assert answer.json()["contents"] == {"f": "\r\n--x\r\n" * 9}


def _type(request: httpx.Request) -> dict[str, str]:
    return {"Content-Type": request.headers["content-type"]}


async def _cut(whole: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(whole), size):
        yield whole[start : start + size]


class TestInterruption:
    START = b'--b\r\nContent-Disposition: form-data; name="audio"; filename="a.wav"\r\n\r\n'

    async def test_a_client_that_disconnects_leaves_no_file(self, app: FastAPI, tmp_path: Path) -> None:
        messages: list[dict[str, Any]] = [
            {"type": "http.request", "body": self.START + bytes(700_000), "more_body": True},
            {"type": "http.disconnect"},
        ]
        seen_before_the_end: list[int] = []

        async def receive() -> dict[str, Any]:
            if len(messages) == 1:
                seen_before_the_end.append(len(stored_files(tmp_path)))
            return messages.pop(0)

        async def send(_: Any) -> None:
            raise AssertionError("nobody is there to hear")

        await app(post_scope("/form", "multipart/form-data; boundary=b"), receive, send)
        assert seen_before_the_end == [1]
        assert stored_files(tmp_path) == []

    async def test_a_cancelled_request_leaves_no_file(self, app: FastAPI, tmp_path: Path) -> None:
        waits = asyncio.Event()
        messages = [{"type": "http.request", "body": self.START + bytes(700_000), "more_body": True}]

        async def receive() -> dict[str, Any]:
            if messages:
                return messages.pop()
            waits.set()
            await asyncio.Event().wait()
            raise AssertionError("never reached")

        async def send(_: Any) -> None:
            raise AssertionError("nobody is there to hear")

        scope = post_scope("/form", "multipart/form-data; boundary=b")
        running = asyncio.create_task(app(scope, receive, send))
        await waits.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert stored_files(tmp_path) == []

    async def test_a_failing_route_leaves_no_file(
        self, app: FastAPI, services: Services, tmp_path: Path
    ) -> None:
        @app.post("/failing")
        async def failing(request: Request) -> None:
            async with read_form(request, services, "0"):
                raise ZeroDivisionError

        async with client_of(app) as client:
            answer = await client.post("/failing", files={"a": ("a.wav", b"x")})
        assert answer.status_code == 500
        assert stored_files(tmp_path) == []
