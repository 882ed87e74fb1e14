import asyncio
import ipaddress
import pickle
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.address_guard import (
    AddressGuard,
    ForbiddenAddress,
    GuardedTransport,
    Resolve,
    UnresolvableAddress,
)

LOOPBACK = ("127.0.0.0/8",)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
NAME = "hooks.example.test"
NUMERIC = socket.AI_NUMERICHOST


def names(**known: Sequence[str]) -> Resolve:
    """A DNS that knows these names."""

    async def resolve(host: str) -> Sequence[str]:
        if host not in known:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return known[host]

    return resolve


@dataclass
class Receiver:
    """An HTTP server that keeps what it was sent."""

    port: int = 0
    connections: int = 0
    heads: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    server_names: list[str | None] = field(default_factory=list)

    def headers(self) -> dict[str, str]:
        """Of the newest request."""
        return dict(line.split(": ", 1) for line in self.heads[-1].splitlines()[1:] if line)

    async def read(self, reader: asyncio.StreamReader) -> None:
        self.heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
        size = next((value for key, value in self.headers().items() if key.lower() == "content-length"), "0")
        self.bodies.append(await reader.readexactly(int(size)))


Answer = bytes | Callable[[asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def receiver(
    answer: Answer = OK, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1"
) -> AsyncIterator[Receiver]:
    """Answer every request with the same bytes, or let a function misbehave."""
    here = Receiver()
    visits: set[asyncio.Task[None]] = set()

    async def visit(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        here.connections += 1
        visits.add(asyncio.current_task())  # type: ignore[arg-type]  # we are in one
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while True:
                await here.read(reader)
                if not isinstance(answer, bytes):
                    await answer(writer)
                    break
                writer.write(answer)
                await writer.drain()
        writer.transport.abort()

    if tls:
        tls.sni_callback = lambda _object, name, _context: here.server_names.append(name)
    server = await asyncio.start_server(visit, host, 0, ssl=tls)
    here.port = server.sockets[0].getsockname()[1]
    try:
        yield here
    finally:
        server.close()
        for task in visits:
            task.cancel()
        await asyncio.gather(*visits)
        await server.wait_closed()


@dataclass
class Certificate:
    """A self-signed certificate: for a server that has it, and for clients that trust it."""

    server: ssl.SSLContext
    client: ssl.SSLContext


def make_certificate(folder: Path, name: str = NAME) -> Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file = folder / f"{name}.pem"
    file.write_bytes(private + pem)
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(file)
    return Certificate(server, ssl.create_default_context(cadata=pem.decode()))


@asynccontextmanager
async def guarded_client(
    guard: AddressGuard, trust: ssl.SSLContext | None = None
) -> AsyncIterator[httpx.AsyncClient]:
    inner = httpx.AsyncHTTPTransport(verify=trust or True)
    async with httpx.AsyncClient(transport=GuardedTransport(guard, inner), trust_env=False) as client:
        yield client


@pytest.mark.parametrize(
    ("host", "kind"),
    [
        ("127.0.0.1", "loopback"),
        ("127.0.0.1.", "loopback"),
        ("127.1", "loopback"),
        ("127.0.1", "loopback"),
        ("2130706433", "loopback"),
        ("0x7f.1", "loopback"),
        ("0X7F000001", "loopback"),
        ("0x7f.0x0.0.0x1", "loopback"),
        ("017700000001", "loopback"),
        ("127。0。0。1", "loopback"),  # the full stop of Chinese, a dot to IDNA
        ("localhost", "loopback"),
        ("LOCALHOST.", "loopback"),
        ("a.b.localhost", "loopback"),
        ("[::1]", "loopback"),
        ("[0:0:0:0:0:0:0:1]", "loopback"),
        ("[::ffff:127.0.0.1]", "loopback"),
        ("[::ffff:7f00:1]", "loopback"),
        ("[64:ff9b::127.0.0.1]", "loopback"),
        ("[64:ff9b::a00:1]", "private"),
        ("[64:ff9b:1::808:808]", "reserved"),
        ("[::127.0.0.1]", "reserved"),
        ("[::ffff:0:127.0.0.1]", "reserved"),
        ("[2002:7f00:1::]", "tunnel"),
        ("[2001:0:1::1]", "tunnel"),
        ("[2001:20::1]", "reserved"),
        ("[::]", "unspecified"),
        ("0", "unspecified"),
        ("0.0.0.0", "unspecified"),
        ("0.1.2.3", "unspecified"),
        ("10.0.0.1", "private"),
        ("172.31.255.255", "private"),
        ("192.168.1.1", "private"),
        ("[fd00:ec2::254]", "private"),
        ("[fec0::1]", "private"),
        ("169.254.169.254", "link-local"),
        ("0xa9fea9fe", "link-local"),
        ("[fe80::1]", "link-local"),
        ("[fe80::1%25eth0]", "link-local"),
        ("100.64.0.1", "shared"),
        ("100.100.100.200", "shared"),
        ("168.63.129.16", "platform"),
        ("192.0.0.192", "reserved"),
        ("198.18.0.1", "reserved"),
        ("255.255.255.255", "reserved"),
        ("224.0.0.1", "multicast"),
        ("[ff0e::1]", "multicast"),
        ("[2001:db8::1]", "documentation"),
        ("[4000::1]", "reserved"),
    ],
)
def test_what_is_not_on_the_internet_is_forbidden_in_every_spelling(host: str, kind: str) -> None:
    with pytest.raises(ForbiddenAddress, match=f" an? {kind} address"):
        AddressGuard().check_url(f"http://{host}/x")


def test_the_error_names_the_fault_and_the_fix() -> None:
    with pytest.raises(ForbiddenAddress) as caught:
        AddressGuard().check_url("http://2130706433/x")
    assert caught.value.message == str(caught.value)
    assert caught.value.message == (
        "http://2130706433/x leads to 127.0.0.1, a loopback address. Use an address that is reachable from "
        "the internet, or have the operator allow it under outside.allow_networks."
    )


@pytest.mark.parametrize("error", [ForbiddenAddress("No."), UnresolvableAddress("Unknown.")])
def test_errors_cross_processes(error: ForbiddenAddress | UnresolvableAddress) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert copy.message == error.message


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/hook?a=b",
        "HTTP://EXAMPLE.com:8080",
        "http://bücher.example/ü",
        "http://xn--bcher-kva.example/",
        "http://my_service.example.com./",
        "http://8.8.8.8/",
        "http://134744072/",
        "http://[2606:4700::1111]:443/",
        "http://[::ffff:8.8.8.8]/",
        "http://[64:ff9b::808:808]/",
        "http://example.com/#",
        "http://example.com/" + "a" * (2_000 - 19),
    ],
)
def test_the_internet_is_allowed(url: str) -> None:
    AddressGuard().check_url(url)


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("", "no absolute http"),
        ("example.com/x", "no absolute http"),
        ("//example.com/x", "no absolute http"),
        ("http:///x", "no absolute http"),
        ("http:example.com", "no absolute http"),
        (" http://example.com/", "no absolute http"),
        ("ftp://example.com/", "no absolute http"),
        ("file:///etc/passwd", "no absolute http"),
        ("gopher://example.com/", "no absolute http"),
        ("http://user:geheim@example.com/", "user name or password"),
        ("http://user@example.com/", "user name or password"),
        ("http://:@example.com/", "user name or password"),
        ("http://example.com\\@127.0.0.1/", "user name or password"),
        ("http://example.com:0/", "invalid port"),
        ("http://example.com:-1/", "invalid port"),
        ("http://example.com:65536/", "invalid port"),
        ("http://example.com:80x/", "not a URL"),
        ("http://example.com#@127.0.0.1/", "fragment"),
        ("http://example.com/?a#b", "fragment"),
        ("http://example.com/\r\nHost: x", "not a URL"),
        ("http://example.com/\x00", "not a URL"),
        ("http://example.com/\ud800", "not a URL"),
        ("http://\ud800/", "not a URL"),
        ("http://xn--a/", "not a URL"),  # httpx would choke on it later
        ("http://0177.0.0.1/", "not a URL"),
        ("http://\uff11\uff12\uff17.0.0.1/", "not a URL"),  # digits of full width
        ("http://①②⑦.0.0.1/", "not a URL"),
        ("http://999.0.0.1/", "not a URL"),
        ("http://[::1/", "not a URL"),
        ("http://[127.0.0.1]/", "not a URL"),
        ("http://" + "a" * 70_000, "not a URL"),
        ("http://127.0.0.1%00.example.com/", "no valid host name"),
        ("http://127%2e0%2e0%2e1/", "no valid host name"),
        ("http://a b/", "no valid host name"),
        ("http://a..b/", "no valid host name"),
        ("http://.example.com/", "no valid host name"),
        ("http://example.com../", "no valid host name"),
        ("http://127.0.0.1../", "no valid host name"),
        (f"http://{'a' * 64}.com/", "no valid host name"),
        (f"http://{'a.' * 127}com/", "no valid host name"),
        ("http://example.com/" + "a" * (2_001 - 19), "2,001 characters"),
        ("http://example.com/" + "ü" * 400, "2,419 characters, percent-encoded; 2,000 are allowed"),
    ],
)
def test_malformed_addresses_are_forbidden(url: str, fault: str) -> None:
    with pytest.raises(ForbiddenAddress, match=fault) as caught:
        AddressGuard(allow_networks=("0.0.0.0/0", "::/0")).check_url(url)
    assert len(caught.value.message) <= 300
    assert "geheim" not in caught.value.message


