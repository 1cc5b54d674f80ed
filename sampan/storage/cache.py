"""Answers that are kept: in memory, for a time, within a budget of bytes; the least recently used make room.

Not shared between servers and gone with a restart: what is lost is a little money and time, and a cache that others can
write to would be a way into everybody's answers.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable

import msgspec

from sampan.core import Event, Target

OVERHEAD = 400  # bytes of an entry beside its answer, about
EVENT = 120  # and of each event
SHARE = 8  # one answer may take an eighth of the budget


class Kept(msgspec.Struct, frozen=True):
    """A whole answer as its events, who gave it (`release` as it was then), and until when it is good."""

    events: tuple[Event, ...]
    target: Target
    release: str
    until: float

    @property
    def size(self) -> int:
        """Bytes in memory, about."""
        return OVERHEAD + sum(EVENT + len(event.data) for event in self.events)


class Cache:
    """Used on the event loop only. `capacity` is in bytes, `clock` in seconds."""

    def __init__(self, capacity: int, clock: Callable[[], float]) -> None:
        self._capacity = capacity
        self._clock = clock
        self._kept: OrderedDict[bytes, Kept] = OrderedDict()
        self._flights: dict[bytes, asyncio.Future[bool]] = {}
        self.size = 0

    def __len__(self) -> int:
        return len(self._kept)

    def find(self, key: bytes) -> Kept | None:
        """What is kept and still good."""
        kept = self._kept.get(key)
        if kept is None:
            return None
        if self._clock() >= kept.until:
            self.drop(key)
            return None
        self._kept.move_to_end(key)
        return kept

    def keep(self, key: bytes, kept: Kept) -> bool:
        """Whether it is kept: an answer that would push too many others out is not."""
        size = kept.size
        if size * SHARE > self._capacity:
            return False
        self.drop(key)
        self._kept[key] = kept
        self.size += size
        while self.size > self._capacity:
            self.drop(next(iter(self._kept)))
        return True

    def drop(self, key: bytes) -> None:
        kept = self._kept.pop(key, None)
        if kept is not None:
            self.size -= kept.size

    def fits(self, size: int) -> bool:
        """Whether an answer of so many bytes could be kept."""
        return (size + OVERHEAD) * SHARE <= self._capacity

    # Identical calls at once.

    def flight(self, key: bytes) -> asyncio.Future[bool] | None:
        """Who is being asked the same; its result says whether the answer was kept."""
        return self._flights.get(key)

    def take_off(self, key: bytes) -> None:
        self._flights[key] = asyncio.get_running_loop().create_future()

    def land(self, key: bytes, kept: bool) -> None:
        """The answer is there, or will never be."""
        flight = self._flights.pop(key, None)
        if flight is not None and not flight.done():
            flight.set_result(kept)
