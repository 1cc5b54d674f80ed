"""An answer as its reader holds it: the head, then the body's chunks, within the clocks."""

from __future__ import annotations

import asyncio
from collections import deque
from types import TracebackType
from typing import Protocol, Self

from sampan.core import Fault
from sampan.errors import TargetFault
from sampan.upstreams.answer import CHUNK_COST, AnswerReader
from sampan.upstreams.origin import Clocks

# A loop's clock may tick in whole milliseconds (uvloop), so a timer can come this much too early; in seconds.
SLACK = 0.001


# How long a drained answer may take to end, in seconds.
_DRAIN_SECONDS = 1.0


class Wire(Protocol):
    """What an answer asks of the connection that it comes from."""

    loop: asyncio.AbstractEventLoop
    paused: bool

    def arm(self, deadline: float) -> None: ...
    def relieve(self, taken: int) -> None: ...
    def resume(self) -> None: ...
    def abandon(self) -> None: ...


class Response:
    """One answer. Use it in `async with` (or call `close`): what is not read to its end by then is aborted at once.

    `status`, `headers` (lower-case names, repeated ones joined by ", ") and `framed` are there from the start.
    `framed` False means that only the connection's end ends the body, so that a cut cannot be told from an end.
    """

    __slots__ = (
        "_chunks",
        "_clocks",
        "_deadline",
        "_fault",
        "_first_by",
        "_headed",
        "_over",
        "_parts",
        "_seen",
        "_size",
        "_taken",
        "_total_by",
        "_waiter",
        "_wire",
        "bodiless",
        "drained",
        "framed",
        "headers",
        "stale",
        "status",
    )

    def __init__(self, wire: Wire, clocks: Clocks, total_by: float, *, bodiless: bool) -> None:
        """Made by the pool; `total_by` is on the loop's clock."""
        self._wire: Wire | None = wire
        self._clocks = clocks
        self._first_by = total_by
        self._total_by = total_by
        self._deadline = total_by
        self._chunks: deque[bytes] = deque()
        self._taken = 0
        self._seen = False
        self._headed = False
        self._over = False
        self._fault: TargetFault | None = None
        self._parts: list[bytes] = []
        self._size = 0
        self._waiter: asyncio.Future[None] | None = None
        self.bodiless = bodiless
        self.drained = False
        self.stale = False
        self.status = 0
        self.headers: dict[str, str] = {}
        self.framed = True

    # The reader's side.

    def first_event_seen(self) -> None:
        """Content has come: from now on the idle clock counts, not the first-event clock."""
        self._seen = True

    def chunks(self) -> Self:
        """The body as it comes, chunk by chunk, never empty ones; ends normally only where the body ends.

        Raises TargetFault after the last chunk that did come. Closing the iterator closes the response.
        """
        return self

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        while not self._chunks:
            if self._over:
                if self._fault is not None:
                    raise self._fault
                raise StopAsyncIteration
            await self._wait()
        return self._take()

    def _take(self) -> bytes:
        chunk = self._chunks.popleft()
        self._taken += len(chunk) + CHUNK_COST
        wire = self._wire
        if wire is not None and wire.paused:
            wire.relieve(self._taken)
        return chunk

    async def more(self) -> bytes:
        """All that has come and was not read, joined; nothing once the body has ended. Waits where nothing is there.

        For who relays: a peer that is faster than the reader costs one round a gulp, not one a chunk. Raises
        TargetFault after the last chunk that did come.
        """
        while not self._chunks:
            if self._over:
                if self._fault is not None:
                    raise self._fault
                return b""
            await self._wait()
        if len(self._chunks) == 1:
            return self._take()
        return b"".join([self._take() for _ in range(len(self._chunks))])

    async def read(self, limit: int) -> bytes:
        """The whole body, of at most `limit` bytes; its first byte counts as the first event.

        Raises TargetFault, MALFORMED for a longer one.
        """
        while (body := self.gather(limit)) is None:
            await self._wait()
        return body

    def gather(self, limit: int) -> bytes | None:
        """What `read` returns, once it is there; None before. Takes in what has come. Raises as `read` does."""
        parts = self._parts
        if self._over and not parts and len(self._chunks) == 1 and self._fault is None:
            body = self._chunks.popleft()
            if len(body) > limit:
                self._refuse_size(limit)
            return body
        if not parts:
            length = self.headers.get("content-length", "")
            if not self.bodiless and length.isdecimal() and int(length) > limit:
                self._refuse_size(limit)
        while self._chunks:
            chunk = self._take()
            self._seen = True
            self._size += len(chunk)
            if self._size > limit:
                self._refuse_size(limit)
            parts.append(chunk)
        if not self._over:
            return None
        if self._fault is not None:
            raise self._fault
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def close(self) -> None:
        """Let go: nothing happens to a complete answer, anything else aborts the connection at once."""
        wire = self._wire
        if wire is None:
            return
        self._chunks.clear()
        self.settle(TargetFault(Fault.CUT, "the answer was closed before its end"))
        wire.abandon()

    async def aclose(self) -> None:
        """`close`, for `contextlib.aclosing`."""
        self.close()

    async def drain(self) -> None:
        """Nothing more is wanted of an answer that is as good as complete, such as a stream after its last event.

        Returns at once: what little is to come is dropped in the background and the connection kept, unless it is
        more than the high-water mark or takes longer than a second.
        """
        wire, self._wire = self._wire, None
        if wire is None:
            return
        self._chunks.clear()
        self.settle(None)
        self.drained = True
        self._total_by = self._deadline = wire.loop.time() + _DRAIN_SECONDS
        wire.arm(self._deadline)
        wire.resume()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def head(self) -> None:
        """Wait for the head. Raises TargetFault; `stale` says whether the request may be sent once more."""
        while not self._headed:
            if self._fault is not None:
                raise self._fault
            await self._wait()

    def _refuse_size(self, limit: int) -> None:
        self.close()
        raise TargetFault(Fault.MALFORMED, f"an answer of more than {limit} bytes")

    async def _wait(self) -> None:
        wire = self._wire
        if wire is None:
            return
        loop = wire.loop
        self._waiter = waiter = loop.create_future()
        by = loop.time() + self._clocks.idle if self._seen else self._first_by
        self._deadline = by = min(by, self._total_by)
        wire.arm(by)
        try:
            await waiter
        except asyncio.CancelledError:
            self.close()
            raise
        finally:
            self._waiter = None
            self._deadline = self._total_by

    # The connection's side.

    @property
    def deadline(self) -> float:
        """When the answer fails if nothing happens; only the total clock runs while nobody waits."""
        return self._deadline

    @property
    def taken(self) -> int:
        return self._taken

    def sent(self, now: float) -> None:
        """Some of the request has gone out: the first event is due that much later."""
        self._first_by = now + self._clocks.first_event
        if self._waiter is not None and not self._seen:
            self._deadline = min(self._first_by, self._total_by)

    def adopt(self, answer: AnswerReader) -> None:
        """The head is here."""
        self.status = answer.status
        self.headers = answer.headers
        self.framed = answer.framed
        self._chunks = answer.chunks
        self._headed = True

    def wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def settle(self, fault: TargetFault | None) -> None:
        """The answer is complete, or has failed with `fault`; the first verdict stands."""
        if not self._over:
            self._over = True
            self._fault = fault
            self._wire = None
        self.wake()

    def released(self) -> None:
        """The answer is complete, and its connection may be asked again."""

    def overdue(self, now: float) -> TargetFault:
        """Which clock ran out."""
        if now + SLACK >= self._total_by:
            return TargetFault(Fault.TOTAL_TIMEOUT, f"not done within {self._clocks.total:g} s")
        if self._seen:
            return TargetFault(Fault.IDLE_TIMEOUT, f"silent for {self._clocks.idle:g} s")
        what = "no first event" if self._headed else "no head"
        return TargetFault(Fault.FIRST_BYTE_TIMEOUT, f"{what} within {self._clocks.first_event:g} s")
