"""How `replyTo` hears of a job's end, from a real sender by a real receiver."""

import asyncio
from typing import Any

import httpx
import pytest
from standardwebhooks import WebhookVerificationError

from cluster.jobs.deliveries import Deliveries
from cluster.jobs.errors import StoreUnavailable
from tests.deployments.conftest import refusal
from tests.deployments.queue import LocalQueue, shown, submitted
from tests.deployments.receiver import Receiver, delivering, receiving

pytestmark = pytest.mark.usefixtures("quick_webhooks")


async def logged(client: httpx.AsyncClient, job_id: int, count: int) -> dict[str, Any]:
    """Wait until so many attempts are in a job's log."""
    async with asyncio.timeout(10):
        while True:
            job = await shown(client, job_id)
            if len(job["deliveries"]) >= count:
                return await shown(client, job_id)  # the job was read before its log


class TestSignature:
    async def test_it_is_made_with_the_secret_of_the_jobs_key(
        self, client: httpx.AsyncClient, other: httpx.AsyncClient, queue: LocalQueue, receiver: Receiver
    ) -> None:
        mine, others = [(await each.get("/jobs/webhook-secret")).json()["secret"] for each in (client, other)]
        for each, secret, wrong in ((client, mine, others), (other, others, mine)):
            job_id = await submitted(each, state="ü", replyTo=receiver.url)
            async with delivering(queue):
                heard = await receiver.next()
            assert heard.verified(secret)["jobId"] == job_id
            with pytest.raises(WebhookVerificationError):
                heard.verified(wrong)
            assert heard.headers["webhook-id"] == f"msg_{job_id}_1"

    async def test_the_secret_stays_the_same(
        self, client: httpx.AsyncClient, other: httpx.AsyncClient
    ) -> None:
        for each in (client, other):
            first, second = [(await each.get("/jobs/webhook-secret")).json() for _ in range(2)]
            assert first == second
            assert first["secret"].startswith("whsec_")

    async def test_it_is_for_those_with_a_key(self, stranger: httpx.AsyncClient) -> None:
        refusal(await stranger.get("/jobs/webhook-secret"), 401)


