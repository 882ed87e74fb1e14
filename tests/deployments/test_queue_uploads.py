"""An upload lies in the store while its job needs it, and no longer than its request where none does."""

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from cluster.artifacts.local import LocalArtifactStore
from cluster.artifacts.store import StoreFull
from cluster.jobs.errors import StoreUnavailable
from cluster.jobs.job import JobFilter, NewJob, Submitted
from tests.deployments.conftest import KEY, refusal, stored_files
from tests.deployments.exchange import exchange
from tests.deployments.fakes import LineReader
from tests.deployments.queue import LocalQueue

PATH = "/api/QueueSpeechToText"
OWNER = "0"


def talk(content: bytes = b"hello") -> dict[str, Any]:
    return {"audio": ("talk.wav", content, "audio/wav")}


async def inputs_of(queue: LocalQueue, job_id: int) -> list[str]:
    return [each.key for each in (await queue.jobs.get(job_id, OWNER)).inputs]


async def test_it_is_there_when_the_job_runs(
    client: httpx.AsyncClient, queue: LocalQueue, listener: LineReader, tmp_path: Path
) -> None:
    await client.post(PATH, files=talk())
    (key,) = await inputs_of(queue, 1)
    assert stored_files(tmp_path) == [key]
    async with queue.dispatching():
        assert (await queue.ended(1)).state == "Completed"
    assert listener.requests[0].audio == key


async def test_the_store_has_synced_it_before_the_job_is_accepted(
    client: httpx.AsyncClient,
    queue: LocalQueue,
    artifacts: LocalArtifactStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    events: list[str] = []
    persist, submit = artifacts.persist, queue.jobs._store.submit

    def noted_persist(key: str) -> None:
        persist(key)
        events.append("synced")

    def noted_submit(new: Sequence[NewJob]) -> list[Submitted]:
        events.append("accepted")
        return submit(new)

    monkeypatch.setattr(artifacts, "persist", noted_persist)
    monkeypatch.setattr(queue.jobs._store, "submit", noted_submit)
    await client.post(PATH, files=talk())
    assert events == ["synced", "accepted"]


class TestItIsRemoved:
    async def test_when_the_job_is_known_already(
        self, client: httpx.AsyncClient, queue: LocalQueue, tmp_path: Path
    ) -> None:
        for _ in range(3):
            assert (await client.post(PATH, files=talk(), data={"refId": "mine"})).json()["jobId"] == 1
        assert stored_files(tmp_path) == await inputs_of(queue, 1)

    async def test_when_the_ref_id_belongs_to_another_request(
        self, client: httpx.AsyncClient, queue: LocalQueue, tmp_path: Path
    ) -> None:
        await client.post(PATH, files=talk(), data={"refId": "mine"})
        refusal(await client.post(PATH, files=talk(b"other"), data={"refId": "mine"}), 409)
        assert stored_files(tmp_path) == await inputs_of(queue, 1)

    @pytest.mark.parametrize(
        "fields",
        [{"temperature": "hot"}, {"model": "nobody"}, {"priority": "9"}, {"replyTo": "http://10.0.0.1"}],
    )
    async def test_when_a_field_is_wrong(
        self, client: httpx.AsyncClient, tmp_path: Path, fields: dict[str, str]
    ) -> None:
        assert (await client.post(PATH, files=talk(), data=fields)).status_code in (400, 404)
        assert stored_files(tmp_path) == []

    async def test_by_the_sweeper_where_nobody_knows_whether_the_job_was_stored(
        self,
        client: httpx.AsyncClient,
        queue: LocalQueue,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        def away(_: object) -> Any:
            raise StoreUnavailable("The job store is away.")

        monkeypatch.setattr(queue.jobs._store, "submit", away)
        refusal(await client.post(PATH, files=talk()), 503)
        assert len(stored_files(tmp_path)) == 1

    async def test_when_the_disk_is_full(
        self,
        client: httpx.AsyncClient,
        queue: LocalQueue,
        artifacts: LocalArtifactStore,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(artifacts, "check_room", _full)
        answer = await client.post(PATH, files=talk())
        assert refusal(answer, 503) == {"errorCode": "InsufficientStorage", "message": "No room."}
        assert int(answer.headers["retry-after"]) > 0
        assert stored_files(tmp_path) == []
        assert await queue.jobs.some(JobFilter(), 10) == []

    async def test_when_the_call_was_answered_in_time(
        self, client: httpx.AsyncClient, tmp_path: Path
    ) -> None:
        answer = await client.post("/api/SpeechToText", files=talk(), headers={"Prefer": "wait=30"})
        assert answer.status_code == 200
        assert stored_files(tmp_path) == []


def _full() -> None:
    raise StoreFull("No room.")


class TestOfAClientThatLeaves:
    async def test_while_its_job_is_being_accepted(
        self,
        client: httpx.AsyncClient,
        app: FastAPI,
        queue: LocalQueue,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """The job is accepted although nobody hears of it any more, so its file must be there."""
        reached, go_on, accepted = threading.Event(), threading.Event(), threading.Event()
        submit = queue.jobs._store.submit

        def held(new: Sequence[NewJob]) -> list[Submitted]:
            reached.set()
            assert go_on.wait(10)
            try:
                return submit(new)
            finally:
                accepted.set()

        monkeypatch.setattr(queue.jobs._store, "submit", held)
        request = httpx.Request("POST", f"http://test{PATH}", files=talk())
        headers = {**request.headers, "X-Api-Key": KEY}
        async with exchange(app, PATH, headers, request.read()) as (_, run):
            await asyncio.to_thread(reached.wait, 10)
            run.cancel()
            await asyncio.wait([run])
            go_on.set()
            await asyncio.to_thread(accepted.wait, 10)
        assert stored_files(tmp_path) == await inputs_of(queue, 1)
        async with queue.dispatching():
            assert (await queue.ended(1)).state == "Completed"

    async def test_after_its_job_was_accepted(self, app: FastAPI, queue: LocalQueue, tmp_path: Path) -> None:
        request = httpx.Request("POST", f"http://test{PATH}", files=talk())
        headers = {**request.headers, "X-Api-Key": KEY}
        async with exchange(app, PATH, headers, request.read()) as (talked, run):
            await talked.next_body()
            talked.leave()
            await run
        assert stored_files(tmp_path) == await inputs_of(queue, 1)


async def test_a_call_that_becomes_a_job_keeps_its_upload(
    client: httpx.AsyncClient, queue: LocalQueue, tmp_path: Path
) -> None:
    for number, preference in enumerate(("respond-async", "wait=0"), 1):
        answer = await client.post(
            "/v1/audio/transcriptions", files={"file": ("a.wav", b"hi")}, headers={"Prefer": preference}
        )
        assert answer.json()["jobId"] == number
    assert len(stored_files(tmp_path)) == 2
    async with queue.dispatching():
        assert {(await queue.ended(job_id)).state for job_id in (1, 2)} == {"Completed"}
