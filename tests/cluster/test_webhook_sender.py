import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import httpx
import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from cluster.address_guard import AddressGuard
from cluster.webhook_sender import RETRY_DELAYS_S, Delivered, WebhookSender, new_secret, next_delay_s
from tests.cluster.test_address_guard import LOOPBACK, NAME, Answer, make_certificate, names, receiver

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLwSw"
BODY = json.dumps({"type": "job.completed", "data": {"text": "grüße"}}, ensure_ascii=False).encode()
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@asynccontextmanager
async def sending(
    timeout_s: float = 10.0,
    allow: tuple[str, ...] = LOOPBACK,
    known: Mapping[str, Sequence[str]] | None = None,
    clock: Callable[[], datetime] = lambda: NOW,
    transport: httpx.AsyncBaseTransport | None = None,
) -> AsyncIterator[WebhookSender]:
    sender = WebhookSender(AddressGuard(allow, names(**(known or {}))), timeout_s, clock, transport)
    try:
        yield sender
    finally:
        await sender.aclose()


async def answered(answer: Answer, timeout_s: float = 10.0) -> Delivered:
    """Send to a receiver that answers so."""
    async with receiver(answer) as here, sending(timeout_s) as sender:
        return await sender.send(f"http://127.0.0.1:{here.port}/", "msg_1", BODY, SECRET)


async def test_the_receiver_can_verify_the_message() -> None:
    async with receiver() as here, sending(clock=lambda: datetime.now(UTC)) as sender:
        delivered = await sender.send(f"http://127.0.0.1:{here.port}/hook?a=b", "msg_1", BODY, SECRET)
    assert (delivered.status, delivered.error, delivered.ok, delivered.is_final) == (200, "", True, False)
    assert 0 < delivered.duration_s < 10
    assert here.heads[0].startswith("POST /hook?a=b HTTP/1.1\r\n")
    assert here.bodies == [BODY]
    headers = here.headers()
    assert headers["Content-Type"] == headers["Accept"] == "application/json"
    assert headers["User-Agent"] == "AI-Server-on-Ray"
    assert headers["webhook-id"] == "msg_1"
    assert Webhook(SECRET).verify(here.bodies[0], headers) == json.loads(BODY)
    for secret, body in [(new_secret(), BODY), (SECRET, BODY + b" ")]:
        with pytest.raises(WebhookVerificationError):
            Webhook(secret).verify(body, headers)


async def test_the_timestamp_is_the_clocks_whatever_its_zone() -> None:
    async with (
        receiver() as here,
        sending(clock=lambda: datetime.now(timezone(timedelta(hours=9)))) as sender,
    ):
        await sender.send(f"http://127.0.0.1:{here.port}/", "msg_1", BODY, SECRET)
    Webhook(SECRET).verify(BODY, here.headers())
    async with receiver() as here, sending() as sender:
        await sender.send(f"http://127.0.0.1:{here.port}/", "msg_1", BODY, SECRET)
    assert here.headers()["webhook-timestamp"] == str(int(NOW.timestamp()))


@pytest.mark.parametrize(
    ("line", "status", "ok", "is_final", "error"),
    [
        ("204 No Content", 204, True, False, ""),
        ("299 Odd", 299, True, False, ""),
        ("400 x", 400, False, False, "The receiver answered 400 Bad Request."),
        ("404 x", 404, False, False, "The receiver answered 404 Not Found."),
        ("410 x", 410, False, True, "The receiver answered 410 Gone."),
        ("304 x", 304, False, False, "The receiver answered 304 Not Modified."),
        ("500 x", 500, False, False, "The receiver answered 500 Internal Server Error."),
        ("999 x", 999, False, False, "The receiver answered 999."),
    ],
)
async def test_the_status_decides(line: str, status: int, ok: bool, is_final: bool, error: str) -> None:
    delivered = await answered(f"HTTP/1.1 {line}\r\nContent-Length: 0\r\n\r\n".encode())
    assert (delivered.status, delivered.ok, delivered.is_final) == (status, ok, is_final)
    assert (delivered.error, delivered.retry_after_s) == (error, None)


