"""The timeline: what happened that is worth a mark, the newest 500; the same thing over and over is one that lasts."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from enum import StrEnum

import msgspec

MOST = 500
LASTS = 30.0
"""Seconds after which the same thing is a new one."""


class Kind(StrEnum):
    """What it is about."""

    BREAKER = "breaker"
    """`word` is the state it got into, `before` the one it left."""
    FAULT = "fault"
    """`word` is the fault, `to` who answered instead, if anybody did."""
    HANDOVER = "handover"
    """The same inside a stream: `to` went on with an answer that had begun."""
    PROBE = "probe"
    """`word` is what a probe saw when it began to see it: a fault, or `ok`."""
    ENGINE = "engine"
    """`word` is the phase of its process."""
    PROMOTION = "promotion"
    """`word` is its stage, `to` the release."""
    GATEWAY = "gateway"
    """`word` is `started` or `reloaded`."""
    DRILL = "drill"
    """`word` is `passed` or `failed`."""


class Moment(msgspec.Struct, omit_defaults=True):
    """One mark. `at` and `last` are Unix seconds, `count` how often it happened between them, `call` the last of these.

    `id` stays the same while `mark` grows with every change of it; `by` is who did it by hand.
    """

    id: int
    mark: int
    at: float
    last: float
    kind: Kind
    word: str
    upstream: str = ""
    operation: str = ""
    before: str = ""
    to: str = ""
    detail: str = ""
    by: str = ""
    call: str = ""
    count: int = 1

    @property
    def key(self) -> tuple[str, ...]:
        return (self.kind, self.word, self.upstream, self.operation, self.to, self.before)


class Timeline:
    """Bounded. `mark` is that of its newest change."""

    def __init__(self) -> None:
        self.mark = 0
        self._moments: deque[Moment] = deque(maxlen=MOST)
        self._last: dict[tuple[str, ...], Moment] = {}

    def add(self, kind: Kind, at: float, word: str, **facts: str) -> Moment:
        """One more. Faults and handovers that go on are counted where the first of them stands."""
        self.mark += 1
        made = Moment(self.mark, self.mark, at, at, kind, word, **facts)  # type: ignore[arg-type]
        if kind in (Kind.FAULT, Kind.HANDOVER):
            known = self._last.get(made.key)
            if known is not None and -LASTS <= at - known.last <= LASTS:
                known.last, known.at = max(known.last, at), min(known.at, at)
                known.count += 1
                known.mark, known.call = self.mark, made.call
                return known
            if len(self._last) > MOST:
                self._last.clear()
            self._last[made.key] = made
        self._moments.append(made)
        return made

    def settle(self) -> None:
        """Puts in order what was learned late: from the records of an earlier life."""
        self._moments = deque(sorted(self._moments, key=lambda each: each.at), maxlen=MOST)

    @property
    def moments(self) -> Sequence[Moment]:
        """All of them, the oldest first."""
        return tuple(self._moments)

    def news(self, mark: int) -> Sequence[Moment]:
        """What is new or has changed since then."""
        return [each for each in self._moments if each.mark > mark] if mark < self.mark else []
