"""Blocking work in a bounded number of threads, with a bounded queue before it and a bounded buffer behind it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

from sampan.engines.contract import Stopped
from sampan.errors import Unavailable

T = TypeVar("T")
Work: TypeAlias = Callable[[Stopped], Iterator[T]]

_BUFFERED = 64  # pieces that a thread may be ahead of its caller


@dataclass(frozen=True, slots=True)
class _End:
    """The last thing a job says: how it ended."""

    error: Exception | None


class _Job(Generic[T]):
    """One iterator on its way through a thread, its pieces handed to the event loop as they come."""

    def __init__(self, work: Work[T], loop: asyncio.AbstractEventLoop) -> None:
        self._work = work
        self._loop = loop
        self._stop = threading.Event()
        self._room = threading.Semaphore(_BUFFERED)
        self.pieces: asyncio.Queue[T | _End] = asyncio.Queue()

    def stop(self) -> None:
        """Nobody waits any more. Called on the loop; wakes a thread that waits for room."""
        self._stop.set()
        self._room.release()

    def taken(self) -> None:
        self._room.release()

    def run(self) -> None:
        """The thread's part. Every way out says `_End`."""
        error: Exception | None = None
        try:
            self._run()
        except Exception as caught:  # handed to the caller, who raises it; a thread has nobody to raise it to
            error = caught
        except BaseException as caught:  # an engine that calls sys.exit() ends its call, not this process
            error = RuntimeError(f"the engine raised {type(caught).__name__}")
            error.__cause__ = caught
        self._say(_End(error))

    def _run(self) -> None:
        pieces = self._work(self._stop.is_set)
        try:
            for piece in pieces:
                self._room.acquire()
                if self._stop.is_set():
                    return
                self._say(piece)
        finally:
            close = getattr(pieces, "close", None)
            if close is not None:
                close()

    def _say(self, piece: T | _End) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self.pieces.put_nowait, piece)


class Workers:
    """Runs blocking iterators in `threads` threads; up to `waiting` callers wait for one, the next is turned away.

    A caller that leaves gives its place in the queue back at once; if its work has begun, `stopped` turns true and the
    thread is free as soon as the engine looks. Waiting happens on the loop, so that a caller that left costs no memory.
    """

    def __init__(self, threads: int, *, waiting: int = 64) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="work")
        self._places = asyncio.Semaphore(threads)
        self._limit = waiting
        self._waiting = 0
        self._working = 0

    @property
    def working(self) -> int:
        """Calls in a thread, those included whose caller has left and that have not noticed yet."""
        return self._working

    @property
    def waiting(self) -> int:
        """Calls in the queue."""
        return self._waiting

    async def run(self, work: Work[T]) -> AsyncGenerator[T, None]:
        """Yields what `work` yields and raises what it raises; raises `Unavailable` when the queue is full."""
        if self._places.locked() and self._waiting >= self._limit:
            raise Unavailable("too many calls are waiting for this engine; try again in a moment", retry_after=2)
        self._waiting += 1
        try:
            await self._places.acquire()
        finally:
            self._waiting -= 1
        self._working += 1
        loop = asyncio.get_running_loop()
        job = _Job(work, loop)
        self._threads.submit(job.run).add_done_callback(lambda done: self._free(done, loop))
        try:
            while not isinstance(piece := await job.pieces.get(), _End):
                job.taken()
                yield piece
            if piece.error is not None:
                raise piece.error
        finally:
            job.stop()

    def _free(self, done: Future[None], loop: asyncio.AbstractEventLoop) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(self._next)

    def _next(self) -> None:
        self._working -= 1
        self._places.release()