async def test_names_are_checked_by_every_address_that_dns_gives() -> None:
    zone = names(
        good=["8.8.8.8", "2606:4700::1111"],
        mixed=["8.8.8.8", "10.0.0.1"],
        mixed6=["8.8.8.8", "::1"],
        mapped=["::ffff:10.0.0.1"],
        scoped=["fe80::1%eth0"],
        empty=[],
    )
    guard = AddressGuard(resolve=zone)
    assert (await guard.resolve("http://good/")).ip == "8.8.8.8"
    for host, leads in [
        ("mixed", "10.0.0.1, a private"),
        ("mixed6", "::1, a loopback"),
        ("mapped", "10.0.0.1, a private"),
        ("scoped", "fe80::1%eth0, a link-local"),
    ]:
        with pytest.raises(ForbiddenAddress, match=f"http://{host}/ leads to {leads} address"):
            await guard.resolve(f"http://{host}/")
    for host in ("empty", "unknown"):
        with pytest.raises(UnresolvableAddress, match=f"DNS has no address for {host}. Check its spelling."):
            await guard.resolve(f"http://{host}/")


async def test_a_target_says_what_was_asked_for_and_where_it_is() -> None:
    guard = AddressGuard(resolve=names(**{"xn--bcher-kva.example": ["8.8.8.8"]}))
    target = await guard.resolve("https://BÜCHER.example.:8443/a?b")
    assert (target.host, target.ip, target.url.port) == ("xn--bcher-kva.example", "8.8.8.8", 8443)
    assert target.url.raw_path == b"/a?b"


