"""From an origin to a connection that can be asked: names, TCP, the proxy's CONNECT, TLS; all within one clock."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Callable, Coroutine, Sequence
from typing import cast

from sampan.config.egress import ANYWHERE, Egress
from sampan.core import Fault
from sampan.errors import ConfigError, TargetFault
from sampan.upstreams.answer import AnswerReader
from sampan.upstreams.connection import Connection
from sampan.upstreams.lateness import until
from sampan.upstreams.origin import Limits, Origin, Proxy

# (family, type, protocol, canonical name, socket address), as getaddrinfo gives it
Address = tuple[int, int, int, str, tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]]

# A long answer is silent for minutes, and a NAT on the way forgets a silent connection; in seconds.
_PROBE_AFTER = 60


def tls_context(ca_file: str | None = None) -> ssl.SSLContext:
    """Verified TLS from 1.2 on, for HTTP/1.1; `ca_file` (PEM) is trusted in addition. Reads files: make it once.

    Raises ConfigError if `ca_file` cannot be used.
    """
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    if ca_file is not None:
        try:
            context.load_verify_locations(cafile=ca_file)
        except OSError as error:
            raise ConfigError(f"the CA file cannot be read: {error.strerror or 'no certificate in it'}") from error
    return context


class Dialer:
    """Opens connections to one origin. Looks its name up at most once at a time, however many calls wait for it.

    Lookups cannot be cancelled: without that, a resolver that hangs would fill every thread of the process.
    """

    def __init__(
        self,
        origin: Origin,
        *,
        proxy: Proxy | None,
        context: ssl.SSLContext | None,
        limits: Limits,
        resolve: Callable[[str, int], Coroutine[object, object, Sequence[Address]]] | None = None,
        egress: Egress = ANYWHERE,
    ) -> None:
        """`resolve` gives the addresses of a name and raises TargetFault; the system's resolver unless said.

        `egress` is asked for the origin and the proxy by name, and for each address before it is connected to.
        """
        self._origin = origin
        self._proxy = proxy
        self._context = context
        self._limits = limits
        self._host, self._port = (proxy.host, proxy.port) if proxy else (origin.host, origin.port)
        self._resolve = resolve or look_up
        self._egress = egress
        self._lookup: asyncio.Task[Sequence[Address]] | None = None

    async def open(self, make: Callable[[], Connection], by: float) -> Connection:
        """A connected connection, by `by` on the loop's clock. Raises TargetFault."""
        self._check_names()
        try:
            async with until(by):
                sock = await self._connect(self._allowed(await self._addresses()), by)
                return await self._establish(sock, make(), by)
        except TimeoutError:
            raise TargetFault(Fault.CONNECT_TIMEOUT, "not connected within the connect clock") from None

    def close(self) -> None:
        """Forget a lookup that nobody will wait for."""
        if self._lookup is not None:
            self._lookup.cancel()

    def _check_names(self) -> None:
        """Before anything is looked up: the question itself leaves the house. Raises TargetFault."""
        if not self._egress.restricted:
            return
        try:
            self._egress.check(self._origin.host, self._origin.port)
            self._egress.check(self._host, self._port)
        except ConfigError as error:
            raise TargetFault(Fault.UNREACHABLE, str(error)) from None

    def _allowed(self, addresses: Sequence[Address]) -> Sequence[Address]:
        """Those that may be connected to. Raises TargetFault where none is left: a name may stand for any address."""
        if not self._egress.restricted:
            return addresses
        allowed = []
        refusal: ConfigError | None = None
        for address in addresses:
            try:
                self._egress.check_address(str(address[4][0]), self._port, self._host)
                allowed.append(address)
            except ConfigError as error:
                refusal = error
        if refusal is not None and not allowed:
            raise TargetFault(Fault.UNREACHABLE, str(refusal)) from None
        return allowed

    async def _addresses(self) -> Sequence[Address]:
        literal = _literal(self._host, self._port)
        if literal is not None:
            return [literal]
        if self._lookup is None or self._lookup.done():
            self._lookup = asyncio.get_running_loop().create_task(self._resolve(self._host, self._port))
            self._lookup.add_done_callback(_look_at)
        lookup = self._lookup
        try:
            return await asyncio.shield(lookup)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if lookup.cancelled() and task is not None and not task.cancelling():
                raise TargetFault(Fault.UNREACHABLE, "closed while its name was looked up") from None
            raise

    async def _connect(self, addresses: Sequence[Address], by: float) -> socket.socket:
        """Try every address, each with its share of the time that is left, so that a dead one cannot eat it all."""
        loop = asyncio.get_running_loop()
        fault = TargetFault(Fault.DNS, "the name has no address")
        for index, (family, kind, protocol, _, address) in enumerate(addresses):
            share = (by - loop.time()) / (len(addresses) - index)
            try:
                sock = socket.socket(family, kind, protocol)
            except OSError as error:
                fault = TargetFault(Fault.UNREACHABLE, _reason(error))
                continue
            try:
                sock.setblocking(False)
                async with until(loop.time() + share):
                    await loop.sock_connect(sock, address)
                _keep_awake(sock)
                return sock
            except TimeoutError:
                fault = TargetFault(Fault.CONNECT_TIMEOUT, "no answer to the connect")
            except ConnectionRefusedError:
                fault = TargetFault(Fault.REFUSED, "the connect was refused")
            except OSError as error:
                fault = TargetFault(Fault.UNREACHABLE, _reason(error))
            except BaseException:
                sock.close()
                raise
            sock.close()
        raise fault

    async def _establish(self, sock: socket.socket, connection: Connection, by: float) -> Connection:
        loop = asyncio.get_running_loop()
        opening = Opening(self._limits)
        try:
            transport, _ = await loop.create_connection(lambda: opening, sock=sock)
        except OSError as error:
            raise TargetFault(Fault.UNREACHABLE, _reason(error)) from error
        try:
            if self._proxy is not None:
                await opening.tunnel(_connect_head(self._origin, self._proxy))
            if self._context is not None:
                transport = await self._wrap(transport, connection, by)
            elif opening.unasked:
                raise TargetFault(Fault.MALFORMED, "the peer spoke before it was asked")
            else:
                transport.set_protocol(connection)
            if opening.lost or connection.closed:
                raise TargetFault(Fault.CUT, "the connection was closed as soon as it was made")
            connection.connection_made(transport)
        except BaseException:
            transport.abort()
            raise
        return connection

    async def _wrap(self, transport: asyncio.Transport, connection: Connection, by: float) -> asyncio.Transport:
        """TLS over what there is. Whatever goes wrong here is the handshake's, a reset by a censor included."""
        loop = asyncio.get_running_loop()
        assert self._context is not None
        try:
            secure = await loop.start_tls(
                transport,
                connection,
                self._context,
                server_hostname=self._origin.host,
                ssl_handshake_timeout=max(by - loop.time(), 0.0) + 1.0,  # later than ours, which names the fault
            )
        except TimeoutError:
            raise
        except ssl.SSLError as error:
            raise TargetFault(Fault.TLS, _tls_reason(error)) from error
        except OSError as error:
            raise TargetFault(Fault.TLS, f"the handshake broke: {_reason(error)}") from error
        if secure is None:
            raise TargetFault(Fault.TLS, "the handshake broke: the connection was closed")
        return secure


