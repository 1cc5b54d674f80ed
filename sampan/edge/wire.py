"""uvicorn's HTTP protocol with a shorter way for calls: the door talks to an `Exchange` instead of ASGI messages.

Measured on this very path: a task that watches for callers who leave, a head and a body written by two system calls,
and messages as dictionaries cost a short call more than its routing does. Everything about connections (parsing,
pipelining, keep-alive, flow control) stays uvicorn's; on another ASGI server the door uses messages alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from http import HTTPStatus

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

JOIN_BELOW = 65_536  # bytes of a body that are worth copying to save a system call
EXTENSION = "sampan.exchange"

_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}


class Exchange:
    """One call on one connection: its body in, its answer out. Made by `Wire`, for the door."""

    __slots__ = ("_comment", "_cycle", "_every", "_head", "_spoke", "_timer", "departed", "left")

    def __init__(self, cycle: RequestResponseCycle) -> None:
        self._cycle = cycle
        self._head = b""
        self._comment = b""
        self._every = 0.0
        self._spoke = 0.0
        self._timer: asyncio.TimerHandle | None = None
        # Called at once when the caller leaves before the answer is out; `departed` is true from then on.
        self.left: Callable[[], object] | None = None
        self.departed = False

    @property
    def open(self) -> bool:
        """Whether there is still somebody to answer, and something to say."""
        return not (self._cycle.disconnected or self._cycle.response_complete)

    def take_body(self) -> bytes | None:
        """The body, if all of it is here already, as it is with most calls."""
        cycle = self._cycle
        if cycle.more_body or cycle.disconnected or cycle.waiting_for_100_continue:
            return None
        body, cycle.body = bytes(cycle.body), bytearray()
        return body

    def answer(self, status: int, headers: bytes, body: bytes) -> None:
        """A whole answer in one write; `headers` are lines, each with its end."""
        if not self.open:
            return
        head = b"%bcontent-length: %d\r\n\r\n" % (self._start(status, headers), len(body))
        transport = self._cycle.transport
        if len(body) <= JOIN_BELOW:
            transport.write(head + body)
        else:
            transport.write(head)
            transport.write(body)
        self._complete()

    def begin(self, status: int, headers: bytes, comment: bytes, every: float) -> None:
        """The head of an answer in pieces; it leaves together with the first of them.

        After `every` seconds without a piece `comment` is sent, so that no watchdog on the way takes silence for death.
        """
        self._head = self._start(status, headers) + b"transfer-encoding: chunked\r\n\r\n"
        self._comment = b"%x\r\n%b\r\n" % (len(comment), comment)
        self._every = every
        loop = asyncio.get_running_loop()
        self._spoke = loop.time()
        self._timer = loop.call_later(every, self._fill_silence, loop)

    async def write(self, data: bytes) -> None:
        """A piece; waits while the caller reads more slowly than we write."""
        if not self.open:
            return
        flow = self._cycle.flow
        if flow.write_paused:
            await flow.drain()
        if self._head:
            data, self._head = b"%b%x\r\n%b\r\n" % (self._head, len(data), data), b""
        else:
            data = b"%x\r\n%b\r\n" % (len(data), data)
        self._spoke = asyncio.get_running_loop().time()
        self._cycle.transport.write(data)

    def _fill_silence(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self.open:
            return
        wait = self._spoke + self._every - loop.time()
        if wait <= 0.001:  # uvloop's timers tick in milliseconds
            wait = self._every
            self._spoke = loop.time()
            if not self._head and not self._cycle.flow.write_paused:
                self._cycle.transport.write(self._comment)
        self._timer = loop.call_later(wait, self._fill_silence, loop)

    def close(self) -> None:
        """Nothing more is said. An answer in pieces that did not reach its end is cut, never ended cleanly."""
        self.left = None
        if self._timer is not None:
            self._timer.cancel()
        if self._cycle.response_started and self.open:
            self._cycle.response_complete = True
            self._cycle.transport.abort()

    def end(self) -> None:
        """The answer in pieces is complete."""
        if self.open:
            self._cycle.transport.write(self._head + b"0\r\n\r\n")
            self._complete()

    def _start(self, status: int, headers: bytes) -> bytes:
        cycle = self._cycle
        cycle.response_started = True
        line = _LINES.get(status) or b"HTTP/1.1 %d \r\n" % status
        date = b"".join([b"%b: %b\r\n" % pair for pair in cycle.default_headers])
        return b"%b%b%b%b" % (line, date, headers, b"" if cycle.keep_alive else b"connection: close\r\n")

    def _complete(self) -> None:
        cycle = self._cycle
        cycle.response_complete = True
        self.left = None
        cycle.message_event.set()
        if not cycle.keep_alive:
            cycle.transport.close()
        cycle.on_response()


class Wire(HttpToolsProtocol):
    """One connection of a caller's."""

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        # The cycle's task has been made and does not run before we return.
        self.scope["extensions"] = {EXTENSION: Exchange(self.cycle)}  # type: ignore[dict-item]

    def connection_lost(self, exc: Exception | None) -> None:
        exchanges = [cycle.scope.get("extensions", {}).get(EXTENSION) for cycle, _ in self.pipeline]
        if self.cycle is not None:
            exchanges.append(self.cycle.scope.get("extensions", {}).get(EXTENSION))
        super().connection_lost(exc)
        for exchange in exchanges:
            if isinstance(exchange, Exchange) and exchange.left is not None:
                exchange.departed = True
                exchange.left()
