"""Values that a pool is made of: where to connect, through what, within which clocks and bounds. No I/O."""

from __future__ import annotations

import base64
import math
from dataclasses import dataclass
from urllib.parse import SplitResult, unquote, urlsplit

from sampan.errors import ConfigError

_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Clocks:
    """The four clocks of one attempt, in seconds.

    `connect` covers names, TCP, the proxy's CONNECT and TLS together. `first_event` runs from the last byte of the
    request that could be sent until `Response.first_event_seen`; `idle` between two chunks after that, while the
    reader waits; `total` from the call of `Pool.request`. `rate` is no clock but the bytes a second that a stream must
    bring; 0: any.
    """

    connect: float = 2.0
    first_event: float = 20.0
    idle: float = 30.0
    total: float = 600.0
    rate: float = 0.0

    def __post_init__(self) -> None:
        for name in ("connect", "first_event", "idle", "total"):
            seconds = getattr(self, name)
            if not (seconds > 0 and math.isfinite(seconds)):
                raise ConfigError(f"the clock {name} must be more than 0 seconds")


@dataclass(frozen=True, slots=True)
class Limits:
    """What a peer may make us hold, in bytes and counts.

    `head_bytes` and `headers` bound an answer's head, informational answers and trailers included; `informational`
    the number of 1xx before it. Reading pauses above `high_water` bytes that nobody has read, and goes on below
    `low_water`.
    """

    head_bytes: int = 65_536
    headers: int = 100
    informational: int = 8
    high_water: int = 65_536
    low_water: int = 16_384


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a pool connects: `host` is a name or an address without brackets, `path` has no slash at its end."""

    scheme: str
    host: str
    port: int
    path: str

    @classmethod
    def parse(cls, url: str) -> Origin:
        """Read a `base_url` such as `https://api.anthropic.com` or `http://[::1]:8000/v1`. Raises ConfigError."""
        parts = _split(url, "base_url")
        if parts.scheme not in _PORTS:
            raise ConfigError("base_url must start with http:// or https://")
        if parts.username is not None or parts.password is not None:
            raise ConfigError("base_url must not hold a user or a password")
        if parts.query or parts.fragment:
            raise ConfigError("base_url must not have a query or a fragment")
        path = parts.path.rstrip("/")
        if not all("!" <= letter <= "~" for letter in path):
            raise ConfigError("base_url has a path with letters that must be percent-encoded")
        return cls(parts.scheme, _host(parts, "base_url"), _port(parts, "base_url") or _PORTS[parts.scheme], path)

    @property
    def secure(self) -> bool:
        return self.scheme == "https"

    @property
    def authority(self) -> str:
        """What CONNECT asks for: always with a port (RFC 9110, 9.3.6)."""
        return f"{_bracketed(self.host)}:{self.port}"

    @property
    def host_header(self) -> str:
        """The Host header: without the scheme's own port (RFC 9110, 7.2)."""
        return _bracketed(self.host) if self.port == _PORTS[self.scheme] else self.authority


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy that is asked to CONNECT; `authorization` is a header's value, or nothing."""

    host: str
    port: int
    authorization: str

    @classmethod
    def parse(cls, url: str) -> Proxy:
        """Read `http://user:password@host:port`, both names percent-encoded. Raises ConfigError, without the URL."""
        parts = _split(url, "proxy")
        if parts.scheme != "http":
            raise ConfigError("proxy must start with http://")
        if parts.path.strip("/") or parts.query or parts.fragment:
            raise ConfigError("proxy must not have a path")
        authorization = ""
        if parts.username is not None:
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            authorization = "Basic " + base64.b64encode(pair.encode()).decode("ascii")
        return cls(_host(parts, "proxy"), _port(parts, "proxy") or _PORTS["http"], authorization)


def _split(url: str, what: str) -> SplitResult:
    if any(letter <= " " or letter == "\x7f" for letter in url):
        raise ConfigError(f"{what} has a blank or a control character in it")
    try:
        return urlsplit(url)
    except ValueError as error:
        raise ConfigError(f"{what} is not a URL") from error


def _host(parts: SplitResult, what: str) -> str:
    host = parts.hostname or ""
    if not host:
        raise ConfigError(f"{what} has no host")
    if host.isascii():
        return host
    try:
        return host.encode("idna").decode("ascii")
    except UnicodeError as error:
        raise ConfigError(f"{what} has a host that is no name of the internet") from error


def _port(parts: SplitResult, what: str) -> int | None:
    try:
        port = parts.port
    except ValueError as error:
        raise ConfigError(f"{what} has a port that is none") from error
    if port == 0:
        raise ConfigError(f"{what} has a port that is none")
    return port


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
