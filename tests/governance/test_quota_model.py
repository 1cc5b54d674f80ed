"""The ledger of one gateway against a sequential model: calls, deaths, restarts, and clocks that go as they like."""

from __future__ import annotations

import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

from sampan.core import Spent
from sampan.errors import QuotaExceeded
from sampan.governance.quota import LocalLease, Quota
from sampan.governance.quota_terms import Bar
from sampan.storage.db import Database
from sampan.storage.ledger import Books, Entry, Folder, unpack
from tests.governance.quota_house import LI, PLAN, WANG, ZHAO, Hands, call, limit, took
from tests.governance.quota_house import settings as quota_settings

LIMITS = (
    limit("minute", "calls", 3, "minute", user="*"),
    limit("day", "tokens", 900, "day", department="radiology"),
    limit("month", "output_tokens", 500, "month"),
    limit("open", "concurrency", 3, department="*"),
)
ACTORS = (LI, WANG, ZHAO)
Place = tuple[str, str, int | None]


class _ByHand(Folder):
    """Folds when it is told to, in the thread that tells it."""

    def start(self) -> int:
        replayed = 0
        while count := self._fold():
            replayed += count
        return replayed

    def wake(self) -> None:
        return

    def flush(self, timeout: float = 10.0) -> bool:
        self.start()
        return True

    def close(self, timeout: float = 10.0) -> None:
        self.start()


class _Heard(Books):
    """Tells what was appended since it was last asked."""

    heard: list[Entry]

    def _put(self, payload: bytes) -> None:
        super()._put(payload)
        self.heard.append(unpack(payload))


@dataclass
class Opened:
    lease: LocalLease
    held: dict[Place, int]
    life: int


def _amounts(bars: dict[Place, Bar]) -> dict[Place, tuple[float, float]]:
    return {place: (bar.spent, bar.reserved) for place, bar in bars.items() if bar.spent or bar.reserved}


class Ledgers(RuleBasedStateMachine):
    leases = Bundle("leases")

    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.database = Database(Path(self.folder.name))
        self.hands = Hands()
        self.life = 0
        self.spent: Counter[Place] = Counter()
        self.held: Counter[Place] = Counter()
        self.excess: Counter[Place] = Counter()
        self.newest: dict[str, int] = {}
        self._open()

    def _open(self) -> None:
        self.books = _Heard(self.database, capacity=1 << 14)
        self.books.heard = []
        self.quota = Quota(
            self.books,
            None,
            quota_settings(*LIMITS),
            wall=lambda: self.hands.wall,
            steady=lambda: self.hands.steady,
            folder=_ByHand(self.books),
        )
        self.quota.start()
        self.newest = {}

    def bars(self) -> dict[Place, Bar]:
        try:
            self.quota.bars().send(None)
        except StopIteration as found:  # it waits for nothing, and a loop for each look would take most of the time
            return {(bar.limit.settings.name, bar.pot, bar.since): bar for bar in found.value}
        raise AssertionError("it waits")

    @rule(target=leases, actor=st.sampled_from(ACTORS), answer=st.integers(1, 400))
    def reserve(self, actor: Any, answer: int) -> Any:
        before = self.bars()
        try:
            lease = self.quota.reserve(call(answer=answer), actor, PLAN)
        except QuotaExceeded as full:
            assert full.retry_after is None or full.retry_after >= 1.0
            assert _amounts(self.bars()) == _amounts(before), "none is charged unless all fit"
            return None
        assert lease is not None
        held = {}
        for place, bar in self.bars().items():
            old = before.get(place)
            grown = round(bar.reserved - (old.reserved if old else 0.0))
            if grown:
                held[place] = grown
        assert {name for name, _, _ in held} >= {"minute", "month", "open"}
        self.held.update(held)
        return Opened(lease, held, self.life)

    @rule(opened=consumes(leases), read=st.integers(0, 80), written=st.integers(0, 500), way=st.integers(0, 3))
    def end(self, opened: Opened | None, read: int, written: int, way: int) -> None:
        if opened is None or opened.life != self.life:
            return  # its process is dead, and so is its call
        self.held.subtract(opened.held)
        if way == 0:
            opened.lease.refund()
            return
        spent = took(read, written) if way == 1 else Spent(None, written * 10, PLAN[0], cached=way == 2)
        self.books.heard.clear()
        opened.lease.settle(spent)
        total = 0
        for entry in self.books.heard:
            for pot, amount in entry.charges:
                place = (pot.meter.partition("|")[0], pot.pot, pot.since)
                assert place in opened.held, "a lease spends the window that it was given in"
                self.spent[place] += amount
                self.excess[place] += max(0, amount - opened.held[place])
                total += amount
        if way == 1:
            in_radiology = any(name == "day" for name, _, _ in opened.held)
            assert total == 1 + written + (read + written if in_radiology else 0)

    @rule(seconds=st.one_of(st.floats(0, 90), st.floats(0, 90_000), st.floats(0, 40 * 86_400)))
    def time_passes(self, seconds: float) -> None:
        self.hands.pass_by(seconds)

    @rule(seconds=st.one_of(st.floats(0, 90), st.floats(0, 40 * 86_400)))
    def the_clock_is_set_back(self, seconds: float) -> None:
        self.hands.wall -= seconds

    @rule()
    def the_process_dies(self) -> None:
        """What is open is gone with it; what was appended is in the file."""
        self.books.close()
        self._born_again()

    @rule()
    def the_process_ends(self) -> None:
        self.quota.close()
        self._born_again()

    def _born_again(self) -> None:
        self.held.clear()
        self.life += 1
        self._open()
        assert +self._table() == +self.spent

    def _table(self) -> Counter[Place]:
        found: Counter[Place] = Counter()
        for pot, amount in self.books.spent(-1.0).items():
            found[pot.meter.partition("|")[0], pot.pot, pot.since] += amount
        return found

    @invariant()
    def nothing_is_spent_beyond_a_limit(self) -> None:
        if not hasattr(self, "quota"):
            return
        most = {each.name: each.most for each in LIMITS}
        for place, bar in self.bars().items():
            assert bar.spent == (self.spent[place] if place[2] is not None else 0)
            assert bar.reserved == self.held[place]
            assert bar.spent + bar.reserved <= most[place[0]] + self.excess[place]
            if bar.since is not None:
                assert bar.since >= self.newest.get(place[0], 0), "no window comes back while a process lives"
                self.newest[place[0]] = bar.since

    def teardown(self) -> None:
        if hasattr(self, "quota"):
            self.books.close()
            self.database.close()
            self.folder.cleanup()


Ledgers.TestCase.settings = settings(
    max_examples=20, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
TestLedgers = Ledgers.TestCase
