"""A bound on the calls that one upstream has open at once, and a short, fair line before it.

A place that comes free goes to the tenants in turn, and within a tenant to whoever waits longest. When the line is
full, a tenant with fewer callers in it takes the last place of the one with the most: a thousand calls of one must not
keep out the single call of another. Whoever cannot be served in time is told so at once, with the time after which
coming back makes sense, because another target may be free now.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any

from sampan.core import Fault
from sampan.errors import TargetFault

WEIGHT = 0.1  # of the newest holding time in their moving average: about the last twenty calls speak
UNKNOWN = 1.0  # seconds to come back after, while no call has ended yet
SPREAD = 0.25  # the most by which `retry_after` is lengthened, so that those refused together do not return together


class Slot:
    """One place, taken. It goes back when its `with` block ends, exactly once."""

    __slots__ = ("_bulkhead", "_since")

    def __init__(self, bulkhead: Bulkhead, since: float) -> None:
        self._bulkhead: Bulkhead | None = bulkhead
        self._since = since

    def __enter__(self) -> Slot:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.give_back(used=not (isinstance(error, TargetFault) and error.fault is Fault.BREAKER_OPEN))

    def give_back(self, *, used: bool = True) -> None:
        """Ends it by hand; nothing happens the second time. Only a `used` one tells how long calls take."""
        bulkhead, self._bulkhead = self._bulkhead, None
        if bulkhead is not None:
            bulkhead._returned(self._since, used)


class _Waiter:
    """A caller in line. `turn` becomes its slot, or the fault that sends it on."""

    __slots__ = ("deadline", "tenant", "turn")

    def __init__(self, tenant: str, deadline: float) -> None:
        self.tenant = tenant
        self.deadline = deadline
        self.turn: asyncio.Future[Slot | TargetFault] = asyncio.get_running_loop().create_future()


class _Line:
    """Who waits: first come, first served within a tenant, and the tenants in turn. Every step but two is O(1)."""

    __slots__ = ("_arrivals", "_turns")

    def __init__(self) -> None:
        self._arrivals: OrderedDict[_Waiter, None] = OrderedDict()
        self._turns: OrderedDict[str, OrderedDict[_Waiter, None]] = OrderedDict()  # the next one's turn stands first

    def __len__(self) -> int:
        return len(self._arrivals)

    def add(self, waiter: _Waiter) -> None:
        self._arrivals[waiter] = None
        self._turns.setdefault(waiter.tenant, OrderedDict())[waiter] = None

    def discard(self, waiter: _Waiter) -> None:
        if waiter not in self._arrivals:
            return
        del self._arrivals[waiter]
        own = self._turns[waiter.tenant]
        del own[waiter]
        if not own:
            del self._turns[waiter.tenant]

    def next(self) -> _Waiter | None:
        """Takes out whoever's turn it is. One that has left, and not got round to saying so, uses no turn up."""
        while self._turns:
            tenant, own = next(iter(self._turns.items()))
            waiter = next(iter(own))
            self.discard(waiter)
            if not waiter.turn.done():
                if tenant in self._turns:
                    self._turns.move_to_end(tenant)
                return waiter
        return None

    def oldest(self) -> _Waiter | None:
        return next(iter(self._arrivals), None)

    def count(self, tenant: str) -> int:
        return len(self._turns.get(tenant, ()))

    def ahead(self, tenant: str) -> int:
        """How many will be served before one more caller of `tenant`. O(tenants)."""
        own = self.count(tenant)
        rounds = own + 1
        ahead = own
        for name, waiters in self._turns.items():
            if name == tenant:
                rounds = own  # those behind it in the rotation come one time less
            else:
                ahead += min(len(waiters), rounds)
        return ahead

    def crowd(self) -> _Waiter:
        """The newest waiter of the tenant that has the most. O(tenants); there must be somebody."""
        most: OrderedDict[_Waiter, None] = max(self._turns.values(), key=len)
        return next(reversed(most))


class _Pace:
    """How long calls hold their places, in seconds: a moving average of those that ended, the mean age of the rest.

    The ages count because an upstream that hangs ends no calls at all, and the average would stay as bright as before.
    """

    __slots__ = ("_began", "_open", "usual")

    def __init__(self) -> None:
        self.usual: float | None = None
        self._open = 0
        self._began = 0.0  # the sum of when the open ones began

    def begin(self, now: float) -> None:
        self._open += 1
        self._began += now

    def end(self, since: float, now: float, used: bool) -> None:
        self._open -= 1
        self._began = self._began - since if self._open else 0.0  # no rounding error outlives a quiet moment
        if used:
            held = now - since
            self.usual = held if self.usual is None else self.usual + WEIGHT * (held - self.usual)

    def age(self, now: float) -> float:
        return max(0.0, now - self._began / self._open) if self._open else 0.0

    def seconds(self, now: float) -> float:
        return max(self.usual or 0.0, self.age(now))


