"""Keeps breakers and probes in step with what other servers know, and with what this one knew before it was restarted.

A call never waits for any of it: breakers decide by themselves, at once, and tell of it afterwards. What they follow
are moves of their own table of states. Without the store they simply go on alone, and catch up when it is back: of two
servers that differ, the one whose breaker moved last is right.

One server at a time tries a half-open upstream: whoever holds the lease (`Turn`). Who wants to try and has none
gets it in the background, and its next call is the trial.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from sampan.core import Operation
from sampan.errors import ConfigError
from sampan.routing.breaker import Breaker, State
from sampan.routing.probes import Prober, pause
from sampan.storage.state import Fact, Known
from sampan.storage.state import State as Store

POLL = 1.0  # seconds between two looks at the store although nobody has called: a call may get lost
LEAST_PAUSE = 0.02  # seconds between two exchanges: a breaker that flaps tells of it 50 times a second and not more
KEPT = 600.0  # seconds beyond its delay that a breaker's state is known without anybody who tells of it again
FIRST_RETRY, LAST_RETRY = 0.25, 5.0  # seconds until a store that is away is asked again
LEASE = 10.0  # seconds a lease outlives its holder
STATES = frozenset(state.value for state in State)
UNUSED = 1.0  # seconds a lease is kept for a call that does not come


@dataclass(slots=True, eq=False)
class Link:
    """A breaker and what was last told or learned of it."""

    name: str
    breaker: Breaker
    keep: float
    told: tuple[int, float] | None = None
    stamp: int = 0
    free_since: float | None = None

    def __post_init__(self) -> None:
        self.told = self.breaker.mark

    def settle(self, known: Known | None, sent: tuple[int, float] | None, node: str) -> None:
        """Takes in the answer to what was sent: the breaker's mark then, or None where there was nothing to tell."""
        if sent is not None:
            self.told = sent
        if self.breaker.mark != self.told:
            return  # it moved meanwhile: that is told first
        if known is None:
            if self.breaker.state is not State.CLOSED:
                self.told = None
        elif known.by != node and (sent is not None or known.stamp > self.stamp):
            if known.value in STATES:  # else a newer version wrote it: we go by what we see ourselves
                self.breaker.adopt(State(known.value), known.age)
            self.told, self.stamp = self.breaker.mark, known.stamp
        elif known.stamp <= self.stamp and known.value != self.breaker.state.value:
            self.told = None  # somebody who has been away for long told an old story
        else:
            self.stamp = known.stamp


@dataclass(slots=True, eq=False)
class Look:
    """The probes of one upstream: our last one where it was not told yet, and the stamp of the last one known."""

    name: str
    prober: Prober
    interval: float
    ours: tuple[bool, float] | None = None
    stamp: int = 0

    def settle(self, known: Known | None, node: str, put_off: float) -> None:
        if known is None or known.stamp <= self.stamp:
            return
        self.stamp = known.stamp
        if known.by != node and known.age < self.interval:
            self.prober.hear(known.value == "well", put_off)