async def test_literal_addresses_and_localhost_are_no_matter_of_dns() -> None:
    guard = AddressGuard(LOOPBACK, resolve=names())
    for host in ("127.0.0.1", "127.1", "localhost", "a.localhost."):
        assert (await guard.resolve(f"http://{host}/")).ip == "127.0.0.1"


async def test_the_systems_resolver_is_asked_in_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    original = socket.getaddrinfo

    def getaddrinfo(host: str, port: None, **hints: Any) -> Any:
        asked.append(f"{host} by {threading.current_thread().name}")
        return original("::1" if host == "six.example.test" else "no-number", port, flags=NUMERIC, **hints)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with pytest.raises(ForbiddenAddress, match="leads to ::1, a loopback"):
        await AddressGuard().resolve("http://six.example.test/")
    with pytest.raises(UnresolvableAddress):
        await AddressGuard().resolve("http://none.example.test/")
    assert [line.partition("_")[0] for line in asked] == [
        "six.example.test by dns",
        "none.example.test by dns",
    ]


@pytest.mark.parametrize(
    ("network", "url"),
    [
        ("10.1.0.0/16", "http://10.1.2.3/"),
        ("10.1.2.3", "http://10.1.2.3/"),
        ("10.1.0.0/16", "http://[::ffff:10.1.2.3]/"),
        ("10.1.0.0/16", "http://[64:ff9b::10.1.2.3]/"),
        ("fd00::/8", "http://[fd12::1]/"),
        ("169.254.169.254/32", "http://169.254.169.254/"),
    ],
)
def test_the_operator_may_allow_networks(network: str, url: str) -> None:
    AddressGuard((network,)).check_url(url)
    with pytest.raises(ForbiddenAddress):
        AddressGuard((network,)).check_url("http://10.2.0.1/")


@pytest.mark.parametrize("network", ["", "intranet", "10.0.0.1/8", "10.0.0.0/33", "http://10.0.0.1/"])
def test_a_wrong_network_is_refused_by_the_name_of_its_setting(network: str) -> None:
    with pytest.raises(ValueError, match=r"^outside\.allow_networks: .* Write one like 10\.1\.0\.0/16\.$"):
        AddressGuard((network,))


