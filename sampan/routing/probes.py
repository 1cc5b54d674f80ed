"""Looks at each upstream for free, also while all is well, so that an outage is seen before a caller meets it.

One task per upstream. It probes every `interval`, and at once when one of its breakers has waited its delay out: the
way back is a probe, then one live trial. Servers that share their state also share the looking: what one of them saw
counts for all, and the others put their own look off.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress

from sampan.core import Upstream
from sampan.errors import TargetFault
from sampan.routing.breaker import Breaker, State

LEAST_PAUSE = 0.05  # seconds: a breaker whose delay is 0 must not turn probing into a flood

OWN_LOOK = 4  # intervals after which a server looks itself, whatever others have seen: it learns the models that way


class Prober:
    """Probes one upstream every `interval` seconds of `clock`, and tells all of its breakers."""

    def __init__(
        self,
        upstream: Upstream,
        breakers: Iterable[Breaker],
        interval: float,
        *,
        clock: Callable[[], float],
        wait: Callable[[asyncio.Event, float], Awaitable[None]] | None = None,
        observe: Callable[[str, TargetFault | None], None] = lambda upstream, fault: None,
    ) -> None:
        self._upstream = upstream
        self._breakers = tuple(breakers)
        self._interval = interval
        self._clock = clock
        self._wait = wait or pause
        self._woken = asyncio.Event()
        self._observe = observe
        self._looked = self._due = clock()
        self._well: bool | None = None

    async def run(self) -> None:
        """Probes until it is cancelled."""
        while True:
            await self.probe()
            await self._pause()

    async def probe(self) -> None:
        """One look; never raises for what it sees."""
        fault: TargetFault | None = None
        try:
            await self._upstream.probe()
        except TargetFault as error:
            fault = error
        self._looked = self._clock()
        self._well = fault is None
        self._tell(self._well)
        self._observe(self._upstream.name, fault)

    def hear(self, well: bool, put_off: float) -> None:
        """Another server has looked: that counts as a look of ours. `put_off` is in intervals.

        Ours waits so much longer while both saw the same; where they differ it is not put off.
        """
        self._tell(well)
        if well is self._well:
            latest = self._looked + OWN_LOOK * self._interval
            self._due = min(self._clock() + (1 + put_off) * self._interval, latest)
            self._woken.set()

    def _tell(self, well: bool) -> None:
        for breaker in self._breakers:
            if well:
                breaker.probe_succeeded()
            else:
                breaker.probe_failed()

    def wake(self) -> None:
        """A breaker changed: its delay may end before the next look is due."""
        self._woken.set()

    async def _pause(self) -> None:
        soonest = self._clock() + LEAST_PAUSE
        self._due = self._clock() + self._interval
        while True:
            cooling = [each.cools_at for each in self._breakers if each.state is State.OPEN]
            wait = max(soonest, min([self._due, *cooling])) - self._clock()
            if wait <= 0:
                return
            self._woken.clear()
            await self._wait(self._woken, wait)


async def pause(woken: asyncio.Event, seconds: float) -> None:
    """Until somebody wakes us, or the time is over."""
    with suppress(TimeoutError):
        await asyncio.wait_for(woken.wait(), seconds)
