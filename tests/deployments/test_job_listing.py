"""GET /jobs: one's own jobs, page by page."""

from typing import Any

import httpx
import pytest

from deployments.errors import ReplicaLost
from deployments.services import Services
from tests.deployments.conftest import refusal
from tests.deployments.fakes import HeldBackend
from tests.deployments.queue import LocalQueue, submitted

MOMENT = 1_790_000_000.0
"""2026-09-21T14:13:20Z"""


async def listed(client: httpx.AsyncClient, **params: Any) -> list[int]:
    answer = await client.get("/jobs", params=params)
    assert answer.status_code == 200, answer.text
    return [job["jobId"] for job in answer.json()["jobs"]]


async def walked(client: httpx.AsyncClient, **params: Any) -> list[list[int]]:
    """Follow the cursor to the last page."""
    pages: list[list[int]] = []
    more: dict[str, Any] = {}
    while True:
        page = (await client.get("/jobs", params={**params, **more})).json()
        pages.append([job["jobId"] for job in page["jobs"]])
        if "next" not in page:
            return pages
        more = {"cursor": page["next"]}


async def test_what_a_job_looks_like(client: httpx.AsyncClient) -> None:
    await submitted(client, refId="mine", tag="t", priority=1)
    (job,) = (await client.get("/jobs")).json()["jobs"]
    created = job.pop("createdDate")
    assert created.endswith("Z")
    assert len(created) == len("2026-11-24T18:58:12.132Z")
    job.pop("apiKeyId", None)
    assert job == {
        "jobId": 1,
        "refId": "mine",
        "task": "text-to-speech",
        "model": "tone",
        "state": "Queued",
        "priority": 1,
        "tag": "t",
        "attempts": 0,
        "deadLetter": False,
        "progress": 0.0,
    }


async def test_a_completed_job_shows_its_results(client: httpx.AsyncClient, queue: LocalQueue) -> None:
    await submitted(client)
    async with queue.dispatching():
        await queue.ended(1)
    (job,) = (await client.get("/jobs")).json()["jobs"]
    assert (job["state"], job["progress"], job["attempts"]) == ("Completed", 1.0, 1)
    assert job["durationMs"] >= 0
    assert job["createdDate"] <= job["startedDate"] <= job["completedDate"]
    (result,) = job["results"]
    assert (await client.get(result["url"])).content.startswith(b"RIFF")


class TestWhoseJobs:
    async def test_nobody_sees_those_of_others(
        self, client: httpx.AsyncClient, other: httpx.AsyncClient
    ) -> None:
        await submitted(client)
        await submitted(other)
        assert await listed(client) == [1]
        assert await listed(other) == [2]

    async def test_the_admin_can_see_all(self, client: httpx.AsyncClient, other: httpx.AsyncClient) -> None:
        await submitted(client)
        await submitted(other)
        assert await listed(client, all=True) == [2, 1]
        assert await walked(client, all=True, limit=1) == [[2], [1]]

    async def test_only_the_admin_can(self, other: httpx.AsyncClient) -> None:
        status = refusal(await other.get("/jobs?all=true"), 403)
        assert status["errorCode"] == "Forbidden"
        assert status["errors"][0]["fieldName"] == "All"
        assert await listed(other, all=False) == []

    async def test_a_stranger_sees_none(self, stranger: httpx.AsyncClient) -> None:
        assert refusal(await stranger.get("/jobs"), 401)["errorCode"] == "Unauthorized"


