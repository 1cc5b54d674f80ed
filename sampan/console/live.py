"""The board that the live pages are written from: what every call, breaker, probe and engine tells in passing.

A call costs it the appending to a list: what follows from it is worked out when somebody looks, or for hundreds of
calls at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sampan.console.moments import Kind, Timeline
from sampan.console.tallies import MINUTE, POINT, TEN, Days, Tally, merged
from sampan.core import Fault, Operation, Record

AT_ONCE = 256
"""Records that are kept before they are counted."""
WINDOWS = (900, 3600, 21_600, 86_400)
"""Seconds that one can look back."""
FINE_POINTS, COARSE_POINTS = 60, 144
PASSED_BY = frozenset({Fault.BREAKER_OPEN.value})
"""What is no fault of the moment: somebody was not asked because of an earlier one."""


@dataclass(frozen=True, slots=True)
class Probe:
    """What the last look at an upstream saw, in Unix seconds; `fault` is empty where it was well."""

    at: float
    fault: str


@dataclass(frozen=True, slots=True)
class LastFault:
    """Why an upstream last failed a call."""

    at: float
    fault: str
    operation: str
    call: str


class Board:
    """Used on the event loop only. `wall` is Unix seconds."""

    def __init__(self, wall: Callable[[], float]) -> None:
        self._wall = wall
        self.began = wall()
        self.since = self.began
        """From when on it knows all calls."""
        self.timeline = Timeline()
        self.probes: dict[str, Probe] = {}
        self.last_faults: dict[str, LastFault] = {}
        self._days = Days()
        self._days.roll(self.began)
        self._pending: list[Record] = []
        self._states: dict[tuple[str, str], str] = {}
        self._quiet: dict[tuple[str, Operation], str] | None = None
        self._phases: dict[str, str] = {}
        self._by = ""
        self._broken: Counter[tuple[str, str]] = Counter()
        self._ended: dict[int, Tally] = {}
        self._counted = 0
        self._told: tuple[int, dict[str, object]] = (-1, {})
        self._curves: dict[str, object] = {}
        self.timeline.add(Kind.GATEWAY, self.began, "started")

    # What is told in passing.

    def keep(self, record: Record) -> None:
        """A call has ended."""
        self._pending.append(record)
        if len(self._pending) >= AT_ONCE:
            self.count()

    def breaker(self, upstream: str, operation: Operation, state: str) -> None:
        """A breaker is in this state now."""
        if self._quiet is not None:
            self._quiet[upstream, operation] = state
            return
        key = (upstream, operation.value)
        before = self._states.get(key)
        self._states[key] = state
        if before is not None and before != state:
            facts = {"upstream": upstream, "operation": operation.value, "before": before, "by": self._by}
            self.timeline.add(Kind.BREAKER, self._wall(), state, **facts)

    @contextmanager
    def quiet(self) -> Iterator[None]:
        """Breakers are built anew: that they are closed at first says nothing, only what they are in the end does."""
        self._quiet = {}
        try:
            yield
        finally:
            said, self._quiet = self._quiet, None
            for (upstream, operation), state in said.items():
                self.breaker(upstream, operation, state)

    @contextmanager
    def by_hand(self, who: str) -> Iterator[None]:
        """What changes within is somebody's doing."""
        self._by = who
        try:
            yield
        finally:
            self._by = ""

    def probed(self, upstream: str, fault: Fault | None) -> None:
        """Somebody looked at an upstream; what changes is worth a mark."""
        now, word = self._wall(), fault.value if fault else ""
        before = self.probes.get(upstream)
        self.probes[upstream] = Probe(now, word)
        if (before.fault if before else "") != word:
            self.timeline.add(Kind.PROBE, now, word or "ok", upstream=upstream)

    def engine(self, name: str, phase: str, why: str) -> None:
        """An engine's process is in this phase; `why` is what ended it last."""
        if self._phases.get(name) != phase:
            self._phases[name] = phase
            self.note(Kind.ENGINE, phase, upstream=name, detail=why[:300])

    def broke(self, upstream: str, operation: Operation, fault: Fault) -> None:
        """An answer that had begun broke off; the record that follows says who went on with it."""
        self._broken[upstream, fault.value] += 1

    def note(self, kind: Kind, word: str, **facts: str) -> None:
        """Anything else, now."""
        self.timeline.add(kind, self._wall(), word, **facts)

    # What follows from it.

    def count(self) -> None:
        """Works off what was kept."""
        pending, self._pending = self._pending, []
        self._add(pending)

    def fill(self, records: Iterable[Record]) -> None:
        """Learns of calls of an earlier life, in any order; in portions, for it takes microseconds a call."""
        self._add([each for each in records if each.started + each.total_ms / 1000 < self.began])

    def filled(self, since: float) -> None:
        """All calls from then on are known."""
        self.since = min(self.since, since)
        self.timeline.settle()

    def _add(self, records: list[Record]) -> None:
        if self._days.roll(self._wall()):
            self._ended.clear()
        self._counted += len(records)
        current = self._days.current
        for record in records:
            ended = record.started + record.total_ms / 1000
            tally = self._days.at(ended)
            if tally is not current:
                self._ended.clear()
            tally.count(record)
            # Most calls have one attempt that went well, and are done with here.
            if "," in record.attempts or not record.attempts.endswith("=ok"):
                self._attempts(record, tally, ended)

    def _attempts(self, record: Record, tally: Tally, ended: float) -> None:
        """Faults of a call's targets, and who answered instead."""
        made = [each.partition("=")[::2] for each in record.attempts.split(",") if "=" in each]
        for position, (upstream, word) in enumerate(made):
            if word in ("ok", "outrun") or word in PASSED_BY:
                continue
            faults = tally.target(upstream).faults
            faults[word] = faults.get(word, 0) + 1
            last = self.last_faults.get(upstream)
            if last is None or last.at <= ended:
                self.last_faults[upstream] = LastFault(ended, word, record.operation, record.id)
            to = next((name for name, what in made[position + 1 :] if what == "ok"), "")
            kind = Kind.FAULT
            if self._broken[upstream, word] > 0:
                self._broken[upstream, word] -= 1
                kind = Kind.HANDOVER if to else Kind.FAULT
            facts = {"upstream": upstream, "operation": record.operation, "to": to, "call": record.id}
            self.timeline.add(kind, ended, word, **facts)

    # What is shown.

    def told(self) -> dict[str, object]:
        """Windows and curves as they are now."""
        self.count()
        if self._told[0] == self._counted and self._ended:
            return self._told[1]
        if not self._ended:
            self._ended = {each: self._days.ended(each // MINUTE) for each in WINDOWS}
            fine, coarse = self._days.curve(MINUTE, FINE_POINTS), self._days.curve(TEN, COARSE_POINTS)
            self._curves = {"columns": POINT, "fine": fine, "coarse": coarse}
        current = self._days.current
        windows = {str(each): merged((tally, current)).told() for each, tally in self._ended.items()}
        told = {"windows": windows, "curves": self._curves, "now": current.point()}
        self._told = self._counted, told
        return told