class Opening(asyncio.Protocol):
    """Holds the socket until the connection takes over, and speaks CONNECT to the proxy where there is one."""

    def __init__(self, limits: Limits) -> None:
        self.unasked = False
        self.lost = False
        self._answer = AnswerReader(limits)
        self._transport: asyncio.Transport | None = None
        self._done: asyncio.Future[None] | None = None

    async def tunnel(self, head: bytes) -> None:
        """Ask for the tunnel. Raises TargetFault: whatever the proxy does wrong makes the origin unreachable."""
        assert self._transport is not None
        self._done = asyncio.get_running_loop().create_future()
        if self.lost:
            self._refuse("the proxy closed the connection")
        else:
            self._answer.begin(bodiless=True)
            self._transport.write(head)
        await self._done

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self._done is None or self._done.done():
            self.unasked = True
            return
        answer = self._answer
        try:
            answer.feed(data)
        except TargetFault as fault:
            if not answer.head_complete or answer.status < 300:  # else what is odd is only the body of a refusal
                self._refuse(f"the proxy answered CONNECT with no HTTP: {fault.detail}")
                return
        if not answer.head_complete:
            return
        if answer.status < 300:
            self._done.set_result(None)
        else:
            self._refuse(f"the proxy answered CONNECT with {answer.status}")

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        self._refuse("the proxy closed the connection")

    def _refuse(self, why: str) -> None:
        if self._done is not None and not self._done.done():
            self._done.set_exception(TargetFault(Fault.UNREACHABLE, why))


async def look_up(host: str, port: int) -> Sequence[Address]:
    """The addresses of a name. Raises TargetFault, DNS."""
    try:
        return await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        raise TargetFault(Fault.DNS, error.strerror or "the name cannot be resolved") from error
    except UnicodeError as error:
        raise TargetFault(Fault.DNS, "the name cannot be looked up") from error
    except OSError as error:
        raise TargetFault(Fault.DNS, _reason(error)) from error


def _look_at(lookup: asyncio.Task[Sequence[Address]]) -> None:
    """A lookup whose callers have all given up fails unseen; that is no mistake to warn of."""
    if not lookup.cancelled():
        lookup.exception()


def _literal(host: str, port: int) -> Address | None:
    """An address needs no lookup, and no thread for one."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    if address.version == 4:
        return (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, port))
    if "%" in host:
        return None
    return (socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, port, 0, 0))


def _connect_head(origin: Origin, proxy: Proxy) -> bytes:
    authorization = f"proxy-authorization: {proxy.authorization}\r\n" if proxy.authorization else ""
    return f"CONNECT {origin.authority} HTTP/1.1\r\nhost: {origin.authority}\r\n{authorization}\r\n".encode("ascii")


def _keep_awake(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_KEEPIDLE"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _PROBE_AFTER)


def _reason(error: OSError) -> str:
    return error.strerror or type(error).__name__


def _tls_reason(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate is not accepted: {error.verify_message}"
    return error.reason or type(error).__name__