@settings(deadline=None)
@given(st.ip_addresses())
def test_nothing_is_allowed_that_python_calls_private(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    host = f"[{address}]" if address.version == 6 else str(address)
    try:
        AddressGuard().check_url(f"http://{host}/")
    except ForbiddenAddress:
        return
    embedded = ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    judged = address if address in ipaddress.ip_network("2000::/3") or address.version == 4 else embedded
    assert judged.is_global
    assert not judged.is_multicast


async def test_the_connection_goes_to_the_checked_address_and_keeps_the_name() -> None:
    async with receiver() as here:
        guard = AddressGuard(LOOPBACK, resolve=names(**{NAME: ["127.0.0.1"]}))
        async with guarded_client(guard) as client:
            answer = await client.get(f"http://{NAME.upper()}:{here.port}/a?b=c")
    assert answer.text == "ok"
    assert here.heads[0].startswith("GET /a?b=c HTTP/1.1\r\n")
    assert here.headers()["Host"] == f"{NAME}:{here.port}"


async def test_a_name_that_dns_binds_anew_after_its_check_still_leads_to_the_checked_address() -> None:
    answers = [["127.0.0.1"], ["127.0.0.2"]]

    async def rebinding(host: str) -> Sequence[str]:
        return answers.pop(0)

    guard = AddressGuard(("127.0.0.1/32",), resolve=rebinding)
    async with receiver() as here, guarded_client(guard) as client:
        assert (await client.get(f"http://{NAME}:{here.port}/")).status_code == 200
        assert answers == [["127.0.0.2"]]  # asked once: whoever connects has no question of its own
        with pytest.raises(ForbiddenAddress, match=r"leads to 127\.0\.0\.2, a loopback"):
            await client.get(f"http://{NAME}:{here.port}/")
        assert len(here.heads) == 1


async def test_a_redirect_is_checked_like_every_request() -> None:
    async with receiver(OK) as inside:
        redirect = (
            f"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.2:{inside.port}/\r\nContent-Length: 0\r\n\r\n"
        )
        async with (
            receiver(redirect.encode()) as here,
            guarded_client(AddressGuard(("127.0.0.1/32",))) as client,
        ):
            with pytest.raises(ForbiddenAddress, match=r"leads to 127\.0\.0\.2"):
                await client.get(f"http://127.0.0.1:{here.port}/", follow_redirects=True)
    assert inside.connections == 0


async def test_connections_are_reused() -> None:
    async with receiver() as here, guarded_client(AddressGuard(LOOPBACK)) as client:
        for _ in range(3):
            await client.get(f"http://127.0.0.1:{here.port}/")
    assert (len(here.heads), here.connections) == (3, 1)


async def test_tls_names_and_verifies_the_host_not_the_address(tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path)
    guard = AddressGuard(
        LOOPBACK, resolve=names(**{NAME: ["127.0.0.1"], "other.example.test": ["127.0.0.1"]})
    )
    async with (
        receiver(tls=certificate.server) as here,
        guarded_client(guard, certificate.client) as client,
    ):
        assert (await client.get(f"https://{NAME}.:{here.port}/")).text == "ok"
        assert here.server_names == [NAME]
        for wrong in ("other.example.test", "127.0.0.1", "localhost"):
            with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
                await client.get(f"https://{wrong}:{here.port}/")
        assert len(here.heads) == 1


async def test_a_verified_connection_is_not_reused_for_another_name(tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path)
    guard = AddressGuard(LOOPBACK, resolve=names(**{NAME: ["127.0.0.1"], "bank.example.test": ["127.0.0.1"]}))
    async with (
        receiver(tls=certificate.server) as here,
        guarded_client(guard, certificate.client) as client,
    ):
        for _ in range(2):
            await client.get(f"https://{NAME}:{here.port}/")
        with pytest.raises(httpx.ConnectError, match="Hostname mismatch"):
            await client.get(f"https://bank.example.test:{here.port}/")
        assert (len(here.heads), here.connections) == (2, 2)


async def test_a_certificate_of_nobody_is_refused(tmp_path: Path) -> None:
    guard = AddressGuard(LOOPBACK, resolve=names(**{NAME: ["127.0.0.1"]}))
    async with receiver(tls=make_certificate(tmp_path).server) as here, guarded_client(guard) as client:
        with pytest.raises(httpx.ConnectError, match="self-signed certificate"):
            await client.get(f"https://{NAME}:{here.port}/")
