"""uvicorn's HTTP protocol with a shorter way for calls: the door talks to an `Exchange` instead of ASGI messages.

Measured on this very path: a task that watches for callers who leave, a head and a body written by two system calls,
and messages as dictionaries cost a short call more than its routing does. Everything about connections (parsing,
pipelining, keep-alive, flow control) stays uvicorn's; on another ASGI server the door uses messages alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Any, Protocol, TypeAlias, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from sampan.edge.asgi import headers_of

JOIN_BELOW = 65_536  # bytes of a body that are worth copying to save a system call
EXTENSION = "sampan.exchange"
Answering: TypeAlias = Coroutine[Any, Any, None]

_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}


class Exchange:
    """One call on one connection: its body in, its answer out. Made by `Wire`, for the door."""

    __slots__ = ("_comment", "_cycle", "_every", "_head", "_spoke", "_timer", "departed", "left")

    def __init__(self, cycle: RequestResponseCycle | ShortCall) -> None:
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


class _Silent:
    """Stands where uvicorn has an event for `receive`: nobody waits for messages of a short call."""

    def set(self) -> None: ...


_SILENT = _Silent()


class ShortCall:
    """A call whose small body comes with its head, as nearly all do; what uvicorn knows of it while it is open.

    In place of uvicorn's cycle, which makes a scope, an event, a coroutine and messages for each request. The public
    names are those that its protocol reads and writes.
    """

    __slots__ = (
        "body",
        "default_headers",
        "disconnected",
        "exchange",
        "flow",
        "headers",
        "keep_alive",
        "message_event",
        "more_body",
        "on_response",
        "path",
        "query",
        "response_complete",
        "response_started",
        "timer",
        "transport",
        "waiting_for_100_continue",
    )

    def __init__(self, wire: Wire, path: str, query: str, headers: dict[str, str]) -> None:
        self.transport = wire.transport
        self.flow = wire.flow
        self.default_headers = wire.server_state.default_headers
        self.on_response = wire.on_response_complete
        self.keep_alive = wire.parser.should_keep_alive()
        self.path = path
        self.query = query
        self.headers = headers
        self.body = bytearray()
        self.more_body = True
        self.disconnected = False
        self.response_started = False
        self.response_complete = False
        self.waiting_for_100_continue = False
        self.message_event = _SILENT
        self.timer: asyncio.TimerHandle | None = None
        self.exchange = Exchange(self)


class Desk(Protocol):
    """Who answers short calls: the door."""

    patience: float

    def takes(self, path: str) -> bool: ...

    def short(self, exchange: Exchange, path: str, query: str, headers: dict[str, str], body: bytes) -> Answering: ...

    def late(self, exchange: Exchange, path: str, query: str, headers: dict[str, str]) -> Answering: ...


class Wire(HttpToolsProtocol):
    """One connection of a caller's."""

    cycle: Any  # a ShortCall, or uvicorn's own

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        call = self.cycle
        if type(call) is ShortCall and call.more_body and call.timer is None and not call.response_complete:
            call.timer = self.loop.call_later(self._desk.patience, self._late, call)

    def on_headers_complete(self) -> None:
        call = self._short_call()
        if call is not None:
            self.cycle = call
            return
        super().on_headers_complete()
        # The cycle's task has been made and does not run before we return.
        self.scope["extensions"] = {EXTENSION: Exchange(self.cycle)}  # type: ignore[dict-item]

    def on_message_complete(self) -> None:
        call = self.cycle
        if type(call) is not ShortCall:
            super().on_message_complete()
        elif not call.response_complete:
            call.more_body = False
            if call.timer is not None:
                call.timer.cancel()
            self._begin(self._desk.short(call.exchange, call.path, call.query, call.headers, bytes(call.body)))

    def connection_lost(self, exc: Exception | None) -> None:
        cycles: list[Any] = [cycle for cycle, _ in self.pipeline]
        if self.cycle is not None:
            cycles.append(self.cycle)
        super().connection_lost(exc)
        for cycle in cycles:
            short = type(cycle) is ShortCall
            exchange = cycle.exchange if short else cycle.scope.get("extensions", {}).get(EXTENSION)
            if short and cycle.timer is not None:
                cycle.timer.cancel()
            if isinstance(exchange, Exchange) and exchange.left is not None:
                exchange.departed = True
                exchange.left()

    @property
    def _desk(self) -> Desk:
        return cast(Desk, self.app)

    def _short_call(self) -> ShortCall | None:
        """The call whose head has come, if it can go the short way; anything unusual goes uvicorn's."""
        parser = self.parser
        waiting = self.cycle is not None and not self.cycle.response_complete
        if waiting or self.expect_100_continue or parser.get_method() != b"POST" or parser.should_upgrade():
            return None
        target, _, query = self.url.partition(b"?")
        path = target.decode("latin-1")
        if parser.get_http_version() != "1.1" or not self._desk.takes(path):
            return None
        headers = headers_of(self.headers)
        length = headers.get("content-length", "")
        if not length.isdigit() or int(length) > JOIN_BELOW or "transfer-encoding" in headers:
            return None
        return ShortCall(self, path, query.decode("latin-1"), headers)

    def _late(self, call: ShortCall) -> None:
        if call.more_body and not (call.disconnected or call.response_complete):
            call.keep_alive = False  # what may still come is no next request
            self._begin(self._desk.late(call.exchange, call.path, call.query, call.headers))

    def _begin(self, answering: Answering) -> None:
        task = self.loop.create_task(answering)
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)
