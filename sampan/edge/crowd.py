"""How many connections may be open, and how fast they may come, before anybody has shown a key."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from sampan.edge.addresses import is_own, place

log = logging.getLogger("sampan.edge")

PLACES = 65_536
"""Addresses whose arrivals are remembered; of more the one that was quiet longest is forgotten."""

TELL_EVERY = 10.0
PER_ADDRESS = 256
PER_SECOND = 100


@dataclass(frozen=True, slots=True)
class CrowdLimits:
    """None is the default, which does not hold for this machine itself: all of a proxy's callers come from there."""

    total: int
    per_address: int | None = None
    per_second: int | None = None


class Crowd:
    """Counts connections; `clock` gives seconds that never go back."""

    def __init__(self, limits: CrowdLimits, clock: Callable[[], float]) -> None:
        self.limits = limits
        self._clock = clock
        self._open: dict[str, int] = {}
        self._total = 0
        self._arrivals: OrderedDict[str, tuple[float, float]] = OrderedDict()  # connections it may open, and as of when
        self._refused = 0
        self._told = -TELL_EVERY

    def enter(self, address: str, *, known: bool = False) -> tuple[int, str] | None:
        """Counts a connection in, until `leave`; or says, uncounted, why not: the HTTP status and a sentence.

        `known` is a proxy of ours: its connections are counted together with all, and not by its address.
        """
        where = place(address)
        refused = self._refusal(address, where, known)
        if refused is not None:
            self._note(where, refused[1])
            return refused
        self._total += 1
        self._open[where] = self._open.get(where, 0) + 1
        return None

    def leave(self, address: str) -> None:
        where = place(address)
        self._total -= 1
        left = self._open[where] - 1
        if left:
            self._open[where] = left
        else:
            del self._open[where]

    def _refusal(self, address: str, where: str, known: bool) -> tuple[int, str] | None:
        limits = self.limits
        if self._total >= limits.total:
            return 503, f"{limits.total:,} connections are open, which is all there may be; ask again later"
        if known:
            return None
        own = is_own(address)
        most = limits.per_address if own or limits.per_address is not None else PER_ADDRESS
        if most is not None and self._open.get(where, 0) >= most:
            return 429, f"this address has {most:,} connections open, which is all it may have; use them again"
        rate = limits.per_second if own or limits.per_second is not None else PER_SECOND
        if rate is not None and not self._arrive(where, rate):
            return 429, f"this address opens more than {rate:,} connections a second; use one for several calls"
        return None

    def _arrive(self, where: str, rate: int) -> bool:
        """A bucket that fills by `rate` a second and holds two seconds of it."""
        now = self._clock()
        full = 2.0 * rate
        left, then = self._arrivals.pop(where, (full, now))
        left = min(full, left + (now - then) * rate)
        self._arrivals[where] = (max(left - 1.0, left if left < 1.0 else 0.0), now)
        if len(self._arrivals) > PLACES:
            self._arrivals.popitem(last=False)
        return left >= 1.0

    def _note(self, where: str, why: str) -> None:
        """A flood must not flood the log too."""
        self._refused += 1
        now = self._clock()
        if now - self._told >= TELL_EVERY:
            log.warning("%d connections were turned away, the last from %s: %s", self._refused, where or "here", why)
            self._told, self._refused = now, 0