class TestFilters:
    async def test_by_state(self, client: httpx.AsyncClient, services: Services, queue: LocalQueue) -> None:
        await submitted(client, "unspeakable", priority=2)
        await submitted(client, priority=1)
        async with queue.dispatching():
            await queue.ended(2)
        await submitted(client)
        await submitted(client)
        await services.jobs.cancel(4, "0")
        states = ("Failed", "Completed", "Queued", "Cancelled", "Started")
        assert [await listed(client, state=state) for state in states] == [[1], [2], [3], [4], []]

    async def test_by_task_and_tag(self, client: httpx.AsyncClient) -> None:
        await submitted(client, tag="a")
        await submitted(client, tag="b ü")
        await client.post("/api/QueueSpeechToText", files={"audio": ("a.wav", b"a")}, data={"tag": "a"})
        assert await listed(client, tag="a") == [3, 1]
        assert await listed(client, tag="b ü") == [2]
        assert await listed(client, tag="A") == []
        assert await listed(client, task="speech-to-text") == [3]
        assert await listed(client, task="text-to-speech", tag="a") == [1]
        assert await listed(client, task="nothing") == []

    async def test_by_time(
        self, client: httpx.AsyncClient, queue: LocalQueue, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for number in range(3):
            monkeypatch.setattr(queue.jobs._store, "_clock", lambda number=number: MOMENT + number)
            await submitted(client)
        assert await listed(client, **{"from": "2026-09-21T14:13:20Z"}) == [3, 2, 1]
        assert await listed(client, **{"from": "2026-09-21T14:13:21Z"}) == [3, 2]
        assert await listed(client, to="2026-09-21T14:13:21Z") == [1]
        assert await listed(client, **{"from": "2026-09-21T14:13:21", "to": "2026-09-21T14:13:22"}) == [2]
        assert await listed(client, **{"from": "2026-09-21T16:13:22+02:00"}) == [3]
        assert await listed(client, to="0001-01-01T00:00:00") == []

    async def test_by_dead_letter(
        self,
        client: httpx.AsyncClient,
        queue: LocalQueue,
        speaker: HeldBackend,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("deployments.job_work.backoff_s", lambda _: 0.0)
        speaker.errors = [ReplicaLost("The replica died.")] * 3
        async with queue.dispatching():
            await queue.ended(await submitted(client))
            await queue.ended(await submitted(client, "unspeakable"))
        assert await listed(client, deadLetter=True) == [1]
        assert await listed(client, deadLetter=False) == [2]
        assert await listed(client, state="Failed") == [2, 1]

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("state", "completed"),
            ("state", "Executed"),
            ("from", "yesterday"),
            ("to", "2026-13-01"),
            ("deadLetter", "perhaps"),
            ("all", "perhaps"),
            ("limit", "0"),
            ("limit", "-1"),
            ("limit", "201"),
            ("limit", "ten"),
            ("tag", "\0"),
        ],
    )
    async def test_that_cannot_be_understood(self, client: httpx.AsyncClient, name: str, value: str) -> None:
        status = refusal(await client.get("/jobs", params={name: value}))
        assert status["errors"][0]["fieldName"] == name[:1].upper() + name[1:]


class TestPages:
    @pytest.mark.parametrize("limit", [1, 2, 3, 6, 7, 8, 200])
    async def test_the_cursor_leads_to_every_job_once(self, client: httpx.AsyncClient, limit: int) -> None:
        await client.post("/api/QueueTextToSpeech[]", json=[{"text": "a"}] * 7)
        pages = await walked(client, limit=limit)
        assert [job_id for page in pages for job_id in page] == [7, 6, 5, 4, 3, 2, 1]
        assert {len(page) for page in pages[:-1]} <= {limit}
        assert pages[-1]

    async def test_jobs_that_come_meanwhile_do_not_shift_the_pages(self, client: httpx.AsyncClient) -> None:
        await client.post("/api/QueueTextToSpeech[]", json=[{"text": "a"}] * 4)
        first = (await client.get("/jobs?limit=2")).json()
        await submitted(client)
        assert await listed(client, cursor=first["next"], limit=2) == [2, 1]

    async def test_filters_hold_on_every_page(
        self, client: httpx.AsyncClient, other: httpx.AsyncClient
    ) -> None:
        for number in range(6):
            await submitted(client, tag="even" if number % 2 == 0 else "odd")
            await submitted(other, tag="even")
        assert await walked(client, tag="even", limit=2) == [[9, 5], [1]]

    async def test_fifty_are_a_page_unless_asked_otherwise(self, client: httpx.AsyncClient) -> None:
        await client.post("/api/QueueTextToSpeech[]", json=[{"text": "a"}] * 51)
        assert [len(page) for page in await walked(client)] == [50, 1]

    @pytest.mark.parametrize(
        "cursor",
        ["7", "x", "ü", "====", "YWZ0ZXI6Nw", "YmVmb3JlOg", "YmVmb3JlOi03", "YmVmb3JlOi0" + "5" * 40],
    )
    async def test_a_cursor_that_is_none(self, client: httpx.AsyncClient, cursor: str) -> None:
        status = refusal(await client.get("/jobs", params={"cursor": cursor}))
        assert status["errors"][0]["fieldName"] == "Cursor"
        assert "Begin without it" in status["message"]

    async def test_a_cursor_before_everything_that_can_be(self, client: httpx.AsyncClient) -> None:
        await submitted(client)
        assert await listed(client, cursor="YmVmb3JlOjA") == []  # before:0
        assert await listed(client, cursor="YmVmb3JlOjk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5") == [1]
