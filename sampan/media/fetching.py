"""Fetching what a URL names, without becoming anybody's way into the house: every decision, and none of the sockets.

A URL is split by our own rules, its name is looked up by us, every address is judged, and the connection goes to those
very addresses: what a name says a moment later changes nothing. Each redirect starts again from the beginning.

Public means: in none of the special-purpose blocks of IANA (https://www.iana.org/assignments/iana-ipv4-special-registry
and …/iana-ipv6-special-registry). They stand here and not in `ipaddress.is_global`, whose answers differ between
versions of Python.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Protocol, TypeAlias
from urllib.parse import quote, urljoin, urlsplit

from sampan.config.egress import embedded
from sampan.dialects import pictures
from sampan.errors import ConfigError, InvalidRequest, TargetFault

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

PORTS = {"http": 80, "https": 443}
REDIRECTS = frozenset({301, 302, 303, 307, 308})
URL_LIMIT = 8192

_HOST = re.compile(r"[a-z0-9_](?:[a-z0-9_.-]{0,252}[a-z0-9_])?\.?")
_SAFE = "/%:@!$&'()*+,;=-._~"  # what a path or a query may hold as it stands (RFC 3986, 3.3 and 3.4)

_CLOSED_V4 = tuple(
    IPv4Network(each)
    for each in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT; some clouds keep their metadata here
        "127.0.0.0/8",
        "168.63.129.16/32",  # a public address that Azure answers on inside each machine
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
)
_OPEN_V6 = IPv6Network("2000::/3")
_CLOSED_V6 = tuple(IPv6Network(each) for each in ("2001::/23", "2001:db8::/32", "3fff::/20"))
_MAPPED = IPv6Network("::ffff:0:0/96")
_NAT64 = IPv6Network("64:ff9b::/96")


def is_public(address: Address) -> bool:
    """Whether an address, and the one inside it, belongs to the public internet."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _CLOSED_V4)
    inner = embedded(address)
    if inner is not None and not is_public(inner):
        return False
    if address in _MAPPED or address in _NAT64:
        return True
    return address in _OPEN_V6 and not any(address in network for network in _CLOSED_V6)


@dataclass(frozen=True, slots=True)
class Exemption:
    """An address block or a host name that may be fetched from; `port` None means the usual ones."""

    network: Network | None
    host: str
    port: int | None

    @classmethod
    def parse(cls, text: str) -> Exemption:
        """Read `10.1.0.0/16`, `10.1.2.3:9000`, `[fd00::1]:9000`, `files.lan` or `files.lan:80`. Raises ConfigError."""
        place, port = _split_port(text.strip())
        try:
            return cls(ipaddress.ip_network(place, strict=False), "", port)
        except ValueError:
            host = place.lower().rstrip(".")
            if _HOST.fullmatch(host) is None:
                raise ConfigError(f"{text!r} is no address, no network and no host name") from None
            return cls(None, host, port)

    def covers(self, host: str, address: Address) -> bool:
        if self.network is None:
            return host == self.host
        inner = embedded(address)
        return _within(address, self.network) or (inner is not None and _within(inner, self.network))


def _within(address: Address, network: Network) -> bool:
    return address.version == network.version and address in network


def _split_port(text: str) -> tuple[str, int | None]:
    found = re.fullmatch(r"\[([^\]]+)\](?::(\d{1,5}))?|([^:]+):(\d{1,5})", text)
    if found is None:
        return text, None
    place, port = found[1] or found[3], found[2] or found[4]
    if port is not None and not 0 < int(port) < 65536:
        raise ConfigError(f"{text!r} has a port that is none")
    return place, int(port) if port is not None else None


