"""Hedging: how late an upstream's first event usually is, and a race with another where it is later than that."""

from __future__ import annotations

import asyncio
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sampan.core import Operation

T = TypeVar("T")

WINDOW = 128  # attempts that are remembered of each kind
ENOUGH = 20  # attempts before there is a usual: the 95th of fewer is the slowest one


class _Window:
    """The newest times, twice: in the order they came, and sorted."""

    __slots__ = ("_newest", "sorted")

    def __init__(self, size: int) -> None:
        self._newest: deque[float] = deque(maxlen=size)
        self.sorted: list[float] = []

    def add(self, seconds: float) -> None:
        if len(self._newest) == self._newest.maxlen:
            del self.sorted[bisect_left(self.sorted, self._newest[0])]
        self._newest.append(seconds)
        insort(self.sorted, seconds)


class Latencies:
    """The first-event times of the last `window` attempts of each (upstream, operation), in seconds.

    Whoever gives up on an attempt before its first event adds the time that it had waited until then. Without them the
    slow ones would be missing from the very figure that calls them slow: p95 would fall with every hedge, until all
    calls are hedged.
    """

    def __init__(self, window: int = WINDOW, enough: int = ENOUGH) -> None:
        self._window = window
        self._enough = enough
        self._windows: dict[tuple[str, Operation], _Window] = {}

    def add(self, upstream: str, operation: Operation, seconds: float) -> None:
        """Raises `ValueError` for what is no time: it would spoil the order of all the others."""
        if not 0.0 <= seconds < float("inf"):
            raise ValueError(f"{seconds!r} is no time")
        key = (upstream, operation)
        window = self._windows.get(key)
        if window is None:
            window = self._windows[key] = _Window(self._window)
        window.add(seconds)

    def p95(self, upstream: str, operation: Operation) -> float | None:
        """The time that 95 of 100 attempts kept to, by nearest rank; None while too few are known."""
        window = self._windows.get((upstream, operation))
        if window is None or len(window.sorted) < self._enough:
            return None
        return window.sorted[-(-95 * len(window.sorted) // 100) - 1]


@dataclass(frozen=True, slots=True)
class Race(Generic[T]):
    """How a race ended: both tasks are done. `winner` is one of them, or None where nobody had a result."""

    winner: asyncio.Task[T] | None
    first: asyncio.Task[T]
    second: asyncio.Task[T] | None


async def race(first: Coroutine[Any, Any, T], delay: float, second: Callable[[], Coroutine[Any, Any, T]]) -> Race[T]:
    """Starts `second` where `first` has no result after `delay` seconds; the first result wins, the other is cancelled.

    One that fails does not win: the other is waited for. Never raises what they raise.
    """
    one = asyncio.create_task(first)
    two: asyncio.Task[T] | None = None
    try:
        await asyncio.wait((one,), timeout=delay)
        if one.done():
            return Race(_won(one), one, None)
        two = asyncio.create_task(second())
        running: set[asyncio.Task[T]] = {one, two}
        winner: asyncio.Task[T] | None = None
        while running and winner is None:
            _, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            winner = _won(one) or _won(two)
        return Race(winner, one, two)
    finally:
        losers = [task for task in (one, two) if task is not None and not task.done()]
        for task in losers:
            task.cancel()
        if losers:
            await asyncio.wait(losers)


def _won(task: asyncio.Task[T]) -> asyncio.Task[T] | None:
    return task if task.done() and not task.cancelled() and task.exception() is None else None
