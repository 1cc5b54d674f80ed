"""HTTP to hubs, by the standard library: a verb of a few requests, each of which brings gigabytes.

`upstreams` is asynchronous and made for calls, and may not be imported here. Of what is left, `urllib.request` does all
that is needed (proxies of the environment, TLS by the system's authorities, bodies in pieces), is installed everywhere
and will not change under us; httpx2 would become a dependency of its own for connections that are used once.
"""

from __future__ import annotations

import functools
import http.client
import json
import socket
import ssl
import threading
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urljoin, urlsplit

from sampan import __version__
from sampan.config.egress import ANYWHERE, Egress
from sampan.errors import ConfigError
from sampan.releases.names import ReleaseError

CHUNK = 1 << 18
_LARGEST_JSON = 64 << 20
_HOPS = 10
_REDIRECTS = (301, 302, 303, 307, 308)
_PASSING = (408, 425, 429)  # as is every 5xx
_LONGEST_WAIT = 120.0


class Passing(Exception):
    """It did not work this time and may the next. `wait` is what the server asked for, in seconds."""

    def __init__(self, what: str, wait: float = 0.0) -> None:
        super().__init__(what)
        self.wait = wait


class Stopped(Exception):
    """Somebody asked to stop, or another file failed."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How often something is tried without progress: again after `first` seconds, then twice that, up to `longest`."""

    tries: int = 7
    first: float = 0.5
    longest: float = 20.0

    def wait(self, attempt: int, asked: float) -> float:
        """Seconds before the attempt after `attempt` (from 1); what a server asks for is heeded, within reason."""
        return max(min(self.first * 2.0 ** (attempt - 1), self.longest), min(asked, _LONGEST_WAIT))


class Body(Protocol):
    def read(self, amount: int = ..., /) -> bytes: ...

    def read1(self, amount: int = ..., /) -> bytes:
        """What is there already, as soon as there is something: nothing that came is lost when the rest does not."""
        ...


@dataclass(frozen=True, slots=True)
class Answer:
    """`headers` are looked up in any case; `body` is read in pieces."""

    status: int
    headers: Mapping[str, str]
    body: Body

    def error(self) -> Passing | ReleaseError:
        """What a status that is not wanted means."""
        if self.status in _PASSING or self.status >= 500:
            asked = self.headers.get("Retry-After") or ""
            return Passing(f"it answered {self.status}", float(asked) if asked.isdecimal() else 0.0)
        return ReleaseError(f"it answered {self.status}")


@dataclass(frozen=True, slots=True)
class Credentials:
    """Headers for one origin, and for no other: a redirect that leads elsewhere does not get them."""

    endpoint: str
    headers: Mapping[str, str]

    def for_url(self, url: str) -> Mapping[str, str]:
        return self.headers if _origin(url) == _origin(self.endpoint) else {}


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


