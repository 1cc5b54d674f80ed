"""Probes with a clock and a wait that are passed in: no second passes here."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from fake_upstreams import Clock, Scripted

from sampan.core import Fault
from sampan.errors import TargetFault
from sampan.routing.breaker import Breaker, State
from sampan.routing.probes import LEAST_PAUSE, Prober

DELAY = 30.0
INTERVAL = 15.0


class Day:
    """Runs a prober for some waits; each wait lasts as long as was asked, unless somebody wakes it."""

    def __init__(self, probes: Sequence[Fault | None], *, delay: float = DELAY, waits: int = 4) -> None:
        self.clock = Clock(0.0)
        self.upstream = Scripted("u", [], probes=probes)
        self.breakers = [
            Breaker(failures=3, delay=delay, successes=1, clock=self.clock, probed=True, changed=self._changed)
            for _ in range(2)
        ]
        self.waited: list[float] = []
        self.seen: list[Fault | None] = []
        self._waits = waits
        self.prober = Prober(
            self.upstream, self.breakers, INTERVAL, clock=self.clock, wait=self._wait, observe=self._observe
        )

    def _changed(self, before: State, after: State) -> None:
        if hasattr(self, "prober"):
            self.prober.wake()

    def _observe(self, upstream: str, fault: TargetFault | None) -> None:
        assert upstream == "u"
        self.seen.append(fault.fault if fault else None)

    async def _wait(self, woken: asyncio.Event, seconds: float) -> None:
        if len(self.waited) == self._waits:
            raise asyncio.CancelledError
        self.waited.append(seconds)
        self.clock.now += seconds

    async def run(self) -> None:
        with pytest.raises(asyncio.CancelledError):
            await self.prober.run()


async def test_probes_also_while_all_is_well() -> None:
    day = Day([])
    await day.run()
    assert day.waited == [INTERVAL] * 4
    assert day.upstream.probed == 5
    assert day.seen == [None] * 5


async def test_three_failed_probes_open_all_breakers_and_the_way_back_is_a_probe_at_the_end_of_the_delay() -> None:
    day = Day([Fault.REFUSED] * 3, waits=4)
    await day.run()
    # opened at 30 s by the third probe; probed at 45 s (too early) and at once when the delay is over, at 60 s
    assert day.waited == [15.0, 15.0, 15.0, 15.0]
    assert [breaker.state for breaker in day.breakers] == [State.HALF_OPEN] * 2
    assert day.seen == [Fault.REFUSED] * 3 + [None] * 2


async def test_the_end_of_a_delay_is_not_slept_through() -> None:
    day = Day([Fault.REFUSED] * 3, delay=20.0, waits=4)
    await day.run()
    assert day.waited == [15.0, 15.0, 15.0, 5.0]
    assert day.breakers[0].state is State.HALF_OPEN


async def test_a_probe_that_still_fails_waits_another_delay() -> None:
    day = Day([Fault.REFUSED] * 5, delay=20.0, waits=5)
    await day.run()
    assert day.breakers[0].state is State.OPEN
    assert day.breakers[0].cools_at == 70.0


async def test_a_delay_of_nothing_is_no_flood() -> None:
    day = Day([Fault.REFUSED] * 50, delay=0.0, waits=10)
    await day.run()
    assert min(day.waited) == pytest.approx(LEAST_PAUSE)


async def test_a_breaker_that_opens_wakes_the_prober() -> None:
    clock = Clock(0.0)
    upstream = Scripted("u", [])
    breaker = Breaker(failures=1, delay=5.0, successes=1, clock=clock, probed=True, changed=lambda *_: prober.wake())
    waits: list[float] = []
    resting = asyncio.Event()

    async def wait(woken: asyncio.Event, seconds: float) -> None:
        waits.append(seconds)
        resting.set()
        await woken.wait()

    prober = Prober(upstream, [breaker], INTERVAL, clock=clock, wait=wait)
    task = asyncio.create_task(prober.run())
    await asyncio.wait_for(resting.wait(), 10)
    resting.clear()
    with pytest.raises(TargetFault), breaker.permit():
        raise TargetFault(Fault.REFUSED)
    await asyncio.wait_for(resting.wait(), 10)
    task.cancel()
    await asyncio.wait([task])
    assert waits == [INTERVAL, 5.0]


async def test_the_real_wait_ends_when_it_is_woken_or_over() -> None:
    clock = Clock(0.0)
    upstream = Scripted("u", [])
    prober = Prober(upstream, [], 60.0, clock=clock)
    task = asyncio.create_task(prober.run())
    await asyncio.wait_for(upstream.looked.wait(), 10)
    upstream.looked.clear()
    clock.now = 60.0
    prober.wake()
    await asyncio.wait_for(upstream.looked.wait(), 10)
    task.cancel()
    await asyncio.wait([task])
    assert upstream.probed == 2
