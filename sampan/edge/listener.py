"""Takes connections in, looks after those that wait, and lets go of them in the end."""

from __future__ import annotations

import asyncio
import resource
import socket
from collections.abc import Coroutine
from email.utils import formatdate
from typing import Any

from sampan.config import Config
from sampan.edge.addresses import Proxies
from sampan.edge.entrance import Entrance
from sampan.edge.guesses import Guesses
from sampan.edge.vestibule import Vestibule
from sampan.edge.wire import Desk, Wire

IDLE = 75.0
"""Seconds between two requests: longer than clients keep a connection, so that it is not closed under a call."""

LOOK_EVERY = 0.25
BACKLOG = 2048

UNSENT = 131_072
"""Bytes that the kernel may hold for a caller beyond what is on its way there. Without a bound it takes megabytes for
each one who does not read (2.5 of them on loopback), and only then is an upstream asked to wait."""

FILES = 65_536
"""Connections, and what is open for them: systems let a process begin with 1,024."""


def claim_files(wanted: int = FILES) -> int:
    """Raises how many files this process may have open as far as it may and as is wanted; returns what is in force."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft == resource.RLIM_INFINITY or soft >= most:
        return soft
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return most


class Listener:
    """The connections of one gateway, on the event loop that it is made on."""

    def __init__(self, desk: Desk, *, idle: float = IDLE, entrance: Entrance | None = None) -> None:
        self.idle = idle
        self.entrance = entrance = entrance or Entrance(Config())
        self.proxies: Proxies = entrance.proxies
        self.guesses: Guesses = entrance.guesses
        entrance.changed = self._adopt
        self.stopping = False
        self.date = b""
        self._desk = desk
        self._loop = asyncio.get_running_loop()
        self._wires: set[Wire] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._vestibule: Vestibule | None = None
        self._watching: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._empty: asyncio.Future[None] | None = None

    async def start(self, listening: socket.socket) -> None:
        """Takes connections from now on, from a socket that is bound."""
        self._tick()
        self.entrance.fit(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        if hasattr(socket, "TCP_NOTSENT_LOWAT"):  # the connections have it from the socket that they came in by
            listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT)
        if self.entrance.certificates is None:
            self._server = await self._loop.create_server(self._wire, sock=listening, backlog=BACKLOG)
            return
        self._vestibule = Vestibule(listening, self.entrance, self._secure)
        self._vestibule.open(BACKLOG)
        self._watching = self._loop.create_task(self.entrance.watch())

    def retire(self) -> None:
        """No new connections and no new calls; answers under way go on."""
        self.stopping = True
        if self._server is not None:
            self._server.close()
        if self._vestibule is not None:
            self._vestibule.close()
        for wire in list(self._wires):
            wire.retire()

    async def empty(self, seconds: float) -> bool:
        """Whether every connection has ended within `seconds`."""
        if self._wires or self._tasks:
            self._empty = self._loop.create_future()
            await asyncio.wait((self._empty,), timeout=seconds)
        return not (self._wires or self._tasks)

    async def close(self) -> None:
        """Aborts what is left."""
        self.retire()
        if self._timer is not None:
            self._timer.cancel()
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait((self._watching,))
        for wire in list(self._wires):
            wire.abort()
        for task in self._tasks:
            task.cancel()
        await self.empty(1.0)

    # What connections tell.

    def joined(self, wire: Wire) -> None:
        self._wires.add(wire)
        if not wire.counted:
            refused = self.entrance.enter(wire.peer)
            if refused is not None:
                wire.refuse(*refused)
                return
            wire.counted = True
        if self.stopping:
            wire.retire()

    def parted(self, wire: Wire) -> None:
        self._wires.discard(wire)
        if wire.counted:
            self.entrance.crowd.leave(wire.peer)
        self._ended()

    def begin(self, answering: Coroutine[Any, Any, None]) -> None:
        """A call is here; it is answered in a task of its own."""
        task = self._loop.create_task(answering)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _wire(self) -> Wire:
        return Wire(self._desk, self, self._loop)

    def _secure(self) -> Wire:
        """Of a connection that the vestibule has counted."""
        wire = self._wire()
        wire.counted = True
        return wire

    def _adopt(self) -> None:
        self.proxies = self.entrance.proxies
        for wire in self._wires:
            wire.forget()

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if self.stopping:
            self._ended()

    def _ended(self) -> None:
        if self._empty is not None and not self._empty.done() and not (self._wires or self._tasks):
            self._empty.set_result(None)

    def _tick(self) -> None:
        self.date = f"date: {formatdate(usegmt=True)}\r\n".encode()
        now = self._loop.time()
        for wire in list(self._wires):
            wire.look(now)
        self._timer = self._loop.call_later(LOOK_EVERY, self._tick)