class Wire:
    """Opens URLs, following redirects by hand. `stop` ends waits; `timeout` is in seconds of silence.

    `say` is told of what is waited for.

    Proxies are those of HTTP_PROXY, HTTPS_PROXY and NO_PROXY. `egress` is asked at each hop, by name and by address.
    """

    def __init__(
        self,
        stop: threading.Event,
        patience: Patience,
        timeout: float = 30.0,
        say: Callable[[str], None] = lambda _: None,
        egress: Egress = ANYWHERE,
    ) -> None:
        self.stop = stop
        self._egress = egress
        self._say = say
        self.patience = patience
        self._timeout = timeout
        # Only these: an opener as it comes also reads file: and ftp:, follows redirects and raises for a status.
        self._opener = urllib.request.OpenerDirector()
        handlers = (urllib.request.ProxyHandler(), _Http(egress), _Https(egress))
        for handler in handlers:
            self._opener.add_handler(handler)

    @contextmanager
    def open(self, url: str, credentials: Credentials, headers: Mapping[str, str]) -> Iterator[Answer]:
        """One GET, whatever its status. Raises `Passing`, also for a body that breaks half way, or `ReleaseError`."""
        host = urlsplit(url).hostname
        try:
            with self._follow(url, credentials, headers) as answer:
                yield answer
        except ssl.SSLCertVerificationError as error:
            raise _untrusted(host, error) from None
        except urllib.request.URLError as error:  # type: ignore[attr-defined]
            if isinstance(error.reason, ssl.SSLCertVerificationError):
                raise _untrusted(host, error.reason) from None
            raise Passing(f"it cannot be reached: {_reason(error.reason)}") from None
        except TimeoutError:
            raise Passing(f"nothing came for {self._timeout:g} seconds") from None
        except (http.client.HTTPException, ssl.SSLError, ConnectionError) as error:
            raise Passing(f"the connection broke: {_reason(error)}") from None

    def get_json(self, url: str, credentials: Credentials) -> tuple[int, Mapping[str, str], Any]:
        """Status, headers and body (None where it is no JSON) of an answer, tried again as long as that helps."""
        attempt = 0
        while True:
            try:
                with self.open(url, credentials, {"Accept": "application/json"}) as answer:
                    error = answer.error() if answer.status >= 400 else None
                    if isinstance(error, Passing):
                        raise error
                    data = answer.body.read(_LARGEST_JSON)
                    return answer.status, answer.headers, _decode(data)
            except Passing as error:
                attempt += 1
                if attempt >= self.patience.tries:
                    raise ReleaseError(f"{urlsplit(url).netloc}: {error}") from None
                wait = self.patience.wait(attempt, error.wait)
                self._say(f"{urlsplit(url).netloc}: {error}; tried again in {wait:.1f} s")
                self.rest(wait)

    def rest(self, seconds: float) -> None:
        """Waits, or raises `Stopped`."""
        if self.stop.wait(seconds):
            raise Stopped

    @contextmanager
    def _follow(self, url: str, credentials: Credentials, headers: Mapping[str, str]) -> Iterator[Answer]:
        for _ in range(_HOPS):
            if self.stop.is_set():
                raise Stopped
            _check(self._egress, url)
            sent = {"User-Agent": f"sampan/{__version__}", "Accept-Encoding": "identity", **headers}
            request = urllib.request.Request(url, headers={**sent, **credentials.for_url(url)})
            response = self._opener.open(request, timeout=self._timeout)
            if response is None:
                raise ReleaseError(f"{urlsplit(url).scheme}: is neither http nor https")
            with response:
                to = response.headers.get("Location")
                if response.status not in _REDIRECTS or not to:
                    yield Answer(response.status, response.headers, response)
                    return
                url = _next(url, to)
        raise ReleaseError(f"{urlsplit(url).netloc}: more than {_HOPS} redirects")


def _check(egress: Egress, url: str) -> None:
    parts = urlsplit(url)
    try:
        egress.check(parts.hostname or "", parts.port or {"http": 80, "https": 443}.get(parts.scheme, 443))
    except ConfigError as error:
        raise ReleaseError(str(error)) from None


def _connected(
    egress: Egress, address: tuple[str, int], timeout: float, source_address: tuple[str, int] | None
) -> socket.socket:
    """`socket.create_connection`, to addresses that may be connected to only. Raises ReleaseError where none may."""
    host, port = address
    refusal: Exception = OSError(f"{host} has no address")
    try:
        egress.check(host, port)  # a proxy's, perhaps
        for *_, found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            try:
                egress.check_address(str(found[0]), port, host)
                return socket.create_connection((str(found[0]), port), timeout, source_address)
            except (OSError, ConfigError) as error:
                refusal = error
        raise refusal
    except ConfigError as error:
        raise ReleaseError(str(error)) from None


class _Connection(http.client.HTTPConnection):
    def __init__(self, host: str, *, egress: Egress, **options: Any) -> None:
        super().__init__(host, **options)
        self._create_connection = functools.partial(_connected, egress)


class _SecureConnection(http.client.HTTPSConnection):
    def __init__(self, host: str, *, egress: Egress, **options: Any) -> None:
        super().__init__(host, **options)
        self._create_connection = functools.partial(_connected, egress)


class _Http(urllib.request.HTTPHandler):
    def __init__(self, egress: Egress) -> None:
        super().__init__()
        self._egress = egress

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(functools.partial(_Connection, egress=self._egress), req)


class _Https(urllib.request.HTTPSHandler):
    def __init__(self, egress: Egress) -> None:
        super().__init__()
        self._egress = egress

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(functools.partial(_SecureConnection, egress=self._egress), req)


def _next(url: str, location: str) -> str:
    there = urljoin(url, location)
    scheme = urlsplit(there).scheme
    if scheme not in ("http", "https") or (scheme == "http" and url.startswith("https:")):
        raise ReleaseError(f"{urlsplit(url).netloc} redirects from https to {scheme}: that is not followed")
    return there


def _untrusted(host: str | None, error: ssl.SSLCertVerificationError) -> ReleaseError:
    return ReleaseError(
        f"The certificate of {host} is not trusted: {error.verify_message}. A proxy that opens TLS needs its authority "
        "among the system's, or SSL_CERT_FILE to name it."
    )


def _reason(error: object) -> str:
    words = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return words or type(error).__name__


def _decode(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        return None
