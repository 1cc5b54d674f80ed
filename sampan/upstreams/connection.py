"""One connection to an origin: bytes to answers, flow control both ways, one lazy timer.

States: OPENING ─connected─▶ IDLE ─start─▶ BUSY ─complete─▶ IDLE, and from each of them ─abort─▶ CLOSED.
"""

from __future__ import annotations

import asyncio
import math
import ssl
from enum import IntEnum
from typing import Protocol, cast

from sampan.core import Fault
from sampan.errors import TargetFault
from sampan.upstreams.answer import AnswerReader
from sampan.upstreams.lateness import grace
from sampan.upstreams.origin import Limits
from sampan.upstreams.response import SLACK, Response

# Up to this size head and body go out as one write: copying costs less than a second system call. In bytes.
_JOIN_BELOW = 65_536
# How much of a large body is handed to the transport at a time, which is also what it may hold unsent. In bytes.
_SLICE = 262_144


class State(IntEnum):
    OPENING = 0
    IDLE = 1
    BUSY = 2
    CLOSED = 3


_MOVES: tuple[frozenset[State], ...] = (
    frozenset({State.IDLE, State.CLOSED}),
    frozenset({State.BUSY, State.CLOSED}),
    frozenset({State.IDLE, State.CLOSED}),
    frozenset(),
)
# Looked up by name each costs 0.4 µs, and a short call does it a dozen times.
_OPENING, _IDLE, _BUSY, _CLOSED = State.OPENING, State.IDLE, State.BUSY, State.CLOSED


class Owner(Protocol):
    """Who lends connections out: told when one comes back, when its lease ends with it, and when its socket is gone."""

    def recycle(self, connection: Connection) -> None:
        """The answer is complete and the connection may be asked again."""

    def discard(self, connection: Connection) -> None:
        """The connection is closed, whether it was lent or idle."""

    def gone(self, connection: Connection) -> None:
        """The transport has let go of the socket."""


