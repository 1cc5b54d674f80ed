"""One call on one connection, as whoever answers it sees it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Protocol

import msgspec

from sampan.core import Answer

_BODILESS = (204, 304)
_NO_LINE = str.maketrans("\r\n\0", "   ")


class Wire(Protocol):
    """What an answer is written to: a connection."""

    loop: asyncio.AbstractEventLoop
    bodiless: bool
    chunks: bool
    clogged: asyncio.Future[None] | None

    def start(self, status: int, headers: bytes) -> bytes: ...

    def send(self, data: bytes) -> None: ...

    def complete(self, data: bytes) -> None: ...

    def cut(self) -> None: ...

    def resume(self, rest: Coroutine[Any, Any, Answer], exchange: Exchange) -> None: ...


class Exchange:
    """One call on one connection: what its answer is written to. It holds on to the connection until it has ended."""

    __slots__ = ("_chunks", "_comment", "_every", "_head", "_spoke", "_timer", "_wire", "departed", "left")

    def __init__(self, wire: Wire) -> None:
        self._wire: Wire | None = wire
        self._chunks = False
        self._head = b""
        self._comment = b""
        self._every = 0.0
        self._spoke = 0.0
        self._timer: asyncio.TimerHandle | None = None
        # Called at once when the caller leaves before the answer is out; `departed` is true from then on.
        self.left: Any = None
        self.departed = False

    @property
    def open(self) -> bool:
        """Whether there is still somebody to answer, and something to say."""
        return self._wire is not None

    @property
    def bodiless(self) -> bool:
        """Whether the answer's body is not wanted: HEAD."""
        return self._wire is None or self._wire.bodiless

    def answer(self, status: int, headers: bytes, body: bytes) -> None:
        """A whole answer in one write; `headers` are lines, each with its end."""
        wire = self._wire
        if wire is None:
            return
        self._wire = self.left = None
        head = b"%bcontent-length: %d\r\n\r\n" % (wire.start(status, headers), len(body))
        wire.complete(head if wire.bodiless or status in _BODILESS else head + body)

    def reply(self, answer: Answer) -> None:
        """An answer whose body is whole."""
        assert isinstance(answer.body, bytes)
        self.answer(answer.status, lines(answer), answer.body)

    def resume(self, rest: Coroutine[Any, Any, Answer]) -> None:
        """What began without a task needs one after all."""
        wire = self._wire
        if wire is None:
            rest.close()
        else:
            wire.resume(rest, self)

    def begin(self, status: int, headers: bytes, comment: bytes, every: float) -> None:
        """The head of an answer in pieces; it leaves together with the first of them.

        After `every` seconds without a piece `comment` is sent, so that no watchdog on the way takes silence for death.
        """
        wire = self._wire
        if wire is None:
            return
        self._chunks = wire.chunks and b"content-length:" not in headers
        self._head = wire.start(status, headers) + (b"transfer-encoding: chunked\r\n\r\n" if self._chunks else b"\r\n")
        self._comment = comment
        self._every = every
        self._spoke = wire.loop.time()
        if comment:
            self._timer = wire.loop.call_later(every, self._fill_silence)

    async def write(self, data: bytes) -> None:
        """A piece; then waits while the caller reads more slowly than we write, so that no other is made meanwhile."""
        wire = self._wire
        if wire is None or wire.bodiless or not data:
            return
        if self._chunks:
            data = b"%b%x\r\n%b\r\n" % (self._head, len(data), data)
        elif self._head:
            data = self._head + data
        self._head = b""
        self._spoke = wire.loop.time()
        wire.send(data)
        if wire.clogged is not None:
            await wire.clogged

    def _fill_silence(self) -> None:
        wire = self._wire
        if wire is None:
            return
        now = wire.loop.time()
        wait = self._spoke + self._every - now
        if wait <= 0.001:  # uvloop's timers tick in milliseconds
            wait = self._every
            self._spoke = now
            if not self._head and wire.clogged is None:
                comment = self._comment
                wire.send(b"%x\r\n%b\r\n" % (len(comment), comment) if self._chunks else comment)
        self._timer = wire.loop.call_later(wait, self._fill_silence)

    def end(self) -> None:
        """The answer in pieces is complete."""
        wire = self._wire
        if wire is None:
            return
        self._release()
        wire.complete(self._head + (b"0\r\n\r\n" if self._chunks and not wire.bodiless else b""))

    def close(self) -> None:
        """Nothing more is said. An answer that did not reach its end is cut, never ended cleanly."""
        wire = self._wire
        if wire is not None:
            self._release()
            wire.cut()

    def lose(self) -> None:
        """The caller has gone."""
        if self._wire is None:
            return
        left = self.left
        self._release()
        self.departed = True
        if left is not None:
            left()

    def _release(self) -> None:
        self._wire = self.left = None
        if self._timer is not None:
            self._timer.cancel()


def refusal(kind: str, message: str) -> bytes:
    """An error of no dialect, in a shape that the SDKs of both can read."""
    error = {"type": kind, "message": message, "param": None, "code": None}
    return msgspec.json.encode({"type": "error", "error": error})


def lines(answer: Answer) -> bytes:
    """The answer's headers as they stand in its head.

    What came from elsewhere is checked where it came in; should one be forgotten, no line is begun here but ours.
    """
    headers = answer.headers
    if not headers:
        return b""
    data = ("\r\n".join(map(": ".join, headers)) + "\r\n").encode("latin-1", "replace")
    if data.count(10) == len(headers) == data.count(13) and 0 not in data:
        return data
    clean = (f"{name.translate(_NO_LINE)}: {value.translate(_NO_LINE)}\r\n" for name, value in headers)
    return "".join(clean).encode("latin-1", "replace")
