"""One GET to a stranger's server, over a connection to an address that was judged before: the sockets of a fetch.

What may be asked is decided elsewhere. Here is only this: names are looked up in threads of their own, so that a
stranger's slow name servers cannot hold up the lookups of upstreams; and a connection goes to the given addresses,
while TLS and the Host header speak of the name.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from sampan.config.egress import ANYWHERE, Egress
from sampan.core import Fault
from sampan.errors import ConfigError, TargetFault
from sampan.upstreams.connection import Connection
from sampan.upstreams.dial import Address, Dialer, tls_context
from sampan.upstreams.head import HeadBlock
from sampan.upstreams.origin import Clocks, Limits, Origin
from sampan.upstreams.response import Response

# No cookies, no key, no referrer, and nothing compressed: a small answer cannot unfold into a large one.
HEADERS = {
    "accept": "image/*, application/pdf",
    "accept-encoding": "identity",
    "user-agent": "sampan",
}

_LOOKUPS = 8  # names looked up at the same time


@dataclass(frozen=True, slots=True)
class Got:
    """What came back. `body` is there for a 200 only; `oversize` where it was longer than asked for."""

    status: int
    headers: dict[str, str]
    body: bytes = b""
    oversize: bool = False


class Strangers:
    """Asks servers that nobody configured, each connection once. Make it once, and close it."""

    def __init__(
        self, *, context: ssl.SSLContext | None = None, limits: Limits | None = None, egress: Egress = ANYWHERE
    ) -> None:
        """Without `context` TLS is `tls_context()`. What `egress` does not let anybody ask is not even looked up."""
        self._context = context or tls_context()
        self._limits = limits or Limits()
        self._egress = egress
        self._threads = ThreadPoolExecutor(_LOOKUPS, thread_name_prefix="lookup")

    async def resolve(self, host: str, port: int) -> list[str]:
        """The addresses of a name, as text; a literal address gives itself.

        Raises TargetFault: DNS, or UNREACHABLE for what egress does not allow.
        """
        loop = asyncio.get_running_loop()
        try:
            self._egress.check(host, port)
        except ConfigError as error:
            raise TargetFault(Fault.UNREACHABLE, str(error)) from None
        try:
            found = await loop.run_in_executor(
                self._threads, lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            )
        except (OSError, UnicodeError) as error:
            raise TargetFault(Fault.DNS, "the name cannot be resolved") from error
        return list(dict.fromkeys(str(address[0]) for *_, address in found))

    async def get(
        self, scheme: str, host: str, port: int, target: str, *, addresses: Sequence[str], most: int, seconds: float
    ) -> Got:
        """GET from one of `addresses` as `host`, within `seconds`, of at most `most` bytes. Raises TargetFault."""
        loop = asyncio.get_running_loop()
        by = loop.time() + seconds
        origin = Origin(scheme, host, port, "")
        context = self._context if origin.secure else None
        try:
            head = HeadBlock(origin, HEADERS).render("GET", target, (), 0)
        except ValueError as error:
            raise TargetFault(Fault.MALFORMED, "a request that cannot be sent") from error
        clocks = Clocks(connect=seconds, first_event=seconds, idle=seconds, total=seconds)

        async def judged(_host: str, _port: int) -> Sequence[Address]:
            return [_socket_address(address, port) for address in addresses]

        dialer = Dialer(origin, proxy=None, context=context, limits=self._limits, resolve=judged, egress=self._egress)
        connection = await dialer.open(lambda: Connection(loop, _Nobody(), self._limits, seconds), by)
        async with Response(connection, clocks, by, bodiless=False) as response:
            connection.start(response, head, b"")
            try:
                await response.head()
                return await _take(response, most)
            finally:
                connection.abort()

    def close(self) -> None:
        """Let go of the threads; a lookup that hangs is not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class _Nobody:
    """The owner of a connection that is used once: there is nothing to lend again."""

    def recycle(self, connection: Connection) -> None:
        connection.abort()

    def discard(self, connection: Connection) -> None:
        """Nothing was lent."""

    def gone(self, connection: Connection) -> None:
        """Nothing is counted."""


async def _take(response: Response, most: int) -> Got:
    """The answer, its body only where it is worth reading."""
    headers = response.headers
    if response.status != 200:
        return Got(response.status, headers)
    length = headers.get("content-length", "")
    if length.isdecimal() and int(length) > most:
        return Got(200, headers, oversize=True)
    parts: list[bytes] = []
    size = 0
    while chunk := await response.more():
        size += len(chunk)
        if size > most:
            return Got(200, headers, oversize=True)
        parts.append(chunk)
    return Got(200, headers, b"".join(parts))


def _socket_address(address: str, port: int) -> Address:
    """An address as the dialer connects to it: no name in it that anybody could look up again."""
    if ":" not in address:
        return (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port))
    return (socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port, 0, 0))
