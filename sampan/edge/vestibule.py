"""TLS connections between their acceptance and their first request.

    accepted ──first byte of a handshake──▶ shaking hands ──▶ a Wire
        └──plain HTTP──▶ told so, closed            any ──too late──▶ closed

We accept them ourselves, so that each is counted before its handshake costs anything, is shown the certificate in force
at that moment, and is told in the clear where it does not speak TLS.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress

from sampan.edge.addresses import plain
from sampan.edge.certificates import Certificates
from sampan.edge.entrance import Entrance
from sampan.edge.exchange import refusal
from sampan.edge.wire import Wire

HANDSHAKE = b"\x16"
"""The first byte of every TLS connection: the type of the record that a ClientHello stands in (RFC 8446, 5.1)."""

AT_ONCE = 64
FAREWELL = 2.0
"""Seconds that a caller has to agree on the end of TLS; the connection is held, and counted, until then."""

REST = 1.0
"""Seconds to let be when the system has no room for another connection."""

_LATER = (BlockingIOError, InterruptedError)


class Vestibule:
    """`make` makes the wire of a connection that is counted already."""

    def __init__(self, listening: socket.socket, entrance: Entrance, make: Callable[[], Wire]) -> None:
        self._listening = listening
        self._entrance = entrance
        self._make = make
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._rest: asyncio.TimerHandle | None = None

    def open(self, backlog: int) -> None:
        """Accepts connections from now on."""
        self._listening.setblocking(False)
        self._listening.listen(backlog)
        self._resume()

    def close(self) -> None:
        """Accepts none any more, and lets go of those that have not shaken hands."""
        if self._rest is not None:
            self._rest.cancel()
        if self._listening.fileno() >= 0:
            self._loop.remove_reader(self._listening.fileno())
            self._listening.close()
        for task in self._tasks:
            task.cancel()

    def _resume(self) -> None:
        self._loop.add_reader(self._listening.fileno(), self._accept)

    def _accept(self) -> None:
        for _ in range(AT_ONCE):
            try:
                sock, address = self._listening.accept()
            except (*_LATER, ConnectionAbortedError):
                return
            except (
                OSError
            ):  # out of files or memory: the connection stays in the queue, and would call us again at once
                self._loop.remove_reader(self._listening.fileno())
                self._rest = self._loop.call_later(REST, self._resume)
                return
            where = plain(address[0]) if isinstance(address, tuple) else ""
            certificates = self._entrance.certificates
            if certificates is None or self._entrance.enter(where) is not None:
                sock.close()
                continue
            task = self._loop.create_task(self._receive(sock, where, certificates))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _receive(self, sock: socket.socket, where: str, certificates: Certificates) -> None:
        """Until it is a wire's. Who is late, speaks no TLS or shows no certificate is nobody's trouble but its own."""
        seconds = certificates.settings.handshake
        wire = self._make()
        try:
            with suppress(OSError):  # TimeoutError and SSLError are such
                sock.setblocking(False)
                async with asyncio.timeout(seconds):
                    await self._readable(sock)
                    first = sock.recv(1, socket.MSG_PEEK)
                    if first == HANDSHAKE:
                        await self._loop.connect_accepted_socket(
                            lambda: wire,
                            sock,
                            ssl=certificates.context,
                            ssl_handshake_timeout=seconds,
                            ssl_shutdown_timeout=FAREWELL,
                        )
                    elif first:
                        _tell(sock)
        finally:
            if not wire.came:
                sock.close()
                self._entrance.crowd.leave(where)

    async def _readable(self, sock: socket.socket) -> None:
        readable = self._loop.create_future()
        self._loop.add_reader(sock.fileno(), _set, readable)
        try:
            await readable
        finally:
            self._loop.remove_reader(sock.fileno())


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _tell(sock: socket.socket) -> None:
    """A word in the clear for who asks in the clear. What it sent is read first: or the word would be lost."""
    body = refusal("invalid_request_error", "this port speaks TLS: ask with https://")
    head = (
        b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
    )
    with suppress(OSError):
        sock.recv(65_536)
        sock.send(head % len(body) + body)
        sock.shutdown(socket.SHUT_WR)