class Sharing:
    """All breakers of one server. `load` once, then `run` and `listen` as tasks, `aclose` at the end."""

    def __init__(
        self,
        store: Store,
        node: str,
        clock: Callable[[], float],
        *,
        put_off: float = 0.1,
        observe: Callable[[ConfigError | None], None] = lambda error: None,
        wait: Callable[[asyncio.Event, float], Awaitable[None]] = pause,
    ) -> None:
        """`node` names this server among the others; `put_off` is how much later than others it probes, in intervals.

        `observe` is told of every change: None when the store answers, the error when it does not.
        """
        self._store = store
        self._node = node
        self._clock = clock
        self._put_off = put_off
        self._observe = observe
        self._wait = wait
        self._links: list[Link] = []
        self._looks: dict[str, Look] = {}
        self._up: bool | None = None
        self._failures = 0
        self._woken = asyncio.Event()
        self._reached = asyncio.Event()

    def add(self, place: str, breakers: Mapping[Operation, Breaker], delay: float) -> None:
        """`place` is a name of their upstream that says the same to all servers; `breakers` are by operation."""
        for operation, breaker in breakers.items():
            breaker.turn.wake = self.wake
            self._links.append(Link(f"breaker:{place}:{operation}", breaker, delay + KEPT))

    def add_prober(self, upstream: str, place: str, prober: Prober, interval: float) -> None:
        """`place` is its name for all servers, as in `add`; `upstream` what its prober calls it."""
        if self._store.shared:
            self._looks[upstream] = Look(f"probe:{place}", prober, interval)

    def wake(self) -> None:
        """Something changed: it is told at once."""
        self._woken.set()

    def probed(self, upstream: str, well: bool) -> None:
        """We have looked at an upstream ourselves."""
        if upstream in self._looks:
            self._looks[upstream].ours = (well, self._clock())
        self.wake()

    async def load(self) -> None:
        """What is known already, before the first call; a store that is away costs its time limit, once."""
        await self.step()

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            await self._pause()
            self._woken.clear()
            await self.step()

    async def listen(self) -> None:
        """Learns at once what others tell. Until it is cancelled."""
        while True:
            await self._reached.wait()
            try:
                await self._store.heard(self._node)
            except ConfigError:
                self._reached.clear()  # whether the store is away, the next exchange finds out
            self.wake()

    async def aclose(self) -> None:
        """Tells what was not told yet and gives leases back."""
        with suppress(ConfigError):
            await self._exchange()
            for link in self._links:
                await self._give_back(link)

    async def step(self) -> None:
        """One exchange, and leases as they are needed."""
        try:
            await self._exchange()
            if self._store.shared:
                for link in self._links:
                    await self._tend(link)
        except ConfigError as error:
            self._lost(error)
        else:
            self._found()
            if any(link.breaker.mark != link.told for link in self._links):
                self.wake()  # what moved meanwhile, and what the store has forgotten

    async def _exchange(self) -> None:
        sent: dict[str, tuple[int, float]] = {}
        facts: dict[str, Fact] = {}
        for link in self._links:
            breaker = link.breaker
            if breaker.mark != link.told:
                sent[link.name] = breaker.mark
                keep = 0.0 if breaker.state is State.ISOLATED else link.keep
                facts[link.name] = Fact(breaker.state.value, self._node, breaker.age, keep)
        for look in self._looks.values():
            if look.ours is not None:
                (well, moment), look.ours = look.ours, None
                age = max(0.0, self._clock() - moment)
                facts[look.name] = Fact("well" if well else "ill", self._node, age, 2 * look.interval)
        names = [link.name for link in self._links] + [look.name for look in self._looks.values()]
        known = await self._store.exchange(facts, names)
        for link in self._links:
            link.settle(known.get(link.name), sent.get(link.name), self._node)
        for look in self._looks.values():
            look.settle(known.get(look.name), self._node, self._put_off)

    # Leases.

    async def _tend(self, link: Link) -> None:
        """Takes, keeps or gives back the lease on trials, as the breaker needs."""
        breaker, now = link.breaker, self._clock()
        turn = breaker.turn
        held = now < turn.held_until
        turn.alone = False
        if not breaker.ready:
            turn.wanted = turn.wanted and breaker.state is not State.CLOSED
            await self._give_back(link)
        elif breaker.trial_out:
            link.free_since = None
            if not held or turn.held_until - now < LEASE / 2:
                await self._take(link)  # also after a time alone: others may not know of our trial
        elif held:
            link.free_since = now if link.free_since is None else link.free_since
            if now - link.free_since >= UNUSED:
                turn.wanted = False
                await self._give_back(link)
        elif turn.wanted:
            await self._take(link)

    async def _take(self, link: Link) -> None:
        asked = self._clock()
        if await self._store.lease(link.name, self._node, LEASE):
            link.breaker.turn.held_until = asked + LEASE

    async def _give_back(self, link: Link) -> None:
        link.free_since = None
        turn = link.breaker.turn
        if self._clock() < turn.held_until:
            turn.held_until = float("-inf")
            await self._store.release(link.name, self._node)

    # Times.

    def _lost(self, error: ConfigError) -> None:
        for link in self._links:
            link.breaker.turn.alone = True
        self._failures += 1
        self._reached.clear()
        if self._up is not False:
            self._up = False
            self._observe(error)

    def _found(self) -> None:
        self._failures = 0
        self._reached.set()
        if self._up is not True:
            self._up = True
            self._observe(None)

    async def _pause(self) -> None:
        if self._failures:
            # Not woken by what happens here: that would be a flood just when the store is busy coming back.
            longest = min(LAST_RETRY, FIRST_RETRY * 2.0 ** min(self._failures - 1, 8))
            await self._wait(asyncio.Event(), longest * random.uniform(0.5, 1.0))
            return
        await self._wait(asyncio.Event(), LEAST_PAUSE)
        await self._wait(self._woken, self._rest() if self._store.shared else 3600.0)

    def _rest(self) -> float:
        """Until the next look; not beyond the end of a delay that somebody waits for."""
        now = self._clock()
        cooling = self._waited_for()
        return max(0.0, min([POLL, *(moment - now for moment in cooling)]))

    def _waited_for(self) -> Iterable[float]:
        for link in self._links:
            breaker = link.breaker
            if breaker.state is State.OPEN and breaker.turn.wanted and not breaker.ready:
                yield breaker.tries_at
