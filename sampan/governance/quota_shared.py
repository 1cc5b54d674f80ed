"""The ledger of several gateways that share limits through one Redis. See `storage.ledger_redis` for what lies there.

    reserve    one script, all pots or none; a lease is open in Redis under this node's name
    settle     durable in this node's journal when it returns; the table and then Redis hear of it a moment later
    restart    the journal is folded, everything this node ever spent is told anew, what it had open is given back
    lost       what a node had open that stays silent is charged in full after a while
    Redis is away       limited calls are refused, or each node spends its share: `[quota] when_away`
    Redis lost its data every node tells what it knows, within `GRACE` seconds in which nothing is given

Until Redis has heard of a settlement it holds the reservation, which is no less: what is spent and reserved is never
below the truth. So neither a death nor an outage at any point lets a limit be exceeded.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence

from sampan.core import Actor, Call, Spent, Target
from sampan.errors import ConfigError, Unavailable
from sampan.governance.quota_apart import Apart
from sampan.governance.quota_bounds import AMOUNTS, Load, millionths
from sampan.governance.quota_clock import FOR_EVER, window
from sampan.governance.quota_scope import Limit, units
from sampan.governance.quota_sources import Settings, StoredLimits
from sampan.governance.quota_terms import Bar, Full, Terms, in_force
from sampan.storage.ledger import SETTLED, Books, Group, Pot, heading, pack
from sampan.storage.ledger_redis import FULL, GIVEN, GRACE, GRACED, STRANGE, Held, RedisPots, Took, Wish
from sampan.storage.statutes import Statutes

BEAT = 0.25
LINGER = 0.05
DOUBT = 60.0
"""Seconds for which a lease is given back again and again that nobody confirmed: Redis may yet reserve it."""
MANY = 20_000
AWAY = "limits cannot be checked: the store that the gateways share is away. Ask again in a moment"

_Charge = tuple[Limit, str, int]


class SharedQuota:
    """The ledger where several nodes spend of one pot. `settle` and `refund` are for the event loop, as `take` is."""

    def __init__(
        self,
        books: Books,
        pots: RedisPots,
        statutes: Statutes | None,
        settings: Settings,
        *,
        wall: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._books = books
        self._pots = pots
        self._limits = StoredLimits(statutes)
        self._settings = settings
        self._wall = wall
        self._steady = steady
        self._sleep = sleep
        self._log = logging.getLogger("sampan.quota")
        self._numbers = itertools.count(secrets.randbits(40))
        self._word = ""
        self._first = True
        self._offset = 0.0
        self._nodes = 1
        self._open: dict[int, Held] = {}
        self._ended: list[int] = []
        self._doubtful: dict[int, float] = {}
        self._totals: dict[Pot, int] = {}
        self._dirty: set[Pot] = set()
        self._apart = Apart()
        self._wake = asyncio.Event()
        self._joined = asyncio.Event()
        self._hurried = False
        self._troubles: set[str] = set()
        self._lost_at = 0.0
        self.excess = 0
        self.terms = Terms((), (), settings.quota)

    @property
    def waits(self) -> bool:
        """Where there are no limits there is nothing to ask Redis."""
        return bool(self.terms.limits)

    def reserve(self, call: Call, actor: Actor, plan: Sequence[Target]) -> SharedLease | None:
        """For when it does not wait: a lease that only says what an answer costs."""
        return SharedLease(self, call, plan) if self.terms.prices else None

    # Life.

    def start(self) -> int:
        """Blocks: folds what a dead process left in the journal, and returns how many entries that were."""
        self._books.open()
        try:
            replayed = 0
            while (group := self._books.group()).entries:
                self._fold(group)
                replayed += len(group.entries)
            self._totals = self._books.shares(self._wall()).get(self._books.node, {})
            self._limits.refresh()
        except BaseException:
            self._books.close()
            raise
        self._compile()
        return replayed

    async def run(self) -> None:
        """Carries what was settled to the table and to Redis, and says that we live, until it is cancelled."""
        await self.carry()
        while True:
            try:
                async with asyncio.timeout(BEAT):
                    await self._wake.wait()
                if not self._hurried:
                    await self._sleep(LINGER)
            except TimeoutError:
                if await asyncio.to_thread(self._limits.refresh_quietly):
                    self._compile()
            self._wake.clear()
            self._hurried = False
            await self.carry()

    async def aclose(self) -> None:
        """Tells what is left. `run` must have ended, and all calls; what cannot be told is told by the next start."""
        await self.carry()
        await self._pots.aclose()
        await asyncio.to_thread(self._books.close)
        await asyncio.to_thread(self._limits.close)

    def adopt(self, settings: Settings) -> None:
        """Limits and prices of a new configuration."""
        self._settings = settings
        self._compile()

    async def renew(self) -> None:
        """Looks at the stored limits now."""
        await asyncio.to_thread(self._limits.refresh_quietly)
        self._compile()

    @property
    def up(self) -> bool:
        """Whether Redis answered last time, and knows all that we do."""
        return bool(self._word)

    async def carry(self) -> None:
        """One round: journal → table → Redis. Raises nothing that a store does; each trouble is logged once."""
        group = self._books.group()
        if group.entries:
            try:
                sums = await asyncio.to_thread(self._fold, group)
            except ConfigError as error:
                self._trouble("charges cannot be written to the database, the journal keeps them", str(error))
            else:
                self._troubles.discard("charges cannot be written to the database, the journal keeps them")
                self._folded(group, sums)
        try:
            await self._tell()
        except ConfigError as error:
            self._away(error)

    def _fold(self, group: Group) -> dict[Pot, int]:
        sums = self._books.fold(group)
        self._books.release(group)
        return sums

    def _folded(self, group: Group, sums: dict[Pot, int]) -> None:
        for pot, amount in sums.items():
            self._totals[pot] = self._totals.get(pot, 0) + amount
            self._dirty.add(pot)
        for entry in group.entries:
            if self._open.pop(entry.lease, None) is not None:
                self._ended.append(entry.lease)

    async def _tell(self) -> None:
        """Raises `ConfigError` when Redis is away."""
        if not self._word:
            await self._join()
        dirty, ended = self._dirty, self._ended
        self._dirty, self._ended = set(), []
        now = self._steady()
        self._doubtful = {lease: until for lease, until in self._doubtful.items() if until > now}
        told = {pot: self._totals[pot] for pot in dirty if pot in self._totals}
        try:
            known, stamp, self._nodes = await self._pots.sync(self._word, told, [*ended, *self._doubtful])
        except ConfigError:
            self._dirty |= dirty
            self._ended += ended
            raise
        self._offset = stamp - self._wall()
        if known != self._word:
            self._dirty |= dirty
            self._ended += ended
            self._leave()
            await self._join()
        elif now >= self._lost_at:
            self._lost_at = now + min(30.0, self.terms.quota.lost_after / 4)
            if lost := await self._pots.charge_lost(self.terms.quota.lost_after):
                self._log.warning("%d leases of servers that stayed away are charged in full", lost)

    async def _join(self) -> None:
        try:
            shares = await asyncio.to_thread(self._books.shares, self._wall() + self._offset)
        except ConfigError as error:
            raise ConfigError(f"what was spent cannot be told: {error}") from error
        self._totals = dict(shares.get(self._books.node, {}))
        held = list(self._open.values())
        fresh = secrets.token_hex(8)
        word, stamp, self._nodes = await self._pots.join(fresh, shares, held, clear=self._first)
        if word == fresh:
            self._log.info("limits are counted from what the database knows: the shared store knew nothing")
        self._word, self._first = word, False
        self._offset = stamp - self._wall()
        self._apart = Apart()
        if "away" in self._troubles:
            self._log.warning("limits are shared again")
        self._troubles.discard("away")
        self._joined.set()

    def _leave(self) -> None:
        self._word = ""
        self._joined.clear()
        self._wake.set()

    def _away(self, error: ConfigError) -> None:
        self._leave()
        self._wake.clear()  # the next beat is soon enough
        if "away" not in self._troubles:
            self._troubles.add("away")
            mode = self.terms.quota.when_away
            self._log.error("limits are not shared, and by [quota] when_away %r rules: %s", mode, error)

    def _trouble(self, what: str, why: str) -> None:
        if what not in self._troubles:
            self._log.error("%s: %s", what, why)
        self._troubles.add(what)

    def _compile(self) -> None:
        limits = in_force(self._settings.limits, self._limits.bodies)
        self.terms = Terms(limits, self._settings.prices, self._settings.quota)
        if len(self._totals) > MANY:
            now = self._wall() + self._offset
            self._totals = {pot: total for pot, total in self._totals.items() if pot.until > now}

    # Leases.

    async def take(self, call: Call, actor: Actor, plan: Sequence[Target]) -> SharedLease | None:
        terms = self.terms
        concerning = terms.concerning(call, actor)
        if not concerning:
            return SharedLease(self, call, plan) if terms.prices else None
        if not self._books.has_room:
            raise Unavailable("the ledger cannot be written. Ask again in a moment", retry_after=1.0, should_retry=True)
        bound, money = terms.bound(call, plan)
        charges = [(limit, pot, AMOUNTS[limit.settings.what](bound, money)) for limit, pot in concerning]
        lease = SharedLease(self, call, plan, bound)
        try:
            await self._reserve(lease, charges)
        except ConfigError as error:
            self._away(error)
            self._reserve_apart(lease, charges)
        return lease

    async def _reserve(self, lease: SharedLease, charges: Sequence[_Charge]) -> None:
        """Raises `ConfigError` when Redis is away, and `QuotaExceeded`."""
        if not self._word:
            if "away" in self._troubles:
                raise ConfigError("it did not answer a moment ago")
            await self._rejoined()
        number = next(self._numbers)
        turns = 0
        while True:
            wishes = [self._wish(*charge) for charge in charges]
            try:
                took = await self._pots.take(self._word, number, wishes)
            except BaseException:  # its caller left, or nobody answered: it may be reserved all the same
                self._doubtful[number] = self._steady() + DOUBT
                raise
            self._offset = took.now - self._wall()
            if took.outcome == GIVEN:
                return self._given(lease, number, charges, wishes, took)
            if took.outcome == FULL:
                raise self._exceeded(charges, wishes, took)
            turns += 1
            if turns > 2 * GRACE / BEAT + 4:
                raise ConfigError("its clock cannot be followed")
            if took.outcome == STRANGE:
                self._leave()
                await self._rejoined()
            elif took.outcome == GRACED:
                await self._sleep(BEAT / 2)

    async def _rejoined(self) -> None:
        """Redis lost its data: the task that tells it anew is at work."""
        try:
            async with asyncio.timeout(2 * BEAT):
                await self._joined.wait()
        except TimeoutError:
            raise ConfigError("it lost its data, and was not told yet what we know") from None

    def _given(
        self, lease: SharedLease, number: int, charges: Sequence[_Charge], wishes: Sequence[Wish], took: Took
    ) -> None:
        pots = tuple(_pot(wish, since) for wish, since in zip(wishes, took.since, strict=True))
        self._open[number] = Held(number, tuple((pot, wish.amount) for pot, wish in zip(pots, wishes, strict=True)))
        for pot, wish, used in zip(pots, wishes, took.used, strict=True):
            self._apart.saw(pot, used + wish.amount)
        lease.fill(number, charges, pots, took.used)

    def _reserve_apart(self, lease: SharedLease, charges: Sequence[_Charge]) -> None:
        """A share of what was left when Redis was last heard. Raises `Unavailable` where the settings want none."""
        if self.terms.quota.when_away != "local":
            raise Unavailable(AWAY, retry_after=1.0, should_retry=True)
        wishes = [self._wish(*charge) for charge in charges]
        pots = tuple(_pot(wish, wish.windows[0]) for wish in wishes)
        full = []
        for (limit, name, amount), pot in zip(charges, pots, strict=True):
            left = self._apart.left(pot, limit.most, self._nodes, self._totals.get(pot, 0))
            if amount > left:
                full.append(Full(limit, name, limit.most - max(0, left), amount, pot.until))
        if full:
            raise self.terms.exceeded(full, self._wall() + self._offset)
        number = next(self._numbers)
        held = tuple((pot, amount) for pot, (_, _, amount) in zip(pots, charges, strict=True))
        self._open[number] = Held(number, held)
        self._apart.take(number, held)
        lease.fill(number, charges, pots, [0] * len(pots))

    def _wish(self, limit: Limit, pot: str, amount: int) -> Wish:
        per, zone = limit.settings.per, self.terms.zone
        since, turn = window(per, self._wall() + self._offset, zone)
        last = window(per, turn, zone)[1] if per else FOR_EVER + 1
        return Wish(limit.meter, pot, amount, limit.most, (since, turn, last))

    def _exceeded(self, charges: Sequence[_Charge], wishes: Sequence[Wish], took: Took) -> Exception:
        full = [
            Full(limit, name, used, amount, _pot(wish, since).until)
            for (limit, name, amount), wish, used, since in zip(charges, wishes, took.used, took.since, strict=True)
            if amount and used + amount > limit.most
        ]
        return self.terms.exceeded(full, took.now)

    def pay(self, lease: SharedLease, spent: Spent) -> float:
        """See `SharedLease.settle`."""
        real, cost = self.terms.real(lease.call, lease.plan, lease.bound, spent)
        paid, real_amounts = [], []
        for (limit, _, reserved), pot in zip(lease.charges, lease.pots, strict=True):
            amount = AMOUNTS[limit.settings.what](real, millionths(cost)) if limit.settings.per else 0
            real_amounts.append((pot, amount))
            if amount:
                paid.append((heading(pot), amount))
            if amount > reserved:
                self.excess += 1
                name = limit.settings.name
                self._log.warning(
                    "limit %r: a call took %d, and %d were reserved: all is charged", name, amount, reserved
                )
        if lease.number:
            self._books.append(pack(SETTLED, lease.number, paid))
            self._apart.settle(lease.number, real_amounts)
            self._hurry(lease)
        return cost

    def give_back(self, lease: SharedLease) -> None:
        """See `SharedLease.refund`. Not in the journal: the next start gives back whatever is open."""
        if lease.number and self._open.pop(lease.number, None) is not None:
            self._ended.append(lease.number)
            self._apart.settle(lease.number, ())
            self._hurry(lease)

    def _hurry(self, lease: SharedLease) -> None:
        """Others may wait for a place that is free now."""
        self._hurried = self._hurried or any(not limit.settings.per for limit, _, _ in lease.charges)
        self._wake.set()

    # For people.

    async def bars(self) -> list[Bar]:
        """How far each pot is spent, over all nodes. Raises `ConfigError`."""
        found = []
        for limit in self.terms.limits:
            since, until = window(limit.settings.per, self._wall() + self._offset, self.terms.zone)
            one, kept = units(limit.settings.what), bool(limit.settings.per)
            times = (since, until) if kept else (None, None)
            used = await self._pots.used(limit.meter)
            bars = [
                Bar(limit, pot, spent / one, reserved / one, *times)
                for (pot, at), (spent, reserved) in sorted(used.items())
                if at == since
            ]
            found += bars or [Bar(limit, "", 0.0, 0.0, *times)]
        return found


class SharedLease:
    """What one call has reserved; `pots` are in the windows that Redis chose."""

    __slots__ = ("_done", "_headers", "_quota", "bound", "call", "charges", "number", "plan", "pots")

    def __init__(self, quota: SharedQuota, call: Call, plan: Sequence[Target], bound: Load | None = None) -> None:
        self._quota = quota
        self._done = False
        self._headers: tuple[tuple[str, str], ...] = ()
        self.call = call
        self.plan = plan
        self.bound = bound
        self.number = 0
        self.charges: Sequence[_Charge] = ()
        self.pots: tuple[Pot, ...] = ()

    def fill(self, number: int, charges: Sequence[_Charge], pots: tuple[Pot, ...], used: Sequence[int]) -> None:
        self.number, self.charges, self.pots = number, charges, pots
        near = [
            (limit, before + amount, pot.until)
            for (limit, _, amount), pot, before in zip(charges, pots, used, strict=True)
            if before + amount >= limit.mark
        ]
        if near:
            tightest = min(near, key=lambda each: (each[0].most - each[1]) / max(1, each[0].most))
            self._headers = (self._quota.terms.warning(*tightest),)

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        return self._headers

    def settle(self, spent: Spent) -> float:
        self._end()
        return self._quota.pay(self, spent)

    def refund(self) -> None:
        self._end()
        self._quota.give_back(self)

    def _end(self) -> None:
        if self._done:
            raise RuntimeError("a lease is settled or refunded once")
        self._done = True


def _pot(wish: Wish, since: int) -> Pot:
    first, turn, last = wish.windows
    return Pot(wish.meter, wish.pot, since, turn if since == first else last)
