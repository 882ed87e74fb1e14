"""Decides which outside addresses the server may contact on behalf of a client."""

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

import httpx

Resolve = Callable[[str], Awaitable[Sequence[str]]]
"""Gives the addresses of a host name; an OSError or none at all: DNS does not know it."""

_Address = IPv4Address | IPv6Address
_URL_LIMIT = 2_000
_HOST_NAME = re.compile(r"(?!.{254})[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*")
_NAT64 = IPv6Network("64:ff9b::/96")
_KINDS = tuple(
    (ip_network(network), kind)
    for kind, networks in (
        ("a loopback", "127.0.0.0/8 ::1/128"),
        ("a private", "10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 fc00::/7 fec0::/10"),
        ("a link-local", "169.254.0.0/16 fe80::/10"),  # also where clouds have their metadata
        ("a shared", "100.64.0.0/10"),  # carriers' NAT; private networks of clouds
        ("a platform", "168.63.129.16/32"),  # public by its number, but each Azure machine's own host
        ("an unspecified", "0.0.0.0/8 ::/128"),
        ("a multicast", "224.0.0.0/4 ff00::/8"),
        ("a documentation", "192.0.2.0/24 198.51.100.0/24 203.0.113.0/24 2001:db8::/32 3fff::/20"),
        ("a tunnel", "192.88.99.0/24 2002::/16 2001::/32"),  # 6to4, Teredo: any IPv4 address inside
        ("a reserved", "192.0.0.0/24 198.18.0.0/15 240.0.0.0/4 2001::/23"),
        ("", "0.0.0.0/0 2000::/3"),
        ("a reserved", "::/0"),
    )
    for network in networks.split()
)
"""The first network that an address lies in tells its kind; "" is the public internet. `is_global` says
otherwise: of multicast, unassigned IPv6 space and, in some releases of Python, of 6to4 or 192.0.0.0/24."""
_lookups = ThreadPoolExecutor(8, "dns")  # its own: a DNS server that hangs must not block other work


