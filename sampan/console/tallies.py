"""What the last day of calls looked like, in bounded memory: counts, money and latencies by the minute and ten minutes.

Latencies are counted in slots that grow by a quarter of a power of two: a percentile read from them is right within a
tenth, whatever was counted, and two counts are merged by adding.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import log2

from sampan.core import Record

MINUTE, TEN = 60, 600
FINE = 75
"""Minutes that are kept each by itself."""
COARSE = 146
"""Tens of minutes that are kept beyond: a day, and the two that are under way."""
MANY = 64
"""Upstreams that are counted by name in each minute."""
OTHER = "other"
LEAST = 0.25
"""Milliseconds: what is faster is in the first slot."""
STEPS = 4
LAST = 96
"""The last slot, of what took longer than an hour."""
TIERS = ("cloud", "local", "degraded")
FAILED = ("failed", "interrupted")


def slot(milliseconds: float) -> int:
    """Which slot a latency is counted in."""
    return 0 if milliseconds <= LEAST else min(LAST, 1 + int(log2(milliseconds / LEAST) * STEPS))


def percentile(counts: Mapping[int, int], share: float) -> float | None:
    """Milliseconds that `share` (0 to 1) of what was counted did not take longer than; None where nothing was."""
    wanted = sum(counts.values()) * share
    if not counts or wanted < 0:
        return None
    seen = 0
    for each in sorted(counts):
        seen += counts[each]
        if seen >= wanted:
            break
    return round(LEAST * 2 ** ((each - 0.5) / STEPS), 3)


def add(counts: dict[str, int] | dict[int, int], more: Mapping[str, int] | Mapping[int, int]) -> None:
    """Adds counts to counts."""
    into: dict[str | int, int] = counts  # type: ignore[assignment]
    for name, count in more.items():
        into[name] = into.get(name, 0) + count


@dataclass(slots=True)
class Target:
    """What one upstream did: its answers, how long they took in slots, and its faults."""

    answers: int = 0
    whole: dict[int, int] = field(default_factory=dict)
    faults: dict[str, int] = field(default_factory=dict)

    def merge(self, other: Target) -> None:
        self.answers += other.answers
        add(self.whole, other.whole)
        add(self.faults, other.faults)

    def told(self) -> dict[str, object]:
        return {
            "answers": self.answers,
            "p50": percentile(self.whole, 0.5),
            "p95": percentile(self.whole, 0.95),
            "faults": self.faults,
        }


@dataclass(slots=True)
class Tally:
    """Calls that ended within some time. Latencies are of those that were answered, `first` of those that streamed."""

    calls: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)
    tiers: dict[str, int] = field(default_factory=dict)
    input_tokens: int = 0
    output_tokens: int = 0
    images: int = 0
    cost: float = 0.0
    cached: int = 0
    whole: dict[int, int] = field(default_factory=dict)
    first: dict[int, int] = field(default_factory=dict)
    targets: dict[str, Target] = field(default_factory=dict)

    def count(self, record: Record) -> None:
        """One more call."""
        self.calls += 1
        outcome = record.outcome
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1
        self.input_tokens += record.input_tokens
        self.output_tokens += record.output_tokens
        self.images += record.images
        self.cost += record.cost
        if outcome != "ok":
            return
        self.tiers[record.tier] = self.tiers.get(record.tier, 0) + 1
        if record.cache in ("hit", "shared"):
            self.cached += 1
            return  # how long it took says nothing of any target
        took = slot(record.total_ms)
        self.whole[took] = self.whole.get(took, 0) + 1
        if record.first_event_ms:
            first = slot(record.first_event_ms)
            self.first[first] = self.first.get(first, 0) + 1
        target = self.target(record.upstream)
        target.answers += 1
        target.whole[took] = target.whole.get(took, 0) + 1

    def target(self, name: str) -> Target:
        """The count of one upstream; names beyond `MANY` share one."""
        found = self.targets.get(name)
        if found is None:
            if len(self.targets) >= MANY:
                name = OTHER
            found = self.targets.setdefault(name, Target())
        return found

    def merge(self, other: Tally) -> None:
        """Adds what another counted."""
        self.calls += other.calls
        self.input_tokens += other.input_tokens
        self.output_tokens += other.output_tokens
        self.images += other.images
        self.cost += other.cost
        self.cached += other.cached
        for ours, theirs in ((self.outcomes, other.outcomes), (self.tiers, other.tiers)):
            add(ours, theirs)
        add(self.whole, other.whole)
        add(self.first, other.first)
        for name, target in other.targets.items():
            self.target(name).merge(target)

    def told(self) -> dict[str, object]:
        """As pages are told it: latencies in milliseconds, null where there were none."""
        return {
            "calls": self.calls,
            "outcomes": self.outcomes,
            "tiers": self.tiers,
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "images": self.images,
            "cost": round(self.cost, 6),
            "cached": self.cached,
            "p50": percentile(self.whole, 0.5),
            "p95": percentile(self.whole, 0.95),
            "first_p50": percentile(self.first, 0.5),
            "first_p95": percentile(self.first, 0.95),
            "targets": {name: target.told() for name, target in self.targets.items()},
        }

    def point(self) -> tuple[object, ...]:
        """As one point of a curve; see `POINT`."""
        failed = sum(self.outcomes.get(each, 0) for each in FAILED)
        tiers = (self.tiers.get(each, 0) for each in TIERS)
        tokens = self.input_tokens + self.output_tokens
        latencies = percentile(self.whole, 0.5), percentile(self.whole, 0.95)
        return (self.calls, failed, *tiers, tokens, self.images, round(self.cost, 6), *latencies)


POINT = ("calls", "failed", *TIERS, "tokens", "images", "cost", "p50", "p95")
EMPTY = Tally().point()


def merged(tallies: Iterable[Tally]) -> Tally:
    """All of them as one."""
    whole = Tally()
    for each in tallies:
        whole.merge(each)
    return whole


class Days:
    """A day of tallies: the last `FINE` minutes each by itself, what is older in tens of minutes."""

    def __init__(self) -> None:
        self._fine: dict[int, Tally] = {}
        self._coarse: dict[int, Tally] = {}
        self._now = 0

    def roll(self, seconds: float) -> bool:
        """Says what time it is, in Unix seconds; whether another minute began."""
        minute = int(seconds // MINUTE)
        if minute == self._now:
            return False
        self._now = minute
        for old in [each for each in self._fine if each <= minute - FINE]:
            self._ten(old).merge(self._fine.pop(old))
        for old in [each for each in self._coarse if each <= minute // 10 - COARSE]:
            del self._coarse[old]
        return True

    def at(self, seconds: float) -> Tally:
        """The tally of that moment, of the present one at most."""
        minute = min(int(seconds // MINUTE), self._now)
        if minute <= self._now - FINE:
            return self._ten(minute)
        found = self._fine.get(minute)
        if found is None:
            found = self._fine[minute] = Tally()
        return found

    @property
    def current(self) -> Tally:
        """The minute that is under way."""
        return self.at(self._now * MINUTE)

    def ended(self, minutes: int) -> Tally:
        """The last so many whole minutes. Where they are more than `FINE`, tens of minutes are taken whole."""
        begin = self._now - minutes
        fine = (tally for minute, tally in self._fine.items() if begin <= minute < self._now)
        coarse = (tally for ten, tally in self._coarse.items() if ten * 10 + 9 >= begin)
        return merged([*fine, *coarse])

    def curve(self, step: int, points: int) -> dict[str, object]:
        """The last `points` whole steps of `step` seconds (a minute or ten), and the one under way but for this minute.

        `first` is when the first of them began, in Unix seconds; `points` as `POINT` says, null where nothing was.
        """
        size = step // MINUTE
        last = self._now // size
        found: dict[int, list[Tally]] = {}
        for minute, tally in self._fine.items():
            if minute != self._now:
                found.setdefault(minute // size, []).append(tally)
        if size == TEN // MINUTE:
            for ten, tally in self._coarse.items():
                found.setdefault(ten, []).append(tally)
        shown = range(last - points, last + 1)
        drawn = [merged(found[each]).point() if each in found else None for each in shown]
        return {"step": step, "first": (last - points) * step, "points": drawn}

    def _ten(self, minute: int) -> Tally:
        ten = minute // 10
        if ten <= self._now // 10 - COARSE:
            return Tally()  # older than anything that is shown
        return self._coarse.setdefault(ten, Tally())