class Bulkhead:
    """`size` places, and a line of at most `queue` callers who wait for one for at most `seconds`.

    Belongs to one event loop. `chance` draws from [0, 1).
    """

    __slots__ = ("_chance", "_clock", "_line", "_pace", "_queue", "_seconds", "_size", "_taken", "_timer")

    def __init__(
        self,
        size: int,
        *,
        queue: int = 0,
        seconds: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._size = size
        self._queue = queue if seconds > 0 else 0
        self._seconds = seconds
        self._clock = clock
        self._chance = chance
        self._taken = 0
        self._line = _Line()
        self._pace = _Pace()
        self._timer: asyncio.TimerHandle | None = None  # one, for whoever waits longest; it may ring for nobody

    @property
    def taken(self) -> int:
        return self._taken

    @property
    def waiting(self) -> int:
        return len(self._line)

    def enter(self, tenant: str) -> Slot | Coroutine[Any, Any, Slot]:
        """A slot at once where a place is free, else what to await for one; nobody is in line before it is awaited.

        Raises `TargetFault(bulkhead_full)`, here or from the await, with the seconds after which a place is likely:
        where the line is full, where its end could not be reached in time, and where the time is over.
        """
        if self._taken < self._size:  # then nobody waits: a place that comes free is handed on in the same step
            return self.lend()
        self._displaced(tenant)
        return self._wait(tenant)

    async def _wait(self, tenant: str) -> Slot:
        if self._taken < self._size:
            return self.lend()
        self._send_on(self._displaced(tenant), "a tenant with fewer callers in line came")
        waiter = _Waiter(tenant, self._clock() + self._seconds)
        self._line.add(waiter)
        if self._timer is None:
            self._set_timer(waiter)
        try:
            outcome = await waiter.turn
        except BaseException:
            self._leave(waiter)
            raise
        if isinstance(outcome, TargetFault):
            raise outcome
        return outcome

    def _leave(self, waiter: _Waiter) -> None:
        """The caller went away: its place in line is free, and so is the slot it may have been given just now."""
        self._line.discard(waiter)
        if waiter.turn.done() and not waiter.turn.cancelled():
            outcome = waiter.turn.result()
            if isinstance(outcome, Slot):
                outcome.give_back(used=False)

    def _displaced(self, tenant: str) -> _Waiter | None:
        """Who must leave the line for one more caller of `tenant`, if anybody; raises where there is no room for it."""
        now = self._clock()
        pace = self._pace.seconds(now)
        soonest = (self._line.ahead(tenant) * pace + max(0.0, pace - self._pace.age(now))) / self._size
        if self._queue == 0:
            raise self._full(tenant, "no place is free")
        if soonest > self._seconds:
            raise self._full(tenant, "no place comes free in time")
        if len(self._line) < self._queue:
            return None
        last = self._line.crowd()
        if self._line.count(last.tenant) <= self._line.count(tenant) + 1:
            raise self._full(tenant, "the line is full")
        return last

    def _send_on(self, waiter: _Waiter | None, why: str) -> None:
        if waiter is not None:
            self._line.discard(waiter)
            if not waiter.turn.done():
                waiter.turn.set_result(self._full(waiter.tenant, why))

    def _full(self, tenant: str, why: str) -> TargetFault:
        """`retry_after` is when a place is likely for this tenant, at the rate at which places come free."""
        pace = self._pace.seconds(self._clock())
        wait = (self._line.ahead(tenant) + 1) * pace / self._size
        if self._pace.usual is None:
            wait = max(wait, UNKNOWN)
        detail = f"{why}: {self._taken} calls are open, {len(self._line)} wait"
        return TargetFault(Fault.BULKHEAD_FULL, detail, retry_after=wait * (1.0 + SPREAD * self._chance()))

    @property
    def full(self) -> bool:
        return self._taken >= self._size

    def lend(self) -> Slot:
        """A place, where it is not `full`."""
        now = self._clock()
        self._taken += 1
        self._pace.begin(now)
        return Slot(self, now)

    def _returned(self, since: float, used: bool) -> None:
        self._taken -= 1
        self._pace.end(since, self._clock(), used)
        if self._line:
            waiter = self._line.next()
            if waiter is not None:
                waiter.turn.set_result(self.lend())

    def _set_timer(self, waiter: _Waiter) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(max(0.0, waiter.deadline - self._clock()), self._expire)

    def _expire(self) -> None:
        """Everybody waits equally long, so those who came first are the first to run out of time."""
        self._timer = None
        now = self._clock()
        while (waiter := self._line.oldest()) is not None:
            if waiter.deadline > now:
                self._set_timer(waiter)
                return
            self._send_on(waiter, "no place came free in time")