@dataclass(frozen=True, slots=True)
class Policy:
    """What may be fetched: `most` bytes, `seconds` for all of it, redirects together, from `ports`."""

    exemptions: tuple[Exemption, ...] = ()
    ports: frozenset[int] = frozenset(PORTS.values())
    most: int = 32 * 1024 * 1024
    seconds: float = 20.0
    redirects: int = 5

    def port_allowed(self, place: Place) -> bool:
        return place.port in self.ports or any(each.port == place.port for each in self.exemptions)

    def is_inside(self, place: Place) -> bool:
        """Whether an exemption names this host, or the network of this address: told without looking anything up."""
        try:
            address: Address | None = ipaddress.ip_address(place.host)
        except ValueError:
            address = None
        return any(
            self._open(place.port, each.port)
            and (each.host == place.host if address is None else each.network is not None and each.covers("", address))
            for each in self.exemptions
        )

    def judge(self, place: Place, addresses: Sequence[str], *, inside: bool = False) -> bool:
        """True where every address is public, False where some is only exempted. Raises `Refused` for any other.

        One that may not be asked refuses them all: a name that stands for both is a trap or a mistake. `inside`: a
        public one may not be asked either, unless its network is exempted.
        """
        if not addresses:
            raise Refused(OUTSIDE if inside else NOT_PUBLIC)
        public = True
        for text in addresses:
            address = ipaddress.ip_address(text.partition("%")[0])
            exempt = any(
                each.covers(place.host, address) and self._open(place.port, each.port) for each in self.exemptions
            )
            if not exempt and not (is_public(address) and place.port in self.ports):
                raise Refused(NOT_PUBLIC)
            if inside and is_public(address) and not any(each.covers("", address) for each in self.exemptions):
                raise Refused(OUTSIDE)
            public = public and is_public(address)
        return public

    def _open(self, port: int, exempted: int | None) -> bool:
        return port in self.ports if exempted is None else port == exempted


@dataclass(frozen=True, slots=True)
class Place:
    """A URL taken apart: `host` in lower case without brackets, `target` the path and query as they are sent."""

    scheme: str
    host: str
    port: int
    target: str

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.target}"


class Refused(Exception):
    """Why a URL is not fetched, in words for the caller; the room's own, `Fetcher` turns it into `InvalidRequest`."""


NOT_PUBLIC = "its host is not found on the public internet"
OUTSIDE = "this call may not leave the house, and its host is not inside ([media] fetch_allow)"
UNREACHED = "its host does not answer as a web server"
TOO_SLOW = "it took too long"


def split(url: str) -> Place:
    """A URL that may be looked at further. Raises `Refused`: only http and https, no user, no password, no tricks."""
    if len(url) > URL_LIMIT:
        raise Refused(f"it is longer than {URL_LIMIT} characters")
    if any(letter <= " " or letter in "\\\x7f" for letter in url):
        raise Refused("it has a blank, a backslash or a control character in it")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise Refused("it is no URL") from None
    scheme = parts.scheme.lower()
    if scheme not in PORTS:
        raise Refused("it must start with http:// or https://")
    if "@" in parts.netloc:
        raise Refused("it must not hold a user or a password")
    if port == 0:
        raise Refused("it has a port that is none")
    target = quote(parts.path, safe=_SAFE) or "/"
    if parts.query:
        target += "?" + quote(parts.query, safe=_SAFE + '?[]{}|^`"<>')
    return Place(scheme, _host(parts.hostname or ""), port or PORTS[scheme], _ascii(target))


def _ascii(target: str) -> str:
    """Letters that a request line does not take as they stand, percent-encoded."""
    return re.sub(r"[^!-~]", lambda found: quote(found[0]), target)


def _host(host: str) -> str:
    host = host.lower()
    if ":" in host and "%" not in host:  # a zone is a matter of this machine
        try:
            return str(IPv6Address(host))
        except ValueError:
            raise Refused("it has a host that is no name of the internet") from None
    if not host.isascii():
        try:
            host = host.encode("idna").decode("ascii")
        except UnicodeError:
            raise Refused("it has a host that is no name of the internet") from None
    if _HOST.fullmatch(host) is None:
        raise Refused("it has a host that is no name of the internet")
    return host.removesuffix(".")  # the same name, and the one that certificates hold


def follow(place: Place, location: str) -> Place:
    """Where a redirect leads. Raises `Refused`, also where it leaves TLS."""
    if not location:
        raise Refused("it redirects to nowhere")
    try:
        there = split(urljoin(place.url, location))
    except ValueError:
        raise Refused("it redirects to what is no URL") from None
    if place.scheme == "https" and there.scheme == "http":
        raise Refused("it redirects from https to http")
    return there


