"""Rows and columns for blocks that stand left of, above or between one another: orders in, ranks out. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field


@dataclass(slots=True)
class Axis:
    """One direction: which units must come before which, and which share a line. Units are 0…count-1."""

    count: int
    before: list[tuple[int, int]] = field(default_factory=list)
    same: list[tuple[int, int]] = field(default_factory=list)

    def order(self, first: int, second: int) -> bool:
        """Asks that `first` comes before `second`; refused (False) where it contradicts what was asked before."""
        return self._try(self.before, (first, second))

    def join(self, one: int, other: int) -> bool:
        """Asks that both share a line; refused where they are ordered already."""
        return self._try(self.same, (one, other))

    def _try(self, kept: list[tuple[int, int]], pair: tuple[int, int]) -> bool:
        if pair[0] == pair[1]:
            return False
        kept.append(pair)
        if self.ranks() is None:
            kept.pop()
            return False
        return True

    @property
    def bound(self) -> frozenset[int]:
        """The units that anything was asked of."""
        return frozenset(unit for pair in (*self.before, *self.same) for unit in pair)

    def ranks(self) -> list[int] | None:
        """The least rank of each unit by longest path, or None where the orders run in a circle."""
        group = _groups(self.count, self.same)
        rank = [0] * self.count
        for _ in range(self.count + 1):
            changed = False
            for first, second in self.before:
                if group[first] == group[second]:
                    return None
                if rank[group[second]] <= rank[group[first]]:
                    rank[group[second]] = rank[group[first]] + 1
                    changed = True
            if not changed:
                return [rank[group[unit]] for unit in range(self.count)]
        return None


def _groups(count: int, same: Iterable[tuple[int, int]]) -> list[int]:
    group = list(range(count))
    for one, other in same:
        keep, gone = group[one], group[other]
        group = [keep if value == gone else value for value in group]
    return group


def packed(values: Sequence[int], keep: Iterable[int]) -> dict[int, int]:
    """The used values, renumbered without holes; `keep` stay even when unused."""
    return {value: place for place, value in enumerate(sorted({*values, *keep}))}
