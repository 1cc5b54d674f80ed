"""`[egress]`: the only hosts that may be connected to, as one rule that whoever opens a socket asks. No I/O.

A *name* is allowed by an entry that is this name, or `*.` and its end; an *address* by an entry that is it, or a
network around it. Each entry may end in a port. One that begins with `!` forbids, and wins. Without entries everything
is allowed; with any, this machine itself still is: nothing leaves the house on its loopback.

A name that is not allowed is not even looked up: the question alone would tell. One that is allowed must not turn out
to be this machine, a link-local address, or where clouds keep what a machine may know of itself, unless an entry for
addresses says so: else whoever answers for the name could point it inwards.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import urlsplit

from sampan.config.declare import setting
from sampan.config.objects import read_objects
from sampan.errors import ConfigError

if TYPE_CHECKING:
    from sampan.config.reading import Source
    from sampan.config.settings import Config

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

PORTS = {"http": 80, "https": 443, "redis": 6379, "rediss": 6379, "postgresql": 5432, "postgres": 5432}
_NAME = re.compile(r"(?:\*\.)?[a-z0-9_](?:[a-z0-9_.-]{0,252}[a-z0-9_])?")
_PLACE = re.compile(r"\[([^\]]+)\](?::(\d{1,5}))?|([^:]+)(?::(\d{1,5}))?")
# What a name must not lead to by itself.
_INWARD = tuple(
    ipaddress.ip_network(each)
    for each in (
        "0.0.0.0/8",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "224.0.0.0/4",
        "100.100.100.200/32",  # metadata of Alibaba Cloud
        "168.63.129.16/32",  # of Azure
        "::/127",
        "fd00:ec2::254/128",  # of AWS
        "fe80::/10",
        "ff00::/8",
    )
)
_MAPPED = IPv6Network("::ffff:0:0/96")
_NAT64 = IPv6Network("64:ff9b::/96")
_SIX_TO_FOUR = IPv6Network("2002::/16")
_ISATAP = (0x00005EFE, 0x02005EFE)  # the upper half of an interface identifier that ends in an IPv4 address (RFC 5214)


@dataclass(frozen=True, slots=True)
class EgressSettings:
    hosts: list[str] = setting(
        [],
        "The only hosts that may be connected to: `api.anthropic.com:443`, `*.lan`, `10.0.0.0/8`; `!` before one "
        "forbids it. Empty: any.",
    )


def embedded(address: Address) -> IPv4Address | None:
    """The IPv4 address that packets to an IPv6 one would reach in the end, where it carries one.

    Mapped (RFC 4291, 2.5.5.2), NAT64's well-known prefix (RFC 6052), 6to4 (RFC 3056), ISATAP (RFC 5214).
    """
    if isinstance(address, IPv4Address):
        return None
    value = int(address)
    if address in _MAPPED or address in _NAT64 or (value >> 32) & 0xFFFFFFFF in _ISATAP:
        return IPv4Address(value & 0xFFFFFFFF)
    if address in _SIX_TO_FOUR:
        return IPv4Address((value >> 80) & 0xFFFFFFFF)
    return None


@dataclass(frozen=True, slots=True)
class _Entry:
    """`name` begins with a dot where everything below it is meant; `port` None is any."""

    name: str
    network: Network | None
    port: int | None
    forbids: bool

    @classmethod
    def parse(cls, text: str) -> _Entry:
        """Raises ConfigError."""
        forbids = text.strip().startswith("!")
        found = _PLACE.fullmatch(text.strip().removeprefix("!").strip())
        try:  # an IPv6 address without brackets has no port
            whole = ipaddress.ip_network(text.strip().removeprefix("!").strip(), strict=False)
            return cls("", whole, None, forbids)
        except ValueError:
            if found is None:
                raise _no_entry(text) from None
        place, digits = (found[1] or found[3]).strip(), found[2] or found[4]
        port = int(digits) if digits else None
        if port is not None and not 0 < port < 65536:
            raise ConfigError(f"{text!r} has a port that is none")
        try:
            return cls("", ipaddress.ip_network(place, strict=False), port, forbids)
        except ValueError:
            name = _plain(place)
            if _NAME.fullmatch(name) is None:
                raise _no_entry(text) from None
            return cls(name.removeprefix("*"), None, port, forbids)

    def names(self, name: str, port: int) -> bool:
        if self.network is not None or self.port not in (None, port):
            return False
        return name.endswith(self.name) if self.name.startswith(".") else name == self.name

    def holds(self, address: Address, port: int) -> bool:
        network = self.network
        if network is None or self.port not in (None, port):
            return False
        return address.version == network.version and address in network


def _no_entry(text: str) -> ConfigError:
    return ConfigError(f"{text!r} is no host name, no `*.name`, no address and no network, each with or without a port")


def _plain(host: str) -> str:
    """A name as it is compared: lower case, without the dot at its end, in ASCII."""
    host = host.lower().rstrip(".")
    if host.isascii():
        return host
    try:
        return host.encode("idna").decode("ascii")
    except UnicodeError:
        return host


class Egress:
    """What may be connected to. Ask `check` before a name is looked up, `check_address` before a socket connects."""

    def __init__(self, hosts: Sequence[str] = ()) -> None:
        """Raises ConfigError for an entry that cannot be read."""
        self.hosts = tuple(hosts)
        entries = [_Entry.parse(text) for text in hosts]
        self._forbidding = [entry for entry in entries if entry.forbids]
        self._allowing = [entry for entry in entries if not entry.forbids]
        self._open = not self._allowing  # `!10.0.0.0/8` alone: anything but that

    @property
    def restricted(self) -> bool:
        """Whether there is any rule."""
        return bool(self.hosts)

    def check(self, host: str, port: int) -> None:
        """Raises ConfigError where this name, or literal address, may not be connected to."""
        if not self.hosts:
            return
        name = _plain(host)
        address = _literal(name)
        if address is not None:
            self.check_address(address, port)
        elif name != "localhost" and not self._allows(name, port):
            raise _refusal(host, port)

    def check_address(self, address: Address | str, port: int, name: str = "") -> None:
        """Raises ConfigError where this address may not be connected to; `name` is what it was found by, if any."""
        if not self.hosts:
            return
        if isinstance(address, str):
            address = ipaddress.ip_address(address.partition("%")[0])
        forms = [each for each in (address, embedded(address)) if each is not None]
        if any(entry.holds(form, port) for entry in self._forbidding for form in forms):
            raise _refusal(str(address), port)
        if any(entry.holds(form, port) for entry in self._allowing for form in forms):
            return
        name = _plain(name)
        if name in ("", "localhost") or _literal(name) is not None:
            if not all(form.is_loopback for form in forms) and not self._open:
                raise _refusal(str(address), port)
        elif not self._allows(name, port) or (not self._open and any(_inward(form) for form in forms)):
            raise _refusal(f"{name} ({address})", port)

    def allows(self, host: str, port: int) -> bool:
        """Whether `check` has nothing against it."""
        try:
            self.check(host, port)
        except ConfigError:
            return False
        return True

    def _allows(self, name: str, port: int) -> bool:
        if any(entry.names(name, port) for entry in self._forbidding):
            return False
        return self._open or any(entry.names(name, port) for entry in self._allowing)


ANYWHERE = Egress()
"""No rule at all."""


def _refusal(what: str, port: int) -> ConfigError:
    return ConfigError(f"[egress] hosts does not let anybody connect to {what} at port {port}")


def _inward(address: Address) -> bool:
    return any(address.version == network.version and address in network for network in _INWARD)


def _literal(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None


def place_of(url: str) -> tuple[str, int] | None:
    """Host and port that a URL leads to; None for what is none, such as `sqlite` or `folder`."""
    try:
        parts = urlsplit(url)
        port = parts.port or PORTS.get(parts.scheme.partition("+")[0], 443)
    except ValueError:
        return None
    return (parts.hostname, port) if parts.hostname else None


def destinations(config: Config) -> Iterator[tuple[tuple[str, ...], str, int]]:
    """What a configuration connects to by itself: path of the setting, host, port."""
    urls: list[tuple[tuple[str, ...], str]] = []
    for name, upstream in config.upstreams.items():
        urls += [(("upstreams", name, "base_url"), upstream.base_url), (("upstreams", name, "proxy"), upstream.proxy)]
    urls += [(("engines", name, "url"), engine.url) for name, engine in config.engines.items()]
    urls += [(("storage", name), getattr(config.storage, name)) for name in ("database", "state")]
    bucket = read_objects(config.storage.objects)
    if bucket is not None:
        urls.append((("storage", "objects"), bucket.destination))
    for path, url in urls:
        place = place_of(url)
        if place is not None:
            yield path, *place


def check_egress(config: Config, source: Source) -> None:
    """Raises ConfigError, with its line, for an entry that cannot be read and for what it would cut off."""
    try:
        egress = Egress(config.egress.hosts)
    except ConfigError as error:
        raise source.error(("egress", "hosts"), str(error)) from None
    for path, host, port in destinations(config):
        if not egress.allows(host, port):
            raise source.error(path, f"[egress] hosts does not let anybody connect to {host} at port {port}; list it")
