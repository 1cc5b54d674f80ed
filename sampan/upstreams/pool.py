"""The connections to one origin: lent to one request at a time, the last one back lent first."""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from sampan.config.egress import ANYWHERE, Egress
from sampan.core import Fault
from sampan.errors import TargetFault
from sampan.upstreams.connection import Connection
from sampan.upstreams.dial import Dialer, tls_context
from sampan.upstreams.head import HeadBlock
from sampan.upstreams.origin import Clocks, Limits, Origin, Proxy
from sampan.upstreams.response import Response
from sampan.upstreams.told import Told

# How long `aclose` waits for the event loop to let go of sockets that are aborted already, in seconds.
_CLOSING_SECONDS = 1.0

# What a waiting request is given: an idle connection, or (None) the right to open one.
Turn = asyncio.Future[Connection | None]


class Pool:
    """Asks one origin, over connections that are kept. Belongs to the event loop that it is first used on."""

    def __init__(
        self,
        origin: Origin,
        *,
        ssl_context: ssl.SSLContext | None = None,
        proxy: str | None = None,
        headers: Mapping[str, str],
        max_connections: int = 256,
        keep_alive: float = 30.0,
        limits: Limits | None = None,
        egress: Egress = ANYWHERE,
    ) -> None:
        """`headers` go with every request. `keep_alive` is how long a connection may stand idle, in seconds.

        Without `ssl_context` an https origin gets `tls_context()`. With `proxy` (`http://user:password@host:port`)
        every connection is a tunnel, to an http origin too. Raises ConfigError, or ValueError for `headers`.
        """
        context = (ssl_context or tls_context()) if origin.secure else None
        limits = limits or Limits()
        through = Proxy.parse(proxy) if proxy else None
        self._dialer = Dialer(origin, proxy=through, context=context, limits=limits, egress=egress)
        self._block = HeadBlock(origin, headers)
        self._max = max_connections
        self._keep_alive = keep_alive
        self._limits = limits
        self._free: list[Connection] = []
        self._turns: deque[Turn] = deque()
        self._handed: set[Connection] = set()  # idle ones on their way to whoever waited for them
        self._slots = 0  # connections that are idle, lent or being opened
        self._open: set[Connection] = set()  # every connection whose socket is still there
        self._closed = False
        self._empty: asyncio.Future[None] | None = None

    async def request(
        self,
        method: str,
        target: str,
        *,
        headers: Sequence[tuple[str, str]] = (),
        body: bytes = b"",
        clocks: Clocks,
    ) -> Response:
        """Send a request and return once the head of its answer has come.

        `target` is what follows the origin's path. A reused connection that turns out to be closed before the first
        byte of an answer is replaced by a fresh one, once. Raises TargetFault, or ValueError for what cannot be sent.
        """
        head = self._block.render(method, target, headers, len(body))
        total_by = asyncio.get_running_loop().time() + clocks.total
        connection = self._idle() or await self._lease(clocks, total_by)
        while True:
            response = Response(connection, clocks, total_by, bodiless=method == "HEAD")
            reused = connection.reused
            connection.start(response, head, body)
            try:
                await response.head()
                return response
            except TargetFault:
                if not (reused and response.stale):
                    raise
            connection = await self._lease(clocks, total_by, fresh=True)

    def ask(
        self,
        target: str,
        *,
        headers: Sequence[tuple[str, str]],
        body: bytes,
        clocks: Clocks,
        told: Callable[[Told], None],
    ) -> Told | None:
        """Send a POST at once over an idle connection, for who does not await but is `told`; None where none is idle.

        The deadline is that of `request`. Raises ValueError for what cannot be sent.
        """
        head = self._block.render("POST", target, headers, len(body))
        connection = self._idle()
        if connection is None:
            return None
        response = Told(connection, clocks, connection.loop.time() + clocks.total, told)
        connection.start(response, head, body)
        connection.arm(response.deadline)
        return response

    def distrust(self) -> None:
        """An idle connection was closed by its peer, as was seen when it was asked.

        Those that stand idle for longer than it did have most likely gone the same way.
        """
        for connection in list(self._free):
            connection.abort()

    async def connect(self, clocks: Clocks) -> None:
        """Open a connection and close it again: what a probe needs to know. Raises TargetFault."""
        if self._closed:
            raise _closed()
        self._slots += 1  # beyond the most there may be: a probe waits for no turn, and takes none away
        connection = await self._dial(clocks, asyncio.get_running_loop().time() + clocks.total)
        connection.abort()

    @property
    def idle(self) -> int:
        """How many connections stand ready."""
        return len(self._free)

    @property
    def size(self) -> int:
        """How many connections there are: idle, asked, or being opened."""
        return self._slots

    async def aclose(self) -> None:
        """Abort everything and return once every socket is gone. Requests after that, and waiting ones, fail."""
        self._closed = True
        self._dialer.close()
        turns, self._turns = self._turns, deque()
        for turn in turns:
            if not turn.done():
                turn.set_exception(_closed())
        for connection in list(self._open):
            connection.abort(_closed())
        if self._open:
            self._empty = asyncio.get_running_loop().create_future()
            await asyncio.wait([self._empty], timeout=_CLOSING_SECONDS)

    # What connections tell.

    def recycle(self, connection: Connection) -> None:
        """Idle again: lent to whoever waits longest, or kept."""
        if self._closed:
            connection.abort()
            return
        turn = self._next_turn() if self._turns else None
        if turn is None:
            self._free.append(connection)
        else:
            self._handed.add(connection)
            turn.set_result(connection)

    def discard(self, connection: Connection) -> None:
        """Closed: its slot is free, unless somebody who waited has it already."""
        if connection in self._handed:
            return
        if connection in self._free:
            self._free.remove(connection)
        self._give_slot()

    def gone(self, connection: Connection) -> None:
        """Its socket is closed."""
        self._open.discard(connection)
        if not self._open and self._empty is not None and not self._empty.done():
            self._empty.set_result(None)

    # Lending.

    def _idle(self) -> Connection | None:
        while self._free:
            connection = self._free.pop()
            if connection.usable:
                return connection
            connection.abort()
        return None

    async def _lease(self, clocks: Clocks, total_by: float, *, fresh: bool = False) -> Connection:
        """A usable connection of one's own; a `fresh` one has never been asked.

        Raises TargetFault: BULKHEAD_FULL if none comes free within the connect clock, or why none could be opened.
        """
        if self._closed:
            raise _closed()
        if fresh and self._free and self._slots >= self._max:
            self._free[0].abort()
        if self._slots < self._max:
            self._slots += 1
        else:
            connection = await self._wait_turn(clocks, total_by)
            if connection is not None:
                if not connection.usable or (fresh and connection.reused):
                    connection.abort()  # while it counts as handed over, so that its slot stays ours
                self._handed.discard(connection)
                if connection.usable:
                    return connection
        return await self._dial(clocks, total_by)

    async def _dial(self, clocks: Clocks, total_by: float) -> Connection:
        """Open a connection in a slot that is ours already."""
        loop = asyncio.get_running_loop()
        by = min(loop.time() + clocks.connect, total_by)
        try:
            connection = await self._dialer.open(lambda: Connection(loop, self, self._limits, self._keep_alive), by)
        except TargetFault as fault:
            self._give_slot()
            if fault.fault is Fault.CONNECT_TIMEOUT and by == total_by:
                raise TargetFault(Fault.TOTAL_TIMEOUT, "not connected within the total clock") from None
            raise
        except BaseException:
            self._give_slot()
            raise
        self._open.add(connection)
        if self._closed:
            connection.abort()
            raise _closed()
        return connection

    async def _wait_turn(self, clocks: Clocks, total_by: float) -> Connection | None:
        loop = asyncio.get_running_loop()
        turn: Turn = loop.create_future()
        self._turns.append(turn)
        timer = loop.call_at(min(loop.time() + clocks.connect, total_by), _too_late, turn)
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self._pass_on(turn.result())
            raise
        finally:
            timer.cancel()

    def _next_turn(self) -> Turn | None:
        while self._turns:
            turn = self._turns.popleft()
            if not turn.done():
                return turn
        return None

    def _pass_on(self, connection: Connection | None) -> None:
        """Somebody was given a turn and is not there to take it."""
        if connection is not None:
            self._handed.discard(connection)
            if connection.usable:
                self.recycle(connection)
                return
        self._give_slot()

    def _give_slot(self) -> None:
        """A slot is free: it goes to whoever waits longest."""
        turn = None if self._closed or self._slots > self._max else self._next_turn()
        if turn is None:
            self._slots -= 1
        else:
            turn.set_result(None)


def _too_late(turn: Turn) -> None:
    if not turn.done():
        turn.set_exception(TargetFault(Fault.BULKHEAD_FULL, "no connection came free within the connect clock"))


def _closed() -> TargetFault:
    return TargetFault(Fault.UNREACHABLE, "the pool is closed")