class TestDelivery:
    async def test_it_is_repeated_until_it_is_taken(
        self, client: httpx.AsyncClient, queue: LocalQueue
    ) -> None:
        async with receiving("500 Oops", "404 Not Found") as receiver:
            await submitted(client, replyTo=receiver.url)
            async with delivering(queue):
                heard = [await receiver.next() for _ in range(3)]
                job = await logged(client, 1, 3)
        assert len({each.headers["webhook-id"] for each in heard}) == 1
        assert len({each.raw for each in heard}) == 1
        seen = [(each["attempt"], each["status"], each["error"]) for each in job["deliveries"]]
        assert seen == [
            (1, 500, "The receiver answered 500 Internal Server Error."),
            (2, 404, "The receiver answered 404 Not Found."),
            (3, 200, ""),
        ]
        first = job["deliveries"][0]
        assert first["url"] == receiver.url
        assert first["messageId"] == "msg_1_1"
        assert job["completedDate"] <= first["sentDate"] <= job["deliveries"][2]["sentDate"]
        assert "nextDeliveryDate" not in job

    async def test_it_ends_when_the_schedule_does(self, client: httpx.AsyncClient, queue: LocalQueue) -> None:
        async with receiving(*["500 Oops"] * 9) as receiver:
            await submitted(client, replyTo=receiver.url)
            async with delivering(queue):
                job = await logged(client, 1, 3)
        assert [each["status"] for each in job["deliveries"]] == [500] * 3
        assert "nextDeliveryDate" not in job
        assert job["state"] == "Completed"

    async def test_it_ends_when_the_receiver_is_gone_for_good(
        self, client: httpx.AsyncClient, queue: LocalQueue
    ) -> None:
        async with receiving("410 Gone") as receiver:
            await submitted(client, replyTo=receiver.url)
            async with delivering(queue):
                job = await logged(client, 1, 1)
        assert [each["status"] for each in job["deliveries"]] == [410]
        assert "nextDeliveryDate" not in job

    async def test_a_receiver_may_ask_for_a_pause(self, client: httpx.AsyncClient, queue: LocalQueue) -> None:
        async with receiving("429 Slow\r\nRetry-After: 3600") as receiver:
            await submitted(client, replyTo=receiver.url)
            async with delivering(queue):
                job = await logged(client, 1, 1)
        assert job["nextDeliveryDate"][:13] > job["completedDate"][:13]

    async def test_nobody_listens(self, client: httpx.AsyncClient, queue: LocalQueue) -> None:
        async with receiving() as receiver:
            pass
        await submitted(client, replyTo=receiver.url)
        async with delivering(queue):
            job = await logged(client, 1, 3)
        assert {each["error"].partition(":")[0] for each in job["deliveries"]} == {"No connection"}
        assert all("status" not in each for each in job["deliveries"])

    async def test_an_address_that_is_not_allowed_any_more_is_not_contacted(
        self, client: httpx.AsyncClient, queue: LocalQueue, receiver: Receiver
    ) -> None:
        await submitted(client, replyTo=receiver.url)
        async with delivering(queue, allow=()):
            job = await logged(client, 1, 1)
        assert "loopback" in job["deliveries"][0]["error"]
        assert "nextDeliveryDate" not in job
        assert receiver.heard.empty()

    async def test_a_log_that_cannot_be_written_stops_nothing_else(
        self,
        client: httpx.AsyncClient,
        queue: LocalQueue,
        receiver: Receiver,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        note, failures = Deliveries.note, ["once"]

        def shaky(self: Deliveries, *given: Any) -> None:
            if failures:
                raise StoreUnavailable(failures.pop())
            note(self, *given)

        monkeypatch.setattr(Deliveries, "note", shaky)
        await submitted(client, replyTo=receiver.url)
        async with delivering(queue):
            await receiver.next()
            await submitted(client, replyTo=receiver.url)
            assert (await receiver.next()).body["jobId"] == 2
            assert "nextDeliveryDate" in await shown(client, 1)


class TestReplay:
    async def test_it_is_sent_once_more_under_the_same_name(
        self, client: httpx.AsyncClient, queue: LocalQueue, receiver: Receiver
    ) -> None:
        await submitted(client, replyTo=receiver.url)
        async with delivering(queue):
            first = await receiver.next()
            await logged(client, 1, 1)
            assert (await client.post("/jobs/1/webhook")).status_code == 200
            again = await receiver.next()
            job = await logged(client, 1, 2)
        assert (again.raw, again.headers["webhook-id"]) == (first.raw, first.headers["webhook-id"])
        assert [each["attempt"] for each in job["deliveries"]] == [1, 1]

    async def test_the_answer_says_when(
        self, client: httpx.AsyncClient, queue: LocalQueue, receiver: Receiver
    ) -> None:
        await submitted(client, replyTo=receiver.url)
        async with delivering(queue):
            await logged(client, 1, 1)
        assert "nextDeliveryDate" in (await client.post("/jobs/1/webhook")).json()

    async def test_a_job_that_is_requeued_has_another_message(
        self, client: httpx.AsyncClient, queue: LocalQueue, receiver: Receiver
    ) -> None:
        await submitted(client, "unspeakable", replyTo=receiver.url)
        async with delivering(queue):
            first = await receiver.next()
            await client.post("/jobs/1/requeue")
            second = await receiver.next()
        assert first.headers["webhook-id"] != second.headers["webhook-id"]

    async def test_what_has_no_webhook(self, client: httpx.AsyncClient, receiver: Receiver) -> None:
        await submitted(client)
        assert "has no replyTo" in refusal(await client.post("/jobs/1/webhook"), 409)["message"]
        await submitted(client, replyTo=receiver.url)
        status = refusal(await client.post("/jobs/2/webhook"), 409)
        assert status["message"] == "Job 2 is Queued; its webhook is sent when it has ended."