@pytest.mark.parametrize(
    ("status", "header", "retry_after_s"),
    [
        (429, "Retry-After: 120", 120.0),
        (503, "Retry-After: 0", 0.0),
        (503, "Retry-After: 86401", 86_400.0),
        (503, f"Retry-After: {'9' * 5_000}", 86_400.0),
        (503, "Retry-After: Sun, 01 Mar 2026 12:01:30 GMT", 90.0),
        (503, "Retry-After: Sunday, 01-Mar-26 12:01:30 GMT", 90.0),
        (503, "Retry-After: Sun, 01 Mar 2026 12:01:30 -0000", 90.0),
        (503, "Retry-After: Sun, 01 Mar 2026 11:00:00 GMT", 0.0),
        (503, "Retry-After: Fri, 31 Dec 9999 23:59:59 -2359", 86_400.0),
        (503, "Retry-After: Fri, 31 Dec 99999999999 23:59:59 GMT", None),
        (503, "Retry-After: -5", None),
        (503, "Retry-After: 1.5", None),
        (503, "Retry-After: nan", None),
        (503, "Retry-After: \xb2", None),
        (503, "Retry-After: soon", None),
        (503, "Retry-After:", None),
        (503, "Retry-After: 1\r\nRetry-After: 2", None),
        (503, "X: y", None),
        (500, "Retry-After: 120", None),
    ],
)
async def test_a_busy_receiver_may_say_when(status: int, header: str, retry_after_s: float | None) -> None:
    delivered = await answered(
        f"HTTP/1.1 {status} x\r\nContent-Length: 0\r\n{header}\r\n\r\n".encode("latin-1")
    )
    assert (delivered.status, delivered.retry_after_s) == (status, retry_after_s)