class AddressError(Exception):
    """Base of the errors about outside addresses; the message is for the client.

    AddressError
    ├── ForbiddenAddress     malformed, or leads where the server must not go
    └── UnresolvableAddress  DNS does not know the host
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class ForbiddenAddress(AddressError):
    """The server must not contact this address."""


class UnresolvableAddress(AddressError):
    """DNS has no address for the host name (now; it may have one later)."""


@dataclass(frozen=True)
class Target:
    """A checked URL, and the address to connect to."""

    url: httpx.URL
    host: str
    """What a certificate must name: ASCII, lower case, without a dot at the end."""
    ip: str


async def _getaddrinfo(host: str) -> Sequence[str]:
    look_up = partial(socket.getaddrinfo, host, None, type=socket.SOCK_STREAM)
    found = await asyncio.get_running_loop().run_in_executor(_lookups, look_up)
    return [str(address[0]) for *_, address in found]


class AddressGuard:
    """Lets pass what is on the public internet or in a network that the operator allows."""

    def __init__(self, allow_networks: Iterable[str] = (), resolve: Resolve = _getaddrinfo) -> None:
        try:
            self._allowed = tuple(map(ip_network, allow_networks))
        except ValueError as error:
            raise ValueError(f"outside.allow_networks: {error}. Write one like 10.1.0.0/16.") from error
        self._resolve = resolve

    def check_url(self, url: str) -> None:
        """Raise `ForbiddenAddress` for what is wrong without a look into DNS."""
        self._parse(url)

    async def resolve(self, url: str) -> Target:
        """Check the URL and every address of its host; raise `AddressError`."""
        parsed, host, literal = self._parse(url)
        addresses = [literal] if literal else await self._look_up(host)
        for address in addresses:
            self._check(parsed, address)
        return Target(parsed, host, str(addresses[0]))

    def _parse(self, url: str) -> tuple[httpx.URL, str, _Address | None]:
        parsed = _parse_url(url)
        host = parsed.raw_host.decode().removesuffix(".")
        literal = _parse_literal(host)
        if literal:
            self._check(parsed, literal)
        elif not _HOST_NAME.fullmatch(host):
            raise ForbiddenAddress(f"{parsed!s:.100} has no valid host name. Correct the host.")
        return parsed, host, literal

    async def _look_up(self, host: str) -> list[_Address]:
        answers: Sequence[str] = ()
        with suppress(OSError):
            answers = await self._resolve(host)
        if not answers:
            raise UnresolvableAddress(f"DNS has no address for {host:.100}. Check its spelling.")
        return [ip_address(answer) for answer in answers]

    def _check(self, url: httpx.URL, address: _Address) -> None:
        destination = _destination(address)
        if any(place in network for network in self._allowed for place in (address, destination)):
            return
        if kind := next(kind for network, kind in _KINDS if destination in network):
            raise ForbiddenAddress(
                f"{url!s:.100} leads to {destination}, {kind} address. Use an address that is reachable "
                "from the internet, or have the operator allow it under outside.allow_networks."
            )


class GuardedTransport(httpx.AsyncBaseTransport):
    """Connects to the very addresses that the guard has checked; DNS may answer otherwise a moment later."""

    def __init__(self, guard: AddressGuard, inner: httpx.AsyncBaseTransport | None = None) -> None:
        self._guard = guard
        # No limit of connections: silent receivers must not hold up the others.
        self._inner = inner or httpx.AsyncHTTPTransport(limits=httpx.Limits(max_connections=None))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request; raise `AddressError` instead where it must not go."""
        target = await self._guard.resolve(str(request.url))
        headers = request.headers.copy()  # with the Host of the original URL
        if target.url.scheme == "https":  # the pool would reuse it for any name of the same address,
            headers["Connection"] = "close"  # although the certificate was verified for this one only
        url = target.url.copy_with(host=target.ip)
        extensions = {**request.extensions, "sni_hostname": target.host}
        return await self._inner.handle_async_request(
            httpx.Request(request.method, url, headers=headers, stream=request.stream, extensions=extensions)
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._inner.aclose()


def _parse_url(url: str) -> httpx.URL:
    """Parse as the HTTP client does, so that both see the same host."""
    try:
        parsed = httpx.URL(url)
        fault = _fault(parsed)
    except (httpx.InvalidURL, UnicodeError) as error:
        raise ForbiddenAddress(f"The address is not a URL ({error!s:.100}). Correct it.") from error
    if fault:
        raise ForbiddenAddress(fault)
    return parsed


def _fault(url: httpx.URL) -> str:
    if (length := len(str(url))) > _URL_LIMIT:
        return f"The address has {length:,} characters, percent-encoded; {_URL_LIMIT:,} are allowed."
    if url.userinfo:
        return "The address holds a user name or password. Leave them out."
    if url.scheme not in ("http", "https") or not url.host:  # decodes IDNA
        return f"{url!s:.100} is no absolute http or https URL. Write one like https://example.com/a."
    if url.port is not None and not 0 < url.port < 65_536:
        return f"{url!s:.100} has an invalid port. Use one from 1 to 65535."
    if url.fragment:
        return f"{url!s:.100} has a fragment (#), which is never sent. Leave it out."
    return ""


def _parse_literal(host: str) -> _Address | None:
    """Read an address in any spelling that a system's resolver takes for one (127.1, 0x7f000001 …)."""
    if host == "localhost" or host.endswith(".localhost"):  # RFC 6761: not a matter of DNS
        return IPv4Address("127.0.0.1")
    if ":" in host:
        return IPv6Address(host)
    try:
        return IPv4Address(socket.inet_aton(host))
    except OSError:
        return None


def _destination(address: _Address) -> _Address:
    """Look through IPv4-mapped addresses and NAT64 gateways (RFC 6052): they lead into the IPv4 network."""
    if isinstance(address, IPv6Address) and (address.ipv4_mapped or address in _NAT64):
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address