class Reply(Protocol):
    """What came back. `body` is there for a 200 only; `oversize` where it was longer than asked for."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> dict[str, str]: ...

    @property
    def body(self) -> bytes: ...

    @property
    def oversize(self) -> bool: ...


class Ask(Protocol):
    """Sends one GET to one of `addresses` and nowhere else. Raises `TargetFault`."""

    async def __call__(
        self, scheme: str, host: str, port: int, target: str, *, addresses: Sequence[str], most: int, seconds: float
    ) -> Reply: ...


class Resolve(Protocol):
    """The addresses of a name or of a literal address, as text. Raises `TargetFault`."""

    async def __call__(self, host: str, port: int) -> Sequence[str]: ...


class Fetcher:
    """Fetches pictures and PDFs by URL under a policy; at most `at_once` at a time, whoever asks for them."""

    def __init__(self, ask: Ask, resolve: Resolve, policy: Policy | None = None, *, at_once: int = 16) -> None:
        self._ask = ask
        self._resolve = resolve
        self._policy = policy or Policy()
        self._places = asyncio.Semaphore(at_once)

    async def fetch(self, url: str, path: str, wanted: frozenset[str], *, inside: bool = False) -> bytes:
        """The bytes behind `url`, whose first ones say that they are one of the `wanted` media types.

        `inside`: for a call that may not leave the house. Only what the policy exempts is asked then, at each hop, and
        no other name is even looked up.

        Raises `InvalidRequest` naming `path`. It says why, and of a host that is not public not even its status.
        """
        try:
            async with asyncio.timeout(self._policy.seconds), self._places:
                data = await self._walk(split(url), inside)
        except TimeoutError:
            raise _refusal(path, TOO_SLOW) from None
        except TargetFault:
            raise _refusal(path, UNREACHED) from None
        except Refused as refused:
            raise _refusal(path, str(refused)) from None
        if pictures.media_type(data) not in wanted:
            raise _refusal(path, f"it leads to none of {', '.join(sorted(wanted))}")
        return data

    async def _walk(self, place: Place, inside: bool) -> bytes:
        policy = self._policy
        by = asyncio.get_running_loop().time() + policy.seconds
        for _ in range(policy.redirects + 1):
            if inside and not policy.is_inside(place):
                raise Refused(OUTSIDE)
            if not policy.port_allowed(place):
                raise Refused(f"port {place.port} is not fetched from")
            addresses = await self._addresses(place)
            public = policy.judge(place, addresses, inside=inside)
            seconds = max(by - asyncio.get_running_loop().time(), 0.001)
            reply = await self._ask(
                place.scheme,
                place.host,
                place.port,
                place.target,
                addresses=addresses,
                most=policy.most,
                seconds=seconds,
            )
            if reply.status not in REDIRECTS:
                return _accept(reply, policy, public)
            place = follow(place, reply.headers.get("location", ""))
        raise Refused(f"it redirects more than {policy.redirects} times")

    async def _addresses(self, place: Place) -> Sequence[str]:
        """A name that is unknown and one that is not public look the same: nobody learns our inner names here."""
        try:
            return await self._resolve(place.host, place.port)
        except TargetFault:
            raise Refused(NOT_PUBLIC) from None


class Larder:
    """What one call has fetched: its next target need not fetch it again, and a call can ask for so much only."""

    def __init__(
        self, fetcher: Fetcher, *, most_urls: int = 20, most_bytes: int = 64 * 1024 * 1024, inside: bool = False
    ) -> None:
        """Make one for each call; `inside` as in `Fetcher.fetch`."""
        self._fetcher = fetcher
        self._inside = inside
        self._most_urls = most_urls
        self._room = most_bytes
        self._asked: set[str] = set()
        self._kept: dict[tuple[str, frozenset[str]], bytes] = {}

    async def fetch(self, url: str, path: str, wanted: frozenset[str]) -> bytes:
        """As `Fetcher.fetch`. Raises `InvalidRequest` too for one URL too many, or one byte."""
        kept = self._kept.get((url, wanted))
        if kept is not None:
            return kept
        self._asked.add(url)
        if len(self._asked) > self._most_urls:
            raise _refusal(path, f"a request may name {self._most_urls} of them")
        data = await self._fetcher.fetch(url, path, wanted, inside=self._inside)
        self._room -= len(data)
        if self._room < 0:
            raise _refusal(path, "all that this request names is too large together")
        self._kept[url, wanted] = data
        return data


def _accept(reply: Reply, policy: Policy, public: bool) -> bytes:
    if reply.status != 200:
        raise Refused(f"its server answered with {reply.status}" if public else "its server did not give it")
    if reply.headers.get("content-encoding", "identity").lower() not in ("", "identity"):
        raise Refused("its server sent it compressed, which was not asked for")
    if reply.oversize:
        raise Refused(f"it is larger than {policy.most:,} bytes")
    return reply.body


def _refusal(path: str, why: str) -> InvalidRequest:
    return InvalidRequest(f"{path}: the URL cannot be fetched: {why}. Send the bytes as base64", param=path)