class Connection(asyncio.Protocol):
    """Asks one request at a time. Not more than one timer handle exists, moved only when it fires or is too late."""

    __slots__ = (
        "_answer",
        "_blocked",
        "_idle_until",
        "_keep_alive",
        "_limits",
        "_owner",
        "_response",
        "_state",
        "_timer",
        "_timer_at",
        "_touched",
        "_transport",
        "_unsent",
        "loop",
        "paused",
        "reused",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, owner: Owner, limits: Limits, keep_alive: float) -> None:
        """`keep_alive` is how long the connection may stand idle, in seconds."""
        self.loop = loop
        self.paused = False
        self.reused = False
        self._owner = owner
        self._limits = limits
        self._keep_alive = keep_alive
        self._state = _OPENING
        self._answer = AnswerReader(limits)
        self._response: Response | None = None
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = math.inf
        self._idle_until = math.inf
        self._touched = False
        self._blocked = False
        self._unsent: memoryview | None = None

    # The pool's side.

    @property
    def usable(self) -> bool:
        """Idle, and not known to be closing."""
        return self._state is _IDLE and self._transport is not None and not self._transport.is_closing()

    @property
    def closed(self) -> bool:
        return self._state is _CLOSED

    def start(self, response: Response, head: bytes, body: bytes) -> None:
        """Send a request; `response` is told of everything that comes of it. Only for a usable connection."""
        transport = self._live()
        self._move(_BUSY)
        self._response = response
        self._touched = False
        self._answer.begin(bodiless=response.bodiless)
        response.sent(self.loop.time())
        if len(body) <= _JOIN_BELOW:
            transport.write(head + body)
            return
        self._unsent = memoryview(body)
        transport.write(head)
        self._pump()

    def abort(self, fault: TargetFault | None = None) -> None:
        """Close the socket at once, whatever the state; a pending answer, if there is one, fails with `fault`."""
        if self._state is _CLOSED:
            return
        lent = self._state is not _OPENING
        self._move(_CLOSED)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._unsent = None
        response, self._response = self._response, None
        if self._transport is not None:
            self._transport.abort()
        if response is not None:
            response.settle(fault or TargetFault(Fault.CUT, "the connection was aborted"))
        if lent:
            self._owner.discard(self)

    # The response's side.

    def arm(self, deadline: float) -> None:
        """Be woken at `deadline` at the latest, on the loop's clock."""
        if self._timer is None:
            self._timer = self.loop.call_at(deadline, self._tick)
            self._timer_at = deadline
        elif deadline < self._timer_at:
            self._timer.cancel()
            self._timer = self.loop.call_at(deadline, self._tick)
            self._timer_at = deadline

    def relieve(self, taken: int) -> None:
        """The reader has taken `taken` in all: read on, if what is left is little enough."""
        if self._answer.charged - taken <= self._limits.low_water:
            self.resume()

    def resume(self) -> None:
        """Read on, if reading was paused."""
        if not self.paused:
            return
        self.paused = False
        transport = self._live()
        if not transport.is_closing():
            transport.resume_reading()

    def abandon(self) -> None:
        """Nobody waits for the answer any more."""
        self.abort()

    # The transport's side.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are no subclasses
        self._transport.set_write_buffer_limits(high=_SLICE)
        self._move(_IDLE)

    def data_received(self, data: bytes) -> None:
        response = self._response
        if response is None:
            # Nothing was asked. Whatever it is, it must not be taken for the next answer.
            self.abort()
            return
        self._touched = True
        answer = self._answer
        try:
            answer.feed(data)
        except TargetFault as fault:
            self._adopt(response)
            self.abort(fault)
            return
        if not response.status and answer.head_complete:
            self._adopt(response)
            if not answer.complete:
                response.wake()
        if answer.complete:
            self._finish(response)
            return
        if answer.chunks:
            self._deliver(response, answer)

    def eof_received(self) -> bool:
        response = self._response
        if response is not None:
            self._answer.end()
            if self._answer.complete:
                self._finish(response)
                return False
        self.abort(self._lost("the connection was closed"))
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        if isinstance(exc, ssl.SSLError):
            self.abort(TargetFault(Fault.TLS, exc.reason or type(exc).__name__))
        else:
            self.abort(self._lost(f"the connection was {f'lost ({type(exc).__name__})' if exc else 'closed'}"))
        self._owner.gone(self)

    def pause_writing(self) -> None:
        self._blocked = True

    def resume_writing(self) -> None:
        self._blocked = False
        if self._response is not None and self._unsent is not None:
            self._response.sent(self.loop.time())
            self._pump()

    # Inside.

    def _move(self, state: State) -> None:
        if state not in _MOVES[self._state]:
            raise RuntimeError(f"a connection cannot go from {self._state.name} to {state.name}")
        self._state = state

    def _live(self) -> asyncio.Transport:
        assert self._transport is not None
        return self._transport

    def _adopt(self, response: Response) -> None:
        """Hand the head on, once. An early refusal ends the sending: nobody there reads the rest (RFC 9110, 7.5)."""
        if not self._answer.head_complete or response.status:
            return
        response.adopt(self._answer)
        if self._unsent is not None and response.status >= 300:
            self._unsent = self._unsent[:0]

    def _pump(self) -> None:
        transport = self._live()
        while (unsent := self._unsent) is not None and len(unsent) and not self._blocked:
            transport.write(unsent[:_SLICE])
            rest = unsent[_SLICE:]
            self._unsent = rest if len(rest) else None

    def _deliver(self, response: Response, answer: AnswerReader) -> None:
        waiting = answer.charged - response.taken
        if response.drained:
            answer.chunks.clear()
            if waiting > self._limits.high_water:
                self.abort()
            return
        if waiting > self._limits.high_water and not self.paused:
            self.paused = True
            self._live().pause_reading()
        response.wake()

    def _finish(self, response: Response) -> None:
        """The answer is complete. The connection is asked again only if the request has gone out as well."""
        response.settle(None)
        self._response = None
        if not self._answer.reusable or self._unsent is not None or self._live().is_closing():
            self.abort()
        else:
            self._move(_IDLE)
            self.reused = True
            if self.paused:
                self.resume()
            self._idle_until = self.loop.time() + self._keep_alive
            self.arm(self._idle_until)
            self._owner.recycle(self)
        response.released()

    def _lost(self, why: str) -> TargetFault:
        """What to tell a pending answer when the peer has gone away."""
        if self._response is not None and self.reused and not self._touched:
            self._response.stale = True
        return TargetFault(Fault.CUT, why)

    def _tick(self) -> None:
        """The timer fired, perhaps for a deadline that has moved since."""
        self._timer = None
        response = self._response
        now = self.loop.time()
        deadline = self._idle_until if response is None else response.deadline
        late = grace(now, self._timer_at)
        if now + SLACK < deadline:
            self.arm(deadline)
        elif late:
            self.arm(now + late)
        else:
            self.abort(None if response is None else response.overdue(now))