@pytest.mark.parametrize(
    "location", ["http://127.0.0.1:{port}/", "/x", "http://xn--a/", "http://[::1", "\xff"]
)
async def test_redirects_are_not_followed(location: str) -> None:
    async with receiver() as inside:
        head = f"HTTP/1.1 307 x\r\nContent-Length: 0\r\nLocation: {location.format(port=inside.port)}\r\n\r\n"
        delivered = await answered(head.encode("latin-1"))
        assert inside.connections == 0
    assert (delivered.status, delivered.ok, delivered.is_final) == (307, False, False)
    assert delivered.error == (
        "The receiver answered 307 Temporary Redirect. Redirects are not followed: "
        "give the address that it leads to."
    )


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.6 " + SECRET.encode() + b"\r\n\r\n",
        b"HTTP/1.1 " + SECRET.encode() + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100_000,
        b"HTTP/1.1 200 OK\r\n: no name\r\n\r\n",
        b"\x15\x03\x03\x00\x02\x02\x28",
        b"\x00" * 1_000_000,
    ],
)
async def test_what_is_not_http_is_no_answer(answer: bytes) -> None:
    async def write(writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await writer.drain()
        writer.close()

    delivered = await answered(write)
    assert (delivered.status, delivered.ok, delivered.is_final) == (None, False, False)
    assert delivered.error == "The connection broke, or the answer was not HTTP."


async def _hang_up(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def test_a_receiver_that_hangs_up_gives_no_answer() -> None:
    delivered = await answered(_hang_up)
    assert (delivered.status, delivered.error) == (None, "The connection broke, or the answer was not HTTP.")


async def test_nobody_listens() -> None:
    async with receiver() as here:
        pass
    async with sending() as sender:
        delivered = await sender.send(f"http://127.0.0.1:{here.port}/", "msg_1", BODY, SECRET)
    assert delivered.status is None
    assert delivered.error.startswith("No connection: ")
    assert not delivered.is_final


async def _say_nothing(writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


def _drip(start: bytes, drop: bytes) -> Answer:
    """Send a drop of the answer so often that a limit for each read would never be reached."""

    async def drip(writer: asyncio.StreamWriter) -> None:
        writer.write(start)
        while True:
            writer.write(drop)
            await writer.drain()
            await asyncio.sleep(0.01)  # the slowness is the attack, not a wait of the test

    return drip


@pytest.mark.parametrize(
    "answer",
    [
        _say_nothing,
        _drip(b"HTTP/1.1 200 OK\r\nX: ", b"y"),
        _drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
)
async def test_an_answer_that_does_not_come_is_not_waited_for(answer: Answer) -> None:
    delivered = await answered(answer, timeout_s=0.2)
    assert (delivered.status, delivered.error) == (None, "No answer within 0.2 s.")
    assert 0.2 <= delivered.duration_s < 5


async def test_the_status_counts_even_if_the_rest_of_the_answer_drips() -> None:
    body = _drip(b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n", b"x")
    delivered = await answered(body, timeout_s=0.2)
    assert delivered.ok
    assert 0.2 <= delivered.duration_s < 5


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nless",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nno size\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nfake",
    ],
)
async def test_the_status_counts_even_if_the_rest_of_the_answer_is_broken(answer: bytes) -> None:
    async def write(writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await writer.drain()

    assert (await answered(write)).ok


async def test_an_endless_answer_is_not_read() -> None:
    written_bytes = 0

    async def pour(writer: asyncio.StreamWriter) -> None:
        nonlocal written_bytes
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"10000\r\n" + bytes(65_536) + b"\r\n")
            await writer.drain()
            written_bytes += 65_536

    async with receiver(pour) as here, sending(timeout_s=60) as sender:
        for _ in range(2):
            delivered = await sender.send(f"http://127.0.0.1:{here.port}/", "msg_1", BODY, SECRET)
            assert delivered.ok
            assert delivered.duration_s < 60
        assert here.connections == 2  # what is left of an answer is never taken for the next one
    assert written_bytes < 64 * 1024 * 1024  # the buffers of the system, which differ


async def test_connections_are_pooled_and_cookies_are_not_kept() -> None:
    cookie = b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b; Path=/\r\nContent-Length: 2\r\n\r\nok"
    async with receiver(cookie) as here, sending() as sender:
        for number in range(3):
            assert (await sender.send(f"http://127.0.0.1:{here.port}/", f"msg_{number}", BODY, SECRET)).ok
    assert (len(here.heads), here.connections) == (3, 1)
    assert "cookie" not in here.heads[-1].lower()


async def test_messages_are_sent_side_by_side() -> None:
    arrived = asyncio.Barrier(150)

    async def all_together(writer: asyncio.StreamWriter) -> None:
        await arrived.wait()
        writer.write(b"HTTP/1.1 204 x\r\n\r\n")
        await writer.drain()

    async with receiver(all_together) as here, sending() as sender:
        url = f"http://127.0.0.1:{here.port}/"
        sent = await asyncio.gather(*(sender.send(url, f"msg_{n}", BODY, SECRET) for n in range(150)))
    assert all(delivered.ok for delivered in sent)


async def test_a_forbidden_address_is_not_contacted_and_final() -> None:
    async with receiver() as here, sending(allow=(), known={"inside": ["127.0.0.1"]}) as sender:
        for host in ("127.1", "localhost", "inside"):
            delivered = await sender.send(f"http://{host}:{here.port}/", "msg_1", BODY, SECRET)
            assert delivered.status is None
            assert "leads to 127.0.0.1, a loopback address" in delivered.error
            assert delivered.is_final
            assert not delivered.ok
        assert here.connections == 0


@pytest.mark.parametrize(
    "url", ["", "http://\ud800/", "http://xn--a/", "http://[::1", "ftp://x/", "http://x/" + "a" * 3_000]
)
async def test_what_is_no_url_is_final(url: str) -> None:
    async with sending() as sender:
        delivered = await sender.send(url, "msg_1", BODY, SECRET)
    assert delivered.is_final
    assert 0 < len(delivered.error) <= 300


async def test_an_unknown_name_may_be_known_later() -> None:
    async with sending() as sender:
        delivered = await sender.send("http://unknown.example/", "msg_1", BODY, SECRET)
    assert (delivered.status, delivered.is_final) == (None, False)
    assert delivered.error == "DNS has no address for unknown.example. Check its spelling."


async def test_a_dns_server_that_hangs_counts_towards_the_limit() -> None:
    async def hang(host: str) -> Sequence[str]:
        await asyncio.Event().wait()
        return ()

    sender = WebhookSender(AddressGuard(resolve=hang), timeout_s=0.1)
    delivered = await sender.send("http://example.com/", "msg_1", BODY, SECRET)
    await sender.aclose()
    assert delivered.error == "No answer within 0.1 s."


async def test_the_address_that_was_checked_is_the_one_connected_to() -> None:
    answers = [["127.0.0.1"], ["10.0.0.1"]]

    async def rebinding(host: str) -> Sequence[str]:
        return answers.pop(0)

    async with receiver() as here:
        sender = WebhookSender(AddressGuard(LOOPBACK, rebinding))
        assert (await sender.send(f"http://{NAME}:{here.port}/", "msg_1", BODY, SECRET)).ok
        delivered = await sender.send(f"http://{NAME}:{here.port}/", "msg_1", BODY, SECRET)
        await sender.aclose()
        assert "leads to 10.0.0.1, a private address" in delivered.error
        assert here.headers()["Host"] == f"{NAME}:{here.port}"
        assert len(here.heads) == 1


async def test_no_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with receiver() as proxy, receiver() as here:
        for variable in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(variable, f"http://127.0.0.1:{proxy.port}")
        async with sending(known={NAME: ["127.0.0.1"]}) as sender:
            assert (await sender.send(f"http://{NAME}:{here.port}/", "msg_1", BODY, SECRET)).ok
    assert (proxy.connections, here.connections) == (0, 1)


async def test_tls_is_verified_for_the_name(tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path)
    trusting = httpx.AsyncHTTPTransport(verify=certificate.client)
    other = "other.example.test"
    known = {NAME: ["127.0.0.1"], other: ["127.0.0.1"]}
    async with (
        receiver(tls=certificate.server) as here,
        sending(known=known, transport=trusting) as sender,
        sending(known=known) as distrusting,
    ):
        assert (await sender.send(f"https://{NAME}:{here.port}/", "msg_1", BODY, SECRET)).ok
        assert here.server_names == [NAME]
        wrong = await sender.send(f"https://{other}:{here.port}/", "msg_1", BODY, SECRET)
        assert f"Hostname mismatch, certificate is not valid for '{other}'" in wrong.error
        unknown = await distrusting.send(f"https://{NAME}:{here.port}/", "msg_1", BODY, SECRET)
        assert "self-signed certificate" in unknown.error
        plain = await sender.send(f"http://{NAME}:{here.port}/", "msg_1", BODY, SECRET)
        assert plain.status is None
        assert len(here.heads) == 1
    assert not wrong.is_final
    assert not unknown.is_final


@pytest.mark.parametrize("name", ["a.xn--a", "_hook", "-a", "a-", "a_b.example"])
async def test_odd_names_do_no_harm(name: str, tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path)
    async with (
        receiver() as here,
        receiver(tls=certificate.server) as secure,
        sending(known={name: ["127.0.0.1"]}) as sender,
    ):
        assert (await sender.send(f"http://{name}:{here.port}/", "msg_1", BODY, SECRET)).ok
        delivered = await sender.send(f"https://{name}:{secure.port}/", "msg_1", BODY, SECRET)
        assert delivered.error.startswith("No connection: ")


async def test_who_stops_waiting_is_not_held_up() -> None:
    arrived = asyncio.Event()

    async def arrive(writer: asyncio.StreamWriter) -> None:
        arrived.set()
        await asyncio.Event().wait()

    async with receiver(arrive) as here, sending() as sender:
        task = asyncio.create_task(sender.send(f"http://127.0.0.1:{here.port}/", "msg_1", BODY, SECRET))
        await arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


def test_secrets_differ_and_are_of_24_bytes() -> None:
    first, second = new_secret(), new_secret()
    assert first != second
    assert first.startswith("whsec_")
    assert len(base64.b64decode(first.removeprefix("whsec_"), validate=True)) == 24
    assert Webhook(first).sign("msg_1", NOW, "{}") != Webhook(second).sign("msg_1", NOW, "{}")


def test_the_pauses_grow_until_they_are_used_up() -> None:
    assert [next_delay_s(attempts, lambda: 0.0) for attempts in range(1, 11)] == [*RETRY_DELAYS_S, None]
    assert RETRY_DELAYS_S == (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
    assert next_delay_s(2, lambda: 0.5) == pytest.approx(315)
    assert next_delay_s(9, lambda: 1.0) == pytest.approx(95_040)
