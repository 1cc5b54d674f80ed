"""The ledger of one gateway: counters in memory, made durable by a journal. Reserve, then settle or refund.

    state       what it holds of each pot                  how it is left
    OPEN        as much as the call can take at the most   settle, refund, or the death of the process
    SETTLED     what it took                               never
    REFUNDED    nothing                                    never

A pot never holds more than its limit, for nothing is reserved that does not fit, and a bound is reserved. Where an
upstream counts more than the bound, the excess is charged and noted. A lease spends the window that its call began in.
What is open is only in memory: with the process it is gone, and so is its call, whose answer had not ended.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from sampan.core import Actor, Call, Operation, Spent, Target
from sampan.errors import ConfigError, QuotaExceeded, Unavailable
from sampan.governance.quota_bounds import AMOUNTS, Load, millionths
from sampan.governance.quota_clock import FOR_EVER, SteadyClock, window
from sampan.governance.quota_scope import Limit, units
from sampan.governance.quota_sources import Settings, StoredLimits
from sampan.governance.quota_terms import KNOWN_CALLERS, NOTED, Bar, Full, Terms, counts_calls, in_force
from sampan.storage.ledger import Books, Folder, Pot, heading
from sampan.storage.statutes import Statutes

MANY = 10_000
"""Pots of one limit that are held at once; where more are spent of, the rest share one."""
THIN_EVERY = 1.0
REST = "(others)"
PRUNE_EVERY = 3600.0
_ENDED = "a lease is settled or refunded once"
NO_ROOM = "the ledger cannot be written: what would be spent could not be kept. Ask again in a moment"


class Tally:
    """One pot in its window: what was spent, and with what is reserved."""

    __slots__ = ("heading", "meter", "name", "spent", "used")

    def __init__(self, meter: Meter, name: str, spent: int) -> None:
        self.meter = meter
        self.name = name
        self.spent = spent
        self.used = spent
        self.heading = heading(Pot(meter.limit.meter, name, meter.since, meter.until))


class Meter:
    """The pots of one limit, in the window that is running."""

    __slots__ = ("amount", "by_call", "kept", "known", "limit", "mark", "most", "pots", "since", "thin_at", "until")

    def __init__(self, limit: Limit, known: dict[tuple[str, int], int]) -> None:
        """`known` is what the table says of its pots, by name and window."""
        self.known = known
        self.since = self.until = 0
        self.thin_at = 0.0
        self.pots: dict[str, Tally] = {}
        self.adopt(limit)

    def adopt(self, limit: Limit) -> None:
        """The same limit, by other words."""
        self.limit = limit
        self.most = limit.most
        self.mark = limit.mark
        self.amount = AMOUNTS[limit.settings.what]
        self.by_call = counts_calls(limit)
        self.kept = bool(limit.settings.per)

    def roll(self, terms: Terms, now: float) -> None:
        """A new window: pots of the old one live as long as leases on them."""
        since, until = window(self.limit.settings.per, now, terms.zone)
        if since != self.since:
            self.pots = {}
            self.known = {place: spent for place, spent in self.known.items() if place[1] >= since}
        self.since, self.until = since, until

    def thin(self, now: float) -> None:
        """Drops pots that hold nothing; not for every call, for it looks at all of them."""
        self.thin_at = now + THIN_EVERY
        self.pots = {name: tally for name, tally in self.pots.items() if tally.used}

    def open(self, name: str) -> Tally:
        """The pot of this name, made if it is new. Memory is bounded: callers may invent models."""
        if len(self.pots) >= MANY and name not in self.pots:
            name = REST
        tally = self.pots.get(name)
        if tally is None:
            tally = self.pots[name] = Tally(self, name, self.known.pop((name, self.since), 0))
        return tally


_Asked = tuple[int, str, Operation]


class _Found(NamedTuple):
    """What a call spends of, until a window ends. It holds its actor, whose id the key is made from."""

    actor: Actor
    until: int
    tallies: tuple[Tally, ...]


class Quota:
    """The ledger where this process is the only one to ask. `reserve`, `settle` and `refund` are for the event loop."""

    waits = False

    def __init__(
        self,
        books: Books,
        statutes: Statutes | None,
        settings: Settings,
        *,
        wall: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
        interval: float = 0.5,
        folder: Folder | None = None,
    ) -> None:
        """Nothing is limited before `start`; `interval` is how often stored limits are looked at, in seconds."""
        self._books = books
        self._folder = folder or Folder(books)
        self._limits = StoredLimits(statutes)
        self._settings = settings
        self._clock = SteadyClock(wall, steady)
        self._interval = interval
        self._log = logging.getLogger("sampan.quota")
        self._known: dict[str, dict[tuple[str, int], int]] = {}
        self._meters: dict[str, Meter] = {}
        self._found: dict[_Asked, _Found] = {}
        self.excess = 0
        """How many settlements were above what had been reserved."""
        self.terms = Terms((), (), settings.quota)

    def start(self) -> int:
        """Blocks: replays what a dead process left and returns how many entries that were. Raises `ConfigError`."""
        self._books.open()
        try:
            replayed = self._folder.start()
            for pot, spent in self._books.spent(self._clock.now()).items():
                self._known.setdefault(pot.meter, {})[pot.pot, pot.since] = spent
            self._limits.refresh()
        except BaseException:
            self._books.close()
            raise
        self._compile()
        if replayed:
            self._log.info("replayed %d charges that the last process left in the journal", replayed)
        return replayed

    def close(self) -> None:
        """Blocks: folds the journal, and lets go of it. Calls must have ended."""
        self._folder.close()
        self._books.close()
        self._limits.close()

    async def aclose(self) -> None:
        """The same, from the event loop."""
        await asyncio.to_thread(self.close)

    def adopt(self, settings: Settings) -> None:
        """Limits and prices of a new configuration; what is spent stays spent."""
        self._settings = settings
        self._compile()

    async def renew(self) -> None:
        """Looks at the stored limits now."""
        await asyncio.to_thread(self._limits.refresh_quietly)
        self._compile()

    async def run(self, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        """Keeps stored limits fresh, and the table small, until it is cancelled."""
        prune_at = 0.0
        while True:
            await sleep(self._interval)
            if await asyncio.to_thread(self._limits.refresh_quietly):
                self._compile()
            if self._clock.now() >= prune_at:
                prune_at = self._clock.now() + PRUNE_EVERY
                await asyncio.to_thread(self._prune)

    def reserve(self, call: Call, actor: Actor, plan: Sequence[Target]) -> LocalLease | None:
        terms = self.terms
        if not terms.limits:
            return LocalLease(self, call, plan, [], None) if terms.has_prices else None
        now = self._clock.now()
        asked = (id(actor), call.model, call.operation)
        found = self._found.get(asked)
        if found is None or found.actor is not actor or now >= found.until:
            found = self._find(asked, actor, call, now)
        if not found.tallies:
            return LocalLease(self, call, plan, [], None) if terms.has_prices else None
        if not self._books.has_room:
            raise Unavailable(NO_ROOM, retry_after=1.0, should_retry=True)
        bound: Load | None = None
        money = 0
        charges: list[tuple[Tally, int]] = []
        for tally in found.tallies:
            meter = tally.meter
            if meter.by_call:
                amount = 1
            else:
                if bound is None:
                    bound, money = terms.bound(call, plan)
                amount = meter.amount(bound, money)
            if tally.used + amount > meter.most and amount:
                raise self._exceeded(found, call, plan, now)
            charges.append((tally, amount))
        for tally, amount in charges:
            tally.used += amount
        return LocalLease(self, call, plan, charges, bound)

    def _find(self, asked: _Asked, actor: Actor, call: Call, now: float) -> _Found:
        """The pots of a call in the windows that are running; kept, since the next call of the same is the rule."""
        until = FOR_EVER
        if len(self._found) >= KNOWN_CALLERS:
            self._found.clear()
        pots = []
        for limit, name in self.terms.concerning(call, actor):
            meter = self._meters[limit.meter]
            if now >= meter.until:
                meter.roll(self.terms, now)
            if len(meter.pots) >= MANY and now >= meter.thin_at:
                meter.thin(now)
                self._found.clear()  # it may hold what is dropped
            pots.append(meter.open(name))
            until = min(until, meter.until)
        found = self._found[asked] = _Found(actor, until, tuple(pots))
        return found

    def _exceeded(self, found: _Found, call: Call, plan: Sequence[Target], now: float) -> QuotaExceeded:
        bound, money = self.terms.bound(call, plan)
        full = []
        for tally in found.tallies:
            amount = tally.meter.amount(bound, money)
            if amount and tally.used + amount > tally.meter.most:
                full.append(Full(tally.meter.limit, tally.name, tally.used, amount, tally.meter.until))
        return self.terms.exceeded(full, now)

    async def take(self, call: Call, actor: Actor, plan: Sequence[Target]) -> LocalLease | None:
        return self.reserve(call, actor, plan)

    def flush(self) -> bool:
        """Blocks until the table has everything."""
        return self._folder.flush()

    async def bars(self) -> list[Bar]:
        """How far each pot is spent."""
        now = self._clock.now()
        found = []
        for limit in self.terms.limits:
            meter = self._meters[limit.meter]
            if now >= meter.until:
                meter.roll(self.terms, now)
            for name, since in list(meter.known):
                if since == meter.since:
                    meter.open(name)
            one = units(limit.settings.what)
            times = (meter.since, meter.until) if meter.kept else (None, None)
            for name, tally in sorted(meter.pots.items()):
                found.append(Bar(limit, name, tally.spent / one, (tally.used - tally.spent) / one, *times))
            if not meter.pots:
                found.append(Bar(limit, "", 0.0, 0.0, *times))
        return found

    def pay(self, lease: LocalLease, spent: Spent) -> float:
        """Charges a lease with what its call took; see `LocalLease.settle`."""
        real, cost = self.terms.real(lease.call, lease.plan, lease.bound, spent)
        money = -1
        charges: list[tuple[bytes, int]] = []
        for tally, reserved in lease.charges:
            meter = tally.meter
            if not meter.kept:
                tally.used -= reserved
                continue
            if meter.by_call:
                amount = 1
            else:
                if money < 0:
                    money = millionths(cost) if cost else 0
                amount = meter.amount(real, money)
            tally.used += amount - reserved
            tally.spent += amount
            if amount:
                charges.append((tally.heading, amount))
            if amount > reserved:
                self._note(tally, amount, reserved)
        if charges:
            self._books.charge(charges)
            self._folder.wake()
        return cost

    def _note(self, tally: Tally, amount: int, reserved: int) -> None:
        self.excess += 1
        self._log.warning(NOTED, tally.meter.limit.settings.name, amount, reserved)

    def _compile(self) -> None:
        limits = in_force(self._settings.limits, self._limits.bodies)
        for limit in limits:
            meter = self._meters.get(limit.meter)
            if meter is None:
                self._meters[limit.meter] = Meter(limit, self._known.pop(limit.meter, {}))
            else:
                meter.adopt(limit)
        if self._settings.quota.time_zone != self.terms.quota.time_zone:
            for meter in self._meters.values():
                meter.until = 0  # days begin at another moment
        self.terms = Terms(limits, self._settings.prices, self._settings.quota)
        self._found.clear()

    def _prune(self) -> None:
        try:
            self._books.prune(self._clock.now())
        except ConfigError as error:
            self._log.warning("ended windows were not dropped: %s", error)


class LocalLease:
    """What one call has reserved."""

    __slots__ = ("_open", "_quota", "bound", "call", "charges", "plan")

    def __init__(
        self, quota: Quota, call: Call, plan: Sequence[Target], charges: list[tuple[Tally, int]], bound: Load | None
    ) -> None:
        self._quota = quota
        self._open = True
        self.call = call
        self.plan = plan
        self.charges = charges
        self.bound = bound

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        for tally, _ in self.charges:
            if tally.used >= tally.meter.mark:
                return self._warning()
        return ()

    def _warning(self) -> tuple[tuple[str, str], ...]:
        near = [tally for tally, _ in self.charges if tally.used >= tally.meter.mark]
        tightest = min(near, key=lambda tally: (tally.meter.most - tally.used) / max(1, tally.meter.most))
        return (self._quota.terms.warning(tightest.meter.limit, tightest.used, tightest.meter.until),)

    def settle(self, spent: Spent) -> float:
        if not self._open:
            raise RuntimeError(_ENDED)
        self._open = False
        return self._quota.pay(self, spent)

    def refund(self) -> None:
        if not self._open:
            raise RuntimeError(_ENDED)
        self._open = False
        for tally, amount in self.charges:
            tally.used -= amount
