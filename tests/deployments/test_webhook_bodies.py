"""What `replyTo` hears of a job's end."""

import httpx
import pytest

from tests.deployments.queue import LocalQueue, shown, submitted
from tests.deployments.receiver import Receiver, delivering
from tests.deployments.stored import picture

pytestmark = pytest.mark.usefixtures("quick_webhooks")

PICTURE = {"image": ("cat.png", picture(32, 32), "image/png")}


async def test_of_a_generation(client: httpx.AsyncClient, queue: LocalQueue, receiver: Receiver) -> None:
    await submitted(client, refId="mine", state='{"any": "thing ü"}', replyTo=receiver.url)
    async with delivering(queue):
        heard = await receiver.next()
    assert heard.path == "/hook?id=7"
    (output,) = heard.body["outputs"]
    assert heard.body == {
        "state": '{"any": "thing ü"}',
        "refId": "mine",
        "jobId": 1,
        "jobState": "Completed",
        "outputs": [{"fileName": output["fileName"], "url": output["url"]}],
    }
    assert output["url"].startswith("/artifacts/2")
    assert output["url"].endswith(output["fileName"])
    assert (await client.get(output["url"])).content.startswith(b"RIFF")


async def test_of_a_text(client: httpx.AsyncClient, queue: LocalQueue, receiver: Receiver) -> None:
    headers = {"ReplyTo": receiver.url}
    await client.post("/api/QueueSpeechToText", files={"audio": ("a.wav", b"hello")}, headers=headers)
    async with delivering(queue):
        body = (await receiver.next()).body
    assert len(body.pop("refId")) == 32
    assert body == {
        "jobId": 1,
        "jobState": "Completed",
        "textOutputs": [{"text": "hello"}, {"text": '[{"text": "hello", "start": 0, "end": 2}]'}],
    }


async def test_of_a_transform(client: httpx.AsyncClient, queue: LocalQueue, receiver: Receiver) -> None:
    fields = {"outputFormat": "webp", "replyTo": receiver.url, "state": "s"}
    await client.post("/api/QueueConvertImage", data=fields, files=PICTURE)
    async with delivering(queue):
        body = (await receiver.next()).body
    (output,) = body["outputs"]
    assert (body["state"], output["fileName"], output["outputFormat"]) == ("s", "cat.webp", "Image")
    assert output["url"].endswith(".webp")


async def test_of_several_pictures(client: httpx.AsyncClient, queue: LocalQueue, receiver: Receiver) -> None:
    fields = {"positivePrompt": "A lighthouse", "batchSize": 3, "seed": 5, "scheduler": "euler"}
    await client.post("/api/QueueTextToImage", json={**fields, "replyTo": receiver.url})
    async with delivering(queue):
        body = (await receiver.next()).body
    assert [output["seed"] for output in body["outputs"]] == [5, 6, 7]
    assert {(output["width"], output["height"]) for output in body["outputs"]} == {(64, 64)}
    assert len({output["url"] for output in body["outputs"]}) == 3
    for output in body["outputs"]:
        assert output.keys() == {"fileName", "url", "width", "height", "seed"}
        assert (await client.get(output["url"])).headers["content-type"] == "image/webp"
    assert body["notes"] == ["There is no scheduler euler."]


async def test_of_pictures_that_nobody_may_see(
    client: httpx.AsyncClient, queue: LocalQueue, receiver: Receiver
) -> None:
    fields = {"positivePrompt": "shocking", "replyTo": receiver.url}
    await client.post("/api/QueueTextToImage", json=fields)
    async with delivering(queue):
        body = (await receiver.next()).body
    assert (body["jobState"], body["responseStatus"]["errorCode"]) == ("Failed", "ContentWithheld")
    assert (await shown(client, 1))["attempts"] == 1


async def test_of_a_failure(client: httpx.AsyncClient, queue: LocalQueue, receiver: Receiver) -> None:
    await submitted(client, "unspeakable", refId="mine", state="s", replyTo=receiver.url)
    async with delivering(queue):
        body = (await receiver.next()).body
    assert body == {
        "state": "s",
        "refId": "mine",
        "jobId": 1,
        "jobState": "Failed",
        "responseStatus": {
            "errorCode": "ArgumentException",
            "message": "Job failed: 'unspeakable' cannot be spoken. Leave it out.",
            "errors": [
                {
                    "errorCode": "ArgumentException",
                    "fieldName": "Input",
                    "message": "'unspeakable' cannot be spoken. Leave it out.",
                }
            ],
        },
    }


async def test_of_a_cancellation(client: httpx.AsyncClient, queue: LocalQueue, receiver: Receiver) -> None:
    await submitted(client, refId="mine", replyTo=receiver.url)
    await client.delete("/jobs/1")
    async with delivering(queue):
        body = (await receiver.next()).body
    assert body == {
        "refId": "mine",
        "jobId": 1,
        "jobState": "Cancelled",
        "responseStatus": {
            "errorCode": "OperationCanceledException",
            "message": "Job was cancelled",
        },
    }
